/* fork while other threads allocate and free without pause: the child must be able to go on as if
 * nothing had happened, verify what it inherited, and free what other threads had allocated. */
#include "check.h"
#include "blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define SLOTS 2048
#define WORKERS 4

/* A block in here is complete and belongs to whoever takes it out. */
static _Atomic(struct block *) slots[SLOTS];
static atomic_int stop;

static struct block *make(uint64_t *state) {
    return make_sized(state, random_size(state, next_random(state) % 32 ? 13 : 19));
}

static void *work(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        struct block *block = make(&state);
        if (next_random(&state) % 8 == 0) {
            block = realloc(block, sizeof *block + block->size);
            check_and_free(atomic_exchange(&slots[next_random(&state) % SLOTS], NULL));
        }
        check_and_free(atomic_exchange(&slots[next_random(&state) % SLOTS], block));
    }
    return NULL;
}

/* Frees every inherited block of its share, and allocates in between. */
static void *sweep(void *argument) {
    size_t i, share = (size_t)(uintptr_t)argument;
    uint64_t state = share;
    for (i = share; i < SLOTS; i += 3) {
        check_and_free(atomic_exchange(&slots[i], NULL));
        if (i % 4 == 0) check_and_free(make(&state));
    }
    return NULL;
}

static void live_in_child(int number) {
    pthread_t threads[2];
    size_t i;
    alarm(60 * slowness());
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, sweep, (void *)(i + 1)) == 0, "thread in child");
    sweep((void *)0);
    for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join in child");
    if (number % 2) exit(0);
    _exit(0);
}

static void wait_for(pid_t child, int number) {
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d ended with status %x", number,
          (unsigned)status);
}

static void start_workers(pthread_t *threads) {
    uintptr_t i;
    atomic_store(&stop, 0);
    for (i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 100)) == 0, "pthread_create");
}

static void stop_workers(pthread_t *threads) {
    size_t i;
    atomic_store(&stop, 1);
    for (i = 0; i < WORKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0, "pthread_join");
    for (i = 0; i < SLOTS; i++) check_and_free(atomic_exchange(&slots[i], NULL));
}

static void fork_many(int count) {
    int number;
    for (number = 0; number < count; number++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: errno %d", errno);
        if (child == 0) live_in_child(number);
        wait_for(child, number);
    }
}

static void threads_and_forks(void) {
    pthread_t threads[WORKERS];
    start_workers(threads);
    fork_many(amount(300));
    stop_workers(threads);
}

static void *fork_from_thread(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    void *mine = make(&state);
    fork_many(amount(40));
    check_and_free(mine);
    return NULL;
}

/* Two threads that fork at the same time, neither of them the first of the process. */
static void forks_from_threads(void) {
    pthread_t threads[WORKERS], forkers[2];
    uintptr_t i;
    start_workers(threads);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&forkers[i], NULL, fork_from_thread, (void *)i) == 0, "thread");
    for (i = 0; i < 2; i++) CHECK(pthread_join(forkers[i], NULL) == 0, "join");
    stop_workers(threads);
}

/* Each generation starts threads of its own, forks under load and frees what it inherited. */
static void generations(void) {
    int generation;
    for (generation = 0; generation < 8; generation++) {
        pthread_t threads[WORKERS];
        pid_t child;
        start_workers(threads);
        usleep(20000);
        child = fork();
        CHECK(child >= 0, "fork: errno %d", errno);
        if (child > 0) {
            stop_workers(threads);
            wait_for(child, generation);
            if (generation > 0) exit(0);
            return;
        }
        alarm(60 * slowness());
    }
    exit(0);
}

/* A child without threads that only uses memory, many at once, all writing to inherited blocks. */
static void many_children(void) {
    static struct block *blocks[5000];
    pid_t children[20];
    uint64_t state = 1;
    size_t i;
    int c;
    for (i = 0; i < 5000; i++) blocks[i] = make(&state);
    for (c = 0; c < 20; c++) {
        CHECK((children[c] = fork()) >= 0, "fork");
        if (children[c] == 0) {
            alarm(60 * slowness());
            for (i = (size_t)c; i < 5000; i += 2) {
                check_and_free(blocks[i]);
                blocks[i] = make(&state);
            }
            for (i = (size_t)c; i < 5000; i++) check_and_free(blocks[i]);
            exit(0);
        }
    }
    for (c = 0; c < 20; c++) wait_for(children[c], c);
    for (i = 0; i < 5000; i++) check_and_free(blocks[i]);
}

static const struct test_case cases[] = {
    {"threads_and_forks", threads_and_forks},
    {"forks_from_threads", forks_from_threads},
    {"generations", generations},
    {"many_children", many_children},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
