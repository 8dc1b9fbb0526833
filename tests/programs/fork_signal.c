/* `fork` in a signal handler that interrupted the allocator. The handler's thread must not wait for its own
 * locks, and the parent's blocks must stay as they are. The child may end, run another program, or return from
 * the handler and go on with the call that was interrupted. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#define SLOTS 3000
#define RUN_MS 900

enum end { EXIT, EXEC, RETURN };

static struct {
    unsigned char *block;
    size_t size;
    uint64_t seed;
} slots[SLOTS];
static enum end end;
static volatile sig_atomic_t forks, is_child;
static uint64_t handler_state = 5;
static atomic_int stop;

/* Fires once, in some hundred microseconds of the process's time: the program always comes some way. */
static void set_timer(void) {
    struct itimerval when = {{0, 0}, {0, (suseconds_t)(150 + next_random(&handler_state) % 900)}};
    setitimer(ITIMER_REAL, &when, NULL);
}

static void handle(int signal) {
    int error = errno, status;
    pid_t child = fork();
    (void)signal;
    CHECK(child >= 0, "fork");
    if (child == 0) {
        static char *const arguments[] = {"true", NULL};
        static char *const environment[] = {NULL};
        if (end == EXIT) _exit(0);
        if (end == EXEC) execve("/bin/true", arguments, environment);
        is_child = 1;
        /* Timers are not inherited. */
        alarm(20);
        errno = error;
        return;
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child's status %#x", status);
    forks++;
    set_timer();
    errno = error;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One call of some kind, on a block of some size, which must be as it was left. */
static void step(uint64_t *state) {
    uint64_t choice = next_random(state);
    size_t i = choice % SLOTS;
    size_t size = random_size(state, (choice >> 16) % 64 ? 12 : (choice >> 24) % 8 ? 18 : 22);
    size_t sure = size < 4096 ? size : 4096;
    if (slots[i].block) {
        CHECK(filled(slots[i].block, slots[i].size, slots[i].seed), "block %zu changed", i);
    }
    switch (choice >> 32 & 7) {
    case 0:
        slots[i].block = realloc(slots[i].block, size);
        break;
    case 1:
        free(slots[i].block);
        slots[i].block = calloc(1, size);
        break;
    case 2:
        free(slots[i].block);
        slots[i].block = aligned_alloc(256, (size + 255) & ~(size_t)255);
        break;
    case 3:
        free(slots[i].block);
        slots[i].block = NULL;
        return;
    default:
        free(slots[i].block);
        slots[i].block = malloc(size);
    }
    CHECK(slots[i].block, "no memory for %zu", size);
    slots[i].size = sure;
    slots[i].seed = choice;
    fill(slots[i].block, sure, choice);
    if (choice >> 50 == 0) malloc_trim(0);
}

/* Threads that take the same locks as the thread that is interrupted. */
static void *work(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    void *blocks[500] = {0};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (!atomic_load(&stop)) {
        size_t i = next_random(&state) % 500;
        free(blocks[i]);
        CHECK(blocks[i] = malloc(random_size(&state, i % 32 ? 13 : 20)), "no memory");
    }
    return NULL;
}

static void run(enum end how, int threads) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    uint64_t state = 3;
    int64_t until = now_ms() + RUN_MS;
    pthread_t others[4];
    int i;
    long after = 0;
    end = how;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    for (i = 0; i < threads; i++) {
        CHECK(pthread_create(&others[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0, "a thread");
    }
    set_timer();
    while (now_ms() < until) {
        for (i = 0; i < 100; i++) step(&state);
        /* The child has gone on with what was interrupted, and uses the allocator for a while. */
        if (is_child && ++after == 20) _exit(0);
    }
    if (is_child) _exit(0);
    signal(SIGALRM, SIG_IGN);
    atomic_store(&stop, 1);
    for (i = 0; i < threads; i++) pthread_join(others[i], NULL);
    for (i = 0; i < SLOTS; i++) {
        if (slots[i].block) {
            CHECK(filled(slots[i].block, slots[i].size, slots[i].seed), "block %d changed", i);
        }
    }
    CHECK(forks >= 10, "only %d forks", (int)forks);
}

static void the_child_ends(void) {
    run(EXIT, 0);
}

static void the_child_runs_a_program(void) {
    run(EXEC, 0);
}

static void the_child_goes_on(void) {
    run(RETURN, 0);
}

static void the_child_ends_while_threads_allocate(void) {
    run(EXIT, 2);
}

static void the_child_runs_a_program_while_threads_allocate(void) {
    run(EXEC, 1);
}

static const struct test_case cases[] = {
    {"the_child_ends", the_child_ends},
    {"the_child_runs_a_program", the_child_runs_a_program},
    {"the_child_goes_on", the_child_goes_on},
    {"the_child_ends_while_threads_allocate", the_child_ends_while_threads_allocate},
    {"the_child_runs_a_program_while_threads_allocate",
     the_child_runs_a_program_while_threads_allocate},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    return run_cases(cases, argc, argv);
}
