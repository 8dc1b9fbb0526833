/* `exit` in a signal handler that interrupted the allocator, whatever lock the interrupted call holds: the process ends, as it
 * does under glibc, whose `exit` waits for no lock of its allocator. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { ENDED = 8, BESIDE = 2, SLOTS = 500 };

static void (*end)(int);

static void handle(int signal) {
    (void)signal;
    end(7);
}

static void work(uint64_t *state, void **slots) {
    size_t i = next_random(state) % SLOTS;
    free(slots[i]);
    CHECK(slots[i] = malloc(random_size(state, i % 4 ? 13 : 20)), "no memory");
}

static void *work_a_little(void *argument) {
    void *slots[SLOTS] = {0};
    uint64_t state = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 3000; i++) work(&state, slots);
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    return NULL;
}

static void *work_for_ever(void *argument) {
    void *slots[SLOTS] = {0};
    uint64_t state = (uint64_t)(uintptr_t)argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) work(&state, slots);
    return NULL;
}

static void start(void *(*body)(void *), int count, int wait) {
    pthread_t threads[ENDED];
    for (int i = 0; i < count; i++) {
        CHECK(pthread_create(&threads[i], NULL, body, (void *)(uintptr_t)(i + 1)) == 0, "a thread");
    }
    for (int i = 0; wait && i < count; i++) pthread_join(threads[i], NULL);
}

/* Most of the time a call is under way that holds a lock now and then. */
static void be_interrupted(uint64_t state) {
    static void *slots[SLOTS];
    struct itimerval when = {{0, 0}, {0, (suseconds_t)(500 + next_random(&state) % 6000)}};
    CHECK(signal(SIGALRM, handle) != SIG_ERR && setitimer(ITIMER_REAL, &when, NULL) == 0, "a timer");
    for (int i = 0;; i++) {
        work(&state, slots);
        if (i % 16 == 0) mallinfo2();
        if (i % 1024 == 0) malloc_trim(0);
    }
}

/* Ends many processes that have made threads, some that ended and some that go on. */
static void end_many(void (*how)(int), int ended, int beside) {
    end = how;
    for (int number = 0; number < amount(250); number++) {
        int status;
        unsigned waited = 0;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            start(work_a_little, ended, 1);
            start(work_for_ever, beside, 0);
            be_interrupted((uint64_t)number);
        }
        while (waitpid(child, &status, WNOHANG) == 0) {
            usleep(500);
            if (++waited < 20000 * slowness()) continue;
            kill(child, SIGKILL);
            CHECK(0, "process number %d does not end", number);
        }
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %#x", (unsigned)status);
    }
}

static void without_threads(void) { end_many(exit, 0, 0); }
static void after_threads(void) { end_many(exit, ENDED, 0); }
static void beside_threads(void) { end_many(exit, 0, BESIDE); }
static void beside_and_after_threads(void) { end_many(exit, ENDED, BESIDE); }
static void by_quick_exit(void) { end_many(quick_exit, ENDED, 0); }

static pthread_barrier_t both;

static void *free_it(void *block) {
    void *own[100];
    /* So that the thread caches blocks of this size. */
    for (int i = 0; i < 100; i++) own[i] = malloc(100);
    for (int i = 0; i < 100; i++) free(own[i]);
    free(block);
    pthread_barrier_wait(&both);
    return NULL;
}

/* Two threads free the same block. That is found when what both had cached goes back, under a lock; the handler of the abort
 * exits. */
static void in_a_handler_of_an_abort(void) {
    pthread_t threads[2];
    void *block = malloc(100);
    end = exit;
    CHECK(signal(SIGABRT, handle) != SIG_ERR, "signal");
    pthread_barrier_init(&both, NULL, 2);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, free_it, block) == 0, "a thread");
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    malloc_trim(0);
    CHECK(0, "the second free was not noticed");
}

static const struct test_case cases[] = {
    {"without_threads", without_threads},
    {"after_threads", after_threads},
    {"beside_threads", beside_threads},
    {"beside_and_after_threads", beside_and_after_threads},
    {"by_quick_exit", by_quick_exit},
    {"in_a_handler_of_an_abort", in_a_handler_of_an_abort},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2, "one case at a time");
    return run_cases(cases, argc, argv);
}
