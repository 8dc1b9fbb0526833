/* The thread that gives memory back is an ordinary one, with no more rights than the program: what reaches every
 * thread of a process reaches it, it takes nothing after whoever started it, it keeps no process alive, and where
 * it cannot be made nobody keeps trying. */
#include "background.h"
#include "filter.h"

#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/ioctl.h>

#define NOBODY 65533

static struct burst burst;

/* Takes memory and frees a part of it, on the calling thread, so that the background thread is there and busy. */
static void start_worker(void) {
    burst_allocate(&burst, 50, SMALL);
    wait_for_worker();
    burst_free(&burst);
}

/* Goes on allocating for a while, as programs do. */
static void go_on(long ms) {
    long begun = now_ms(CLOCK_MONOTONIC);
    while (now_ms(CLOCK_MONOTONIC) < begun + ms) {
        void *blocks[64];
        int i;
        for (i = 0; i < 64; i++) {
            blocks[i] = malloc(64 * KIB);
            memset(blocks[i], 1, 64 * KIB);
        }
        for (i = 0; i < 64; i++) free(blocks[i]);
        sleep_ms(10);
    }
}

static void no_signal_reaches_it(void) {
    unsigned long long blocked;
    make_thread(only_wait, NULL);
    start_worker();
    blocked = status_mask(worker(), "SigBlk");
    /* All but SIGKILL and SIGSTOP, which nobody can block, and the two that the C library sends. */
    CHECK(blocked == ~(1ull << 8 | 1ull << 18 | 1ull << 31 | 1ull << 32), "signals %llx", blocked);
}

static cpu_set_t at_start;
static int nice_at_start;

/* The policy of a thread that starts the background thread: the most unusual that is allowed. */
static void *start_it_unusually(void *argument) {
    struct sched_param priority = {.sched_priority = 10}, none = {0};
    cpu_set_t one;
    int cpu = 0;
    while (!CPU_ISSET(cpu, &at_start)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0, "cannot be pinned");
    if (argument || sched_setscheduler(0, SCHED_FIFO, &priority))
        CHECK(sched_setscheduler(0, SCHED_BATCH, &none) == 0, "no other policy");
    /* A capability that programs are to inherit that it runs, if there is one to give. */
    if (!argument && geteuid() == 0) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2];
        CHECK(syscall(SYS_capget, &header, data) == 0, "no capabilities");
        if (data[0].permitted & 1 << CAP_NET_BIND_SERVICE) {
            data[0].inheritable |= 1 << CAP_NET_BIND_SERVICE;
            CHECK(syscall(SYS_capset, &header, data) == 0, "cannot be inherited");
            CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0, "ambient");
        }
    }
    /* Only with the right to go back may the background thread have the main thread's value again. */
    CHECK(setpriority(PRIO_PROCESS, 0, nice_at_start + 3) == 0, "cannot be nice");
    burst_allocate(&burst, 50, SMALL);
    wait_for_worker();
    return only_wait(NULL);
}

/* Whether a thread may lower its nice value to that of the main thread: by a capability, or by a limit, which counts
 * from 40 down to 1. */
static int may_go_back(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NICE, &limit) == 0, "no limit");
    return status_mask(getpid(), "CapEff") >> CAP_SYS_NICE & 1 || limit.rlim_cur >= (rlim_t)(20 - nice_at_start);
}

static void expect_an_ordinary_thread(void) {
    cpu_set_t its;
    long thread = wait_for_worker();
    sleep_ms(100);
    CHECK(sched_getscheduler((pid_t)thread) == SCHED_OTHER, "policy %d", sched_getscheduler((pid_t)thread));
    CHECK(sched_getaffinity((pid_t)thread, sizeof its, &its) == 0, "no affinity");
    CHECK(CPU_EQUAL(&its, &at_start), "%d processors of %d", CPU_COUNT(&its), CPU_COUNT(&at_start));
    CHECK(status_mask(thread, "CapAmb") == 0, "ambient capabilities");
    CHECK(getpriority(PRIO_PROCESS, (id_t)thread) == nice_at_start + (may_go_back() ? 0 : 3), "nice value %d of %d",
          getpriority(PRIO_PROCESS, (id_t)thread), nice_at_start);
}

static void note_start(void) {
    CHECK(sched_getaffinity(0, sizeof at_start, &at_start) == 0, "no affinity");
    nice_at_start = getpriority(PRIO_PROCESS, 0);
}

static void it_is_ordinary_whoever_starts_it(void) {
    note_start();
    make_thread(start_it_unusually, NULL);
    expect_an_ordinary_thread();
}

static void it_is_ordinary_though_a_batch_thread_starts_it(void) {
    note_start();
    make_thread(start_it_unusually, &burst);
    expect_an_ordinary_thread();
}

/* Every thread of the process. */
static void for_each_task(void (*look)(long thread)) {
    long numbers[64];
    int i, count = tasks(numbers, 64);
    CHECK(count <= 64, "%d threads", count);
    for (i = 0; i < count; i++) look(numbers[i]);
}

