/* A process that makes no thread keeps exactly one, with no timer and no signal of the allocator's (issues of
 * `setns`, `unshare`, sandboxes and whoever counts threads), and its own calls give memory back: a few calls a
 * second are enough, and none of them takes long (C1.1). */
#include "background.h"

#include <malloc.h>
#include <sys/prctl.h>

static struct burst burst;

/* What must be as it was when the program began. */
static void expect_nothing_but_the_program(void) {
    static const char *const masks[] = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"};
    static unsigned long long at_start[sizeof masks / sizeof *masks];
    static int known;
    char timers[256];
    size_t i;
    CHECK(task_count() == 1, "%d threads", task_count());
    if (read_file("/proc/self/timers", timers, sizeof timers))
        CHECK(!timers[0], "a timer: %s", timers);
    for (i = 0; i < sizeof masks / sizeof *masks; i++) {
        unsigned long long mask = status_mask(getpid(), masks[i]);
        if (!known) at_start[i] = mask;
        CHECK(mask == at_start[i], "%s is %llx, and was %llx", masks[i], mask, at_start[i]);
    }
    known = 1;
}

static void a_process_without_threads_keeps_one(void) {
    int round, turn;
    expect_nothing_but_the_program();
    for (round = 0; round < 4; round++) {
        struct burst own = {.before = 1};
        burst_allocate(&own, 100, round % 2 ? LARGE : SMALL);
        expect_nothing_but_the_program();
        burst_free(&own);
        for (turn = 0; turn < 20; turn++) {
            free(malloc(turn % 2 ? 100 : 300 * KIB));
            sleep_ms(20);
            expect_nothing_but_the_program();
        }
        burst_free_rest(&own);
        malloc_trim(0);
        sleep_ms(500);
        expect_nothing_but_the_program();
    }
}

/* Calls of the kernel that want a process with one thread. Each where the kernel allows it at all: a child that has
 * not allocated yet tries first. */
static int new_user_namespace(void) { return unshare(CLONE_NEWUSER); }

static int own_mount_namespace(void) {
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : setns(fd, CLONE_NEWNS);
}

static int own_memory(void) { return unshare(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD); }

static int own_time_namespace(void) {
    int fd = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : setns(fd, 0x80 /* CLONE_NEWTIME */);
}

static int in_child(int (*call)(void)) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) _exit(call() ? errno : 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status), "a child failed: %x", status);
    return WEXITSTATUS(status);
}

static void calls_for_one_thread_work(void) {
    int (*const calls[])(void) = {new_user_namespace, own_mount_namespace, own_memory, own_time_namespace};
    enum { COUNT = sizeof calls / sizeof *calls };
    int allowed[COUNT], some = 0, i;
    for (i = 0; i < COUNT; i++) allowed[i] = in_child(calls[i]) == 0;
    burst_allocate(&burst, 100, SMALL);
    burst_free(&burst);
    for (i = 0; i < 10; i++) {
        free(malloc(100 * KIB));
        sleep_ms(50);
    }
    for (i = COUNT - 1; i >= 0; i--) {
        if (!allowed[i]) continue;
        CHECK(calls[i]() == 0, "call %d: %s", i, strerror(errno));
        some++;
    }
    CHECK(some, "nothing is allowed here");
}

/* How a program calls that calls rarely. */
static void call_malloc(void) { free(malloc(50)); }
static void call_calloc(void) { free(calloc(10, 30)); }
static void call_large(void) { free(malloc(400 * KIB)); }

static void call_realloc(void) {
    static void *block;
    static size_t size = 100;
    block = realloc(block, size);
    CHECK(block, "no memory");
    size = size < 100 * KIB ? size * 2 : 100;
}

/* Keeps what it allocates, as a program does that builds something up. */
static void call_keeping(void) { CHECK(opaque(malloc(50)), "no memory"); }

/* The processor's time of the longest call, in microseconds: other processes may be in the way of the clock. */
static long longest_call_us;

static void timed(void (*call)(void)) {
    struct timespec from, to;
    long us;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    call();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    us = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
    if (us > longest_call_us) longest_call_us = us;
}

/* Takes and frees `mib` MiB; then calls every `every` ms, until it has gone back. On a machine that has nothing else to do
 * that takes less than 10 s; a call works for less than a millisecond of the processor's time, in which it gets less done
 * the more the machine has to do. */
static void few_calls(size_t mib, int large, void (*call)(void), long every) {
    long begun, now;
    burst_allocate(&burst, mib, large);
    burst_free(&burst);
    begun = now = now_ms(CLOCK_MONOTONIC);
    for (;;) {
        /* As often as it says, not later: the machine may be busy. */
        long next = now + every - (now - begun) % every;
        if (next - begun > 80000) break;
        sleep_ms(next - now);
        timed(call);
        now = now_ms(CLOCK_MONOTONIC);
        if (now - begun > 8000 && burst_left(&burst) < may_be_left()) break;
    }
    CHECK(burst_left(&burst) < may_be_left(), "%zu %% of %zu MiB left after 80 s", burst_left(&burst), mib);
    CHECK(longest_call_us < 20000, "a call took %ld us", longest_call_us);
    CHECK(task_count() == 1, "%d threads", task_count());
    dprintf(1, "%zu %% left, the longest call took %ld us\n", burst_left(&burst), longest_call_us);
}

static void rarely_20_mib(void) { few_calls(20, SMALL, call_malloc, 200); }
static void rarely_100_mib(void) { few_calls(100, SMALL, call_malloc, 200); }
static void rarely_300_mib(void) { few_calls(300, SMALL, call_malloc, 200); }
static void rarely_large(void) { few_calls(100, LARGE, call_malloc, 200); }
static void very_rarely_20_mib(void) { few_calls(20, SMALL, call_malloc, 1000); }
static void very_rarely_100_mib(void) { few_calls(100, SMALL, call_malloc, 1000); }
static void very_rarely_300_mib(void) { few_calls(300, SMALL, call_malloc, 1000); }
static void very_rarely_large(void) { few_calls(100, LARGE, call_malloc, 1000); }
static void very_rarely_realloc(void) { few_calls(100, SMALL, call_realloc, 1000); }
static void very_rarely_calloc(void) { few_calls(100, SMALL, call_calloc, 1000); }
static void very_rarely_large_calls(void) { few_calls(100, SMALL, call_large, 1000); }
static void very_rarely_keeping(void) { few_calls(100, SMALL, call_keeping, 1000); }

#define CASE(name) {#name, name}

static const struct test_case CASES[] = {
    CASE(a_process_without_threads_keeps_one),
    CASE(calls_for_one_thread_work),
    CASE(rarely_20_mib),
    CASE(rarely_100_mib),
    CASE(rarely_300_mib),
    CASE(rarely_large),
    CASE(very_rarely_20_mib),
    CASE(very_rarely_100_mib),
    CASE(very_rarely_300_mib),
    CASE(very_rarely_large),
    CASE(very_rarely_realloc),
    CASE(very_rarely_calloc),
    CASE(very_rarely_large_calls),
    CASE(very_rarely_keeping),
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(CASES, argc, argv); }
