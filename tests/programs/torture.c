/* What no sane program does, all of which a process may do: threads that start, end, are cancelled and
 * fork while others allocate; libraries that come and go. Each case runs TORTURE_SECONDS (2 unless set). */
#include "check.h"
#include "blocks.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

#define SLOTS 1024

/* A block in here is complete and belongs to whoever takes it out. */
static _Atomic(struct block *) slots[SLOTS];
static atomic_int stop;
static double end;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void begin(void) {
    const char *seconds = getenv("TORTURE_SECONDS");
    end = now() + (seconds ? atof(seconds) : 2);
    atomic_store(&stop, 0);
    alarm(60 + (unsigned)(end - now()));
}

static struct block *make(uint64_t *state) {
    return make_sized(state, random_size(state, next_random(state) % 64 ? 12 : 20));
}

static void exchange(uint64_t *state, int count) {
    while (count-- > 0)
        check_and_free(atomic_exchange(&slots[next_random(state) % SLOTS], make(state)));
}

static void empty_slots(void) {
    size_t i;
    for (i = 0; i < SLOTS; i++) check_and_free(atomic_exchange(&slots[i], NULL));
}

static void *short_life(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    exchange(&state, 200);
    return NULL;
}

/* Starts threads that end soon, without pause. */
static void *start_threads(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        pthread_t threads[4];
        size_t i;
        for (i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, short_life,
                                 (void *)(uintptr_t)next_random(&state)) == 0, "thread");
        for (i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
    }
    return NULL;
}

static void expect_success(pid_t child) {
    int status = -1;
    while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR, "waitpid");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended with status %x",
          (unsigned)status);
}

/* A child allocates, sometimes on threads of its own, frees all that it inherited, and sometimes has
 * a child itself. */
static void live_in_child(uint64_t state) {
    alarm(60);
    if (next_random(&state) % 2) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_life, (void *)(uintptr_t)state) == 0, "thread");
        exchange(&state, 100);
        CHECK(pthread_join(thread, NULL) == 0, "join");
    }
    if (next_random(&state) % 4 == 0) {
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            exchange(&state, 50);
            _exit(0);
        }
        expect_success(child);
    }
    empty_slots();
    if (next_random(&state) % 2) exit(0);
    _exit(0);
}

static atomic_int forks;

static void *fork_children(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: errno %d", errno);
        if (child == 0) live_in_child(state);
        exchange(&state, 20);
        expect_success(child);
        atomic_fetch_add(&forks, 1);
        next_random(&state);
    }
    return NULL;
}

/* `vfork` and `posix_spawn` run the child in the parent's memory. */
static void *spawn_children(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    char *arguments[] = {(char *)"true", NULL};
    while (!atomic_load(&stop)) {
        pid_t child;
        exchange(&state, 20);
        CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0, "posix_spawn");
        expect_success(child);
        child = vfork();
        CHECK(child >= 0, "vfork");
        if (child == 0) {
            execvp("true", arguments);
            _exit(1);
        }
        expect_success(child);
    }
    return NULL;
}

static void *trim_always(void *argument) {
    int (*trim)(size_t) = (int (*)(size_t))dlsym(RTLD_DEFAULT, "malloc_trim");
    (void)argument;
    while (!atomic_load(&stop)) {
        if (trim) trim(0);
        usleep(2000);
    }
    return NULL;
}

static void run_together(void *(*const *bodies)(void *), size_t count) {
    pthread_t threads[16];
    size_t i;
    begin();
    for (i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, bodies[i], (void *)(uintptr_t)(i + 1)) == 0, "");
    while (now() < end) usleep(20000);
    atomic_store(&stop, 1);
    for (i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
    empty_slots();
    alarm(0);
}

static void forks_from_many_threads(void) {
    void *(*const bodies[])(void *) = {start_threads, fork_children, start_threads, fork_children,
                                       fork_children, spawn_children, trim_always};
    run_together(bodies, sizeof bodies / sizeof *bodies);
    CHECK(atomic_load(&forks) > 10, "%d forks", atomic_load(&forks));
}

/* A cancelled thread frees what it holds in its clean-up handler, and its thread-specific values'
 * destructors allocate after that. */
struct held {
    struct block *blocks[32];
};

static void give_up(void *argument) {
    struct held *held = argument;
    size_t i;
    for (i = 0; i < 32; i++) check_and_free(held->blocks[i]);
    free(held);
}

static pthread_key_t late;

static void late_destructor(void *argument) {
    uint64_t state = 5;
    intptr_t left = (intptr_t)argument;
    exchange(&state, 10);
    if (left > 1) pthread_setspecific(late, (void *)(left - 1));
}

static void *until_cancelled(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    struct held *held = calloc(1, sizeof *held);
    CHECK(held, "no memory");
    CHECK(pthread_setspecific(late, (void *)3) == 0, "key");
    pthread_cleanup_push(give_up, held);
    for (;;) {
        size_t i = next_random(&state) % 32;
        struct block *old = held->blocks[i];
        held->blocks[i] = make(&state);
        check_and_free(old);
        if (next_random(&state) % 16 == 0) pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_threads(void) {
    uint64_t state = 3;
    int cancelled = 0;
    begin();
    CHECK(pthread_key_create(&late, late_destructor) == 0, "key");
    while (now() < end) {
        pthread_t threads[4];
        size_t i;
        for (i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, until_cancelled,
                                 (void *)(uintptr_t)next_random(&state)) == 0, "thread");
        usleep((useconds_t)(next_random(&state) % 3000));
        for (i = 0; i < 4; i++) {
            void *result;
            CHECK(pthread_cancel(threads[i]) == 0, "cancel");
            CHECK(pthread_join(threads[i], &result) == 0 && result == PTHREAD_CANCELED, "join");
            cancelled++;
        }
    }
    empty_slots();
    CHECK(cancelled > 10, "%d threads", cancelled);
}

/* Opens and closes the library TORTURE_LIBRARY, whose constructor and destructor allocate and which
 * hands out blocks that are freed when it is gone. */
static void *open_and_close(void *argument) {
    const char *path = getenv("TORTURE_LIBRARY");
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *block;
        void *(*hand_out)(size_t);
        CHECK(library, "%s", dlerror());
        hand_out = (void *(*)(size_t))dlsym(library, "hand_out");
        CHECK(hand_out && (block = hand_out(1000)), "nothing handed out");
        exchange(&state, 50);
        CHECK(dlclose(library) == 0, "dlclose");
        free(block);
    }
    return NULL;
}

static void libraries_that_come_and_go(void) {
    void *(*const bodies[])(void *) = {open_and_close, open_and_close, start_threads};
    if (!getenv("TORTURE_LIBRARY")) return;
    run_together(bodies, sizeof bodies / sizeof *bodies);
}

static const struct test_case cases[] = {
    {"forks_from_many_threads", forks_from_many_threads},
    {"cancelled_threads", cancelled_threads},
    {"libraries_that_come_and_go", libraries_that_come_and_go},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