static void expect_no_root(long thread) {
    static const char *const names[] = {"Uid", "Gid"};
    size_t i;
    for (i = 0; i < 2; i++) {
        char value[128];
        unsigned ids[4], k;
        if (!status_of(thread, names[i], value)) return;
        CHECK(sscanf(value, "%u %u %u %u", ids, ids + 1, ids + 2, ids + 3) == 4, "odd: %s", value);
        for (k = 0; k < 4; k++) CHECK(ids[k] == NOBODY, "thread %ld: %s %s", thread, names[i], value);
    }
    CHECK(status_mask(thread, "CapEff") == 0 && status_mask(thread, "CapPrm") == 0, "capabilities");
}

/* As root: after `setresuid` nobody is root, nor is whoever comes later. */
static void it_gives_up_root_with_the_program(void) {
    make_thread(only_wait, NULL);
    start_worker();
    CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0, "groups");
    CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0, "user");
    for_each_task(expect_no_root);
    CHECK(worker(), "the thread is gone");
    go_on(1000);
    for_each_task(expect_no_root);
    CHECK(worker(), "the thread is gone");
}

/* As root: `capset` changes one thread; the allocator's follows the main thread, while it does anything. */
static void it_gives_up_capabilities_with_the_program(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned long long main_has, it_has;
    long begun;
    make_thread(only_wait, NULL);
    start_worker();
    CHECK(syscall(SYS_capget, &header, data) == 0, "no capabilities");
    data[0].effective &= ~(1u << CAP_CHOWN | 1u << CAP_SETUID);
    data[0].permitted &= ~(1u << CAP_CHOWN);
    CHECK(syscall(SYS_capset, &header, data) == 0, "capabilities cannot be given up");
    begun = now_ms(CLOCK_MONOTONIC);
    do {
        go_on(50);
        main_has = status_mask(getpid(), "CapPrm") | status_mask(getpid(), "CapEff") << 1;
        it_has = status_mask(worker(), "CapPrm") | status_mask(worker(), "CapEff") << 1;
    } while (it_has & ~main_has && now_ms(CLOCK_MONOTONIC) < begun + 2000);
    CHECK(!(it_has & ~main_has), "capabilities %llx, not %llx", it_has, main_has);
    CHECK(!(status_mask(worker(), "CapEff") & 1u << CAP_SETUID), "an effective one is left");
}

/* Calls that change every thread fail where one is out of their reach. */
static void it_is_reached_by_filters_for_all_threads(void) {
    char value[128];
    long thread;
    make_thread(only_wait, NULL);
    start_worker();
    thread = worker();
    CHECK(filter_calls(NULL, 0, SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_TSYNC) == 0, "no filter");
    /* It ends when it sees that (sandbox.c). */
    if (status_of(thread, "Seccomp", value)) CHECK(value[0] == '2', "no filter on the thread: %s", value);
    if (status_of(thread, "NoNewPrivs", value)) CHECK(value[0] == '1', "new rights for the thread");
    go_on(1000);
}

/* For a debugger, which stops here. */
static void it_is_shown_by_debuggers(void) {
    make_thread(only_wait, NULL);
    start_worker();
    raise(SIGTRAP);
}

/* The C library makes it, with all that a thread has: so whoever looks for the thread-local storage of each finds it. */
static __thread char much[MIB];

static void a_program_with_much_thread_local_storage_has_it(void) {
    make_thread(only_wait, NULL);
    memset(opaque(much), 1, sizeof much);
    start_worker();
    wait_for_return(&burst);
}

/* What the process says when it ends must reach whoever reads it; and when, who runs it compares. */
static void say_and_exit(void) {
    dprintf(2, "%ld\n", now_ms(CLOCK_MONOTONIC));
    pthread_exit(NULL);
}

static void say_that_it_ends(void) { printf("the end is orderly\n"); }

static void prepare_the_end(void) {
    atexit(say_that_it_ends);
    printf("this waits in a buffer\n");
}

static void it_ends_with_main_which_is_last(void) {
    prepare_the_end();
    make_thread(return_at_once, NULL);
    sleep_ms(100);
    start_worker();
    say_and_exit();
}

static void it_ends_where_nothing_else_was(void) {
    prepare_the_end();
    burst_allocate(&burst, 50, SMALL);
    burst_free(&burst);
    say_and_exit();
}

/* Not even the main thread has memory of its own. */
static void it_ends_without_an_allocation(void) { say_and_exit(); }

static void *exit_last(void *argument) {
    sleep_ms(500);
    if (argument) free(malloc(1000));
    say_and_exit();
    return NULL;
}

static void it_ends_with_the_last_thread(void) {
    prepare_the_end();
    make_thread(exit_last, &burst);
    start_worker();
    pthread_exit(NULL);
}

static void it_ends_with_a_thread_that_never_allocates(void) {
    prepare_the_end();
    make_thread(exit_last, NULL);
    start_worker();
    pthread_exit(NULL);
}

static volatile int *listener;

/* Starts the program again under a filter that asks, for each new thread, whoever has the descriptor `listener`. Starting
 * leaves the table of descriptors that it was opened in to the other process. */
static void start_again_asking(const char *name) {
    long fd = filter_calls(THREADS, COUNT_OF(THREADS), SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    CHECK(fd >= 0, "no filter: %s", strerror(errno));
    *listener = (int)fd;
    start_again(name);
}

/* Allows the first thread and refuses all others, until the child has ended with `status`. Returns how many of the
 * refused came within 5 s of the first of them. */
static int refuse_threads(pid_t child, int *status) {
    int asked = 0, tries = 0;
    long first = 0;
    while (waitpid(child, status, WNOHANG) == 0) {
        struct seccomp_notif request = {0};
        struct seccomp_notif_resp response = {0};
        struct pollfd poller = {*listener, POLLIN, 0};
        if (*listener < 0 || poll(&poller, 1, 100) <= 0 || !(poller.revents & POLLIN)) {
            sleep_ms(1);
            continue;
        }
        if (ioctl(*listener, SECCOMP_IOCTL_NOTIF_RECV, &request)) continue;
        response.id = request.id;
        if (asked++ == 0) {
            response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        } else {
            response.error = -EAGAIN;
            if (!first) first = now_ms(CLOCK_MONOTONIC);
            tries += now_ms(CLOCK_MONOTONIC) < first + 5000;
        }
        CHECK(ioctl(*listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0, "no answer");
    }
    return tries;
}

/* Each try asks the kernel twice, the second time for a larger stack. After 1 s, 2 s, 4 s there is another. */
static void tries_after_a_failure_are_rare(void) {
    int status = 0, tries;
    pid_t child;
    if (is_started_again()) {
        make_thread(only_wait, NULL);
        burst_allocate(&burst, 100, SMALL);
        burst_free(&burst);
        go_on(5000);
        CHECK(!worker(), "a thread that was refused");
        go_on(4000);
        CHECK(burst_left(&burst) < may_be_left(), "%zu %% left: calls do not give back", burst_left(&burst));
        return;
    }
    listener = mmap(NULL, sizeof *listener, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(listener != MAP_FAILED, "no memory");
    *listener = -1;
    child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    CHECK(child >= 0, "no child");
    if (child == 0) start_again_asking(__func__);
    tries = refuse_threads(child, &status);
    CHECK(status == 0, "the program failed: %x", status);
    CHECK(tries > 0, "nobody tried");
    CHECK(tries <= 8, "%d tries in 5 s", tries);
}

/* Where the user may have no more threads; when there may be again, one is made. */
static void it_is_made_when_the_limit_allows(void) {
    struct rlimit limit;
    int turn;
    make_thread(only_wait, NULL);
    if (geteuid() == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0, "groups");
        CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0, "user");
    }
    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0, "no limit");
    CHECK(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, limit.rlim_max}) == 0, "no limit");
    burst_allocate(&burst, 100, SMALL);
    burst_free(&burst);
    for (turn = 0; turn < 150 && burst_left(&burst) >= may_be_left(); turn++) {
        free(malloc(50));
        sleep_ms(200);
        CHECK(!worker(), "a thread beyond the limit");
    }
    CHECK(burst_left(&burst) < may_be_left(), "%zu %% left: calls do not give back", burst_left(&burst));
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0, "no limit");
    burst_free_rest(&burst);
    burst_allocate(&burst, 100, SMALL);
    for (turn = 0; turn < 200 && !worker(); turn++) go_on(100);
    CHECK(worker(), "no thread 20 s after it may be made");
}

#define CASE(name) {#name, name}

static const struct test_case CASES[] = {
    CASE(no_signal_reaches_it),
    CASE(it_is_ordinary_whoever_starts_it),
    CASE(it_is_ordinary_though_a_batch_thread_starts_it),
    CASE(it_gives_up_root_with_the_program),
    CASE(it_gives_up_capabilities_with_the_program),
    CASE(it_is_reached_by_filters_for_all_threads),
    CASE(it_is_shown_by_debuggers),
    CASE(a_program_with_much_thread_local_storage_has_it),
    CASE(it_ends_with_main_which_is_last),
    CASE(it_ends_where_nothing_else_was),
    CASE(it_ends_without_an_allocation),
    CASE(it_ends_with_the_last_thread),
    CASE(it_ends_with_a_thread_that_never_allocates),
    CASE(tries_after_a_failure_are_rare),
    CASE(it_is_made_when_the_limit_allows),
    {NULL, NULL},
};

/* Ends without exit handlers: threads sleep for good. */
int main(int argc, char **argv) { _exit(run_cases(CASES, argc, argv)); }
