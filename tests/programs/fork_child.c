/* What a forked child has: all memory that was free in the parent or on its way back to the system at that moment,
 * and limits of its own. What threads can be sure of where a program has taken every key. And children
 * that share the parent's memory. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#define MANY 400000

static int (*verify)(void);
static int (*property)(const char *, size_t *);
static void *blocks[MANY];
static atomic_int trimming;
static pthread_key_t keys[PTHREAD_KEYS_MAX];
static int taken;

static size_t figure(const char *name) {
    size_t value;
    CHECK(property && property(name, &value) == 1, "no property %s", name);
    return value;
}

static void nap_us(long us) {
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static size_t in_use(void) {
    return figure("generic.current_allocated_bytes");
}

static void expect_end(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "status %#x", status);
}

/* Memory of one kind: blocks of a size, of which one of `keep` stays when the others are freed. */
struct kind {
    size_t size, count, keep;
};

static void make(const struct kind *kind) {
    size_t i;
    for (i = 0; i < kind->count; i++) {
        if (blocks[i]) continue;
        CHECK(blocks[i] = malloc(kind->size), "block %zu", i);
        fill(blocks[i], kind->size, i);
    }
}

static void drop(const struct kind *kind) {
    size_t i;
    for (i = 0; i < kind->count; i++) {
        CHECK(filled(blocks[i], kind->size, i), "block %zu changed", i);
        if (kind->keep && i % kind->keep == 0) continue;
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

static size_t live_bytes(const struct kind *kind) {
    return kind->keep ? (kind->count + kind->keep - 1) / kind->keep * kind->size : 0;
}

/* In the child: everything that the parent's live blocks do not need can be given back and used again. */
static void expect_all_there(const struct kind *kind, size_t used, size_t mapped, size_t idle) {
    size_t live = live_bytes(kind), pages, i;
    alarm(20);
    CHECK(verify && verify(), "right after the fork");
    malloc_trim(0);
    CHECK(mallinfo2().keepcost == 0, "%zu bytes were not given back", mallinfo2().keepcost);
    CHECK(in_use() <= used + 256 * KIB, "%zu bytes in use, %zu before", in_use(), used);
    /* A page stays for every block that is kept. */
    pages = kind->keep ? (kind->count + kind->keep - 1) / kind->keep * 4096 : 0;
    CHECK(resident_bytes() <= idle + live + pages + 12 * MIB, "%zu KiB resident, %zu live",
          resident_bytes() / KIB, live / KIB);
    make(kind);
    /* For what little the other thread had in its hands the heap may grow once, by a share of its size. */
    CHECK(figure("generic.heap_size") <= mapped + mapped / 8 + 4 * MIB, "grew from %zu to %zu",
          mapped, figure("generic.heap_size"));
    CHECK(verify && verify(), "after making all blocks again");
    drop(kind);
    malloc_trim(0);
    CHECK(mallinfo2().keepcost == 0, "%zu bytes were not given back", mallinfo2().keepcost);
    for (i = 0; i < kind->count; i++) free(blocks[i]);
    CHECK(verify && verify(), "at the end");
    _exit(0);
}

static void *trim(void *argument) {
    trimming = 1;
    malloc_trim(0);
    trimming = 2;
    return argument;
}

/* Forks while another thread gives back memory of that kind, at different moments. */
static void fork_while_trimming(const struct kind *kind) {
    uint64_t state = 9;
    int round, during = 0;
    size_t idle = resident_bytes();
    for (round = 0; round < 30 && during < 3; round++) {
        pthread_t thread;
        size_t used, mapped;
        pid_t child;
        make(kind);
        drop(kind);
        used = in_use();
        mapped = figure("generic.heap_size");
        trimming = 0;
        CHECK(pthread_create(&thread, NULL, trim, NULL) == 0, "a thread");
        while (!trimming) sched_yield();
        if (round > 1) nap_us((long)(next_random(&state) % (round % 2 ? 300 : 4000)));
        during += trimming == 1;
        child = fork();
        if (child == 0) expect_all_there(kind, used, mapped, idle);
        expect_end(child);
        pthread_join(thread, NULL);
    }
    CHECK(during > 0, "no fork was made while memory went back");
}

static const struct kind large = {1 << 20, 96, 0};
static const struct kind parts = {40960, 2000, 7};
static const struct kind small = {240, MANY, 120};

static void large_ranges(void) {
    fork_while_trimming(&large);
}

static void partly_used_huge_pages(void) {
    fork_while_trimming(&parts);
}

static void pages_of_small_blocks(void) {
    fork_while_trimming(&small);
}

static void *idle_thread(void *argument) {
    pause();
    return argument;
}

/* As above, where the background thread gives the memory back. The options set a short decay. */
static void given_back_without_being_asked(void) {
    static const struct kind *const kinds[] = {&large, &parts, &small};
    pthread_t thread;
    size_t idle = resident_bytes(), round, i;
    uint64_t state = 4;
    CHECK(pthread_create(&thread, NULL, idle_thread, NULL) == 0, "a thread");
    for (round = 0; round < 6; round++) {
        const struct kind *kind = kinds[round % 3];
        size_t used, mapped;
        pid_t child;
        make(kind);
        drop(kind);
        used = in_use();
        mapped = figure("generic.heap_size");
        nap_us((long)(next_random(&state) % 150000));
        child = fork();
        if (child == 0) expect_all_there(kind, used, mapped, idle);
        expect_end(child);
        for (i = 0; i < kind->count; i++) free(blocks[i]), blocks[i] = NULL;
    }
}

/* Threads whose blocks the child can see, all but the ones that a thread has in its hands. */
#define THREADS 6
#define EACH 4000
static void *volatile seen[THREADS][EACH];
static atomic_int stop;

static void *churn(void *argument) {
    size_t me = (size_t)argument, i, n;
    uint64_t state = me;
    while (!stop) {
        n = 500 + next_random(&state) % (EACH - 500);
        for (i = 0; i < n; i++) seen[me][i] = malloc(random_size(&state, 11));
        for (i = 0; i < n; i++) {
            void *block = seen[me][i];
            seen[me][i] = NULL;
            free(block);
        }
        if (next_random(&state) % 8 == 0) malloc_trim(0);
    }
    return NULL;
}

/* What a thread had between two places when it vanished, a magazine or two, may be lost; no more. */
static void magazines_on_their_way(void) {
    pthread_t threads[THREADS];
    size_t base = in_use(), i, round;
    uint64_t state = 8;
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)i) == 0, "a thread");
    }
    for (round = 0; round < 20; round++) {
        pid_t child;
        nap_us((long)(next_random(&state) % 8000));
        child = fork();
        if (child == 0) {
            size_t lost, j;
            alarm(20);
            for (i = 0; i < THREADS; i++) {
                for (j = 0; j < EACH; j++) free(seen[i][j]);
            }
            /* Caches of the threads that are gone are emptied one by one, as memory is needed. */
            for (i = 0; i < 64; i++) free(malloc(300 * KIB));
            for (i = 0; i < 40000; i++) CHECK(blocks[i] = malloc(100 + i % 1000), "no memory");
            for (i = 0; i < 40000; i++) free(blocks[i]);
            malloc_trim(0);
            lost = in_use() - base;
            CHECK((ptrdiff_t)lost <= (ptrdiff_t)(384 * KIB), "%zd bytes lost", (ptrdiff_t)lost);
            CHECK(mallinfo2().keepcost == 0, "%zu not given back", mallinfo2().keepcost);
            CHECK(verify && verify(), "in the child");
            _exit(0);
        }
        expect_end(child);
    }
    stop = 1;
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(verify && verify(), "in the parent");
}

static pthread_barrier_t barrier;
static size_t cached;

/* Fills the calling thread's cache as far as its limits allow. */
static void fill_cache(void) {
    static const size_t sizes[] = {16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};
    size_t round, k, i;
    for (round = 0; round < 12; round++) {
        for (k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            void *some[400];
            size_t n = sizes[k] > 2048 ? 30 : 400;
            for (i = 0; i < n; i++) CHECK(some[i] = malloc(sizes[k]), "no memory");
            for (i = 0; i < n; i++) free(some[i]);
        }
    }
}

static void *fill_and_wait(void *argument) {
    fill_cache();
    pthread_barrier_wait(&barrier);
    pause();
    return argument;
}

/* What the calling thread has cached is what goes when it gives that up. */
static void *fill_and_count(void *argument) {
    size_t before, after;
    fill_cache();
    before = figure("tcmalloc.thread_cache_free_bytes");
    malloc_trim(0);
    after = figure("tcmalloc.thread_cache_free_bytes");
    CHECK(before >= after, "caches grew from %zu to %zu", before, after);
    cached = before - after;
    return argument;
}

/* Bytes that a thread of a forked child can cache. */
static size_t cached_in_child(void) {
    int ends[2];
    size_t answer = 0;
    pid_t child;
    CHECK(pipe(ends) == 0, "pipe");
    child = fork();
    if (child == 0) {
        pthread_t thread;
        alarm(20);
        CHECK(pthread_create(&thread, NULL, fill_and_count, NULL) == 0, "a thread");
        pthread_join(thread, NULL);
        CHECK(write(ends[1], &cached, sizeof cached) == sizeof cached, "write");
        _exit(0);
    }
    CHECK(read(ends[0], &answer, sizeof answer) == sizeof answer, "read");
    expect_end(child);
    close(ends[0]);
    close(ends[1]);
    return answer;
}

/* The options bound what all threads together may cache; the parent's use that up. */
static void limits_of_its_own(void) {
    size_t alone = cached_in_child(), after;
    int i;
    pthread_barrier_init(&barrier, NULL, 17);
    for (i = 0; i < 16; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, fill_and_wait, NULL) == 0, "a thread");
    }
    pthread_barrier_wait(&barrier);
    after = cached_in_child();
    CHECK(alone >= 200 * KIB, "only %zu bytes are cached by a thread alone", alone);
    CHECK(after >= alone / 4 * 3, "%zu bytes cached, %zu without other threads", after, alone);
}

/* Called by the C library when a thread ends, as destructors of C++'s thread-local objects are. */
extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;
static atomic_long destroyed;

static void destroy(void *object) {
    void *more[50];
    int i;
    CHECK(filled(object, 100, 5), "a thread's object changed");
    for (i = 0; i < 50; i++) CHECK(more[i] = malloc((size_t)i * 100 + 1), "no memory");
    for (i = 0; i < 50; i++) free(more[i]);
    free(object);
    destroyed++;
}

static void *short_thread(void *argument) {
    static const size_t sizes[] = {16, 64, 256, 1024, 4096};
    void *some[100], *object = malloc(100);
    size_t k, i;
    CHECK(object, "no memory");
    fill(object, 100, 5);
    __cxa_thread_atexit_impl(destroy, object, &__dso_handle);
    for (k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (i = 0; i < 100; i++) memset(some[i] = malloc(sizes[k]), 1, sizes[k]);
        for (i = 0; i < 100; i++) free(some[i]);
    }
    return argument;
}

static void take_all_keys(void) {
    while (taken < PTHREAD_KEYS_MAX && pthread_key_create(&keys[taken], NULL) == 0) taken++;
}

static void run_short_threads(void) {
    size_t level = 0, i;
    CHECK(taken > 100, "%d keys taken", taken);
    for (i = 0; i < 3000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0, "a thread");
        pthread_join(thread, NULL);
        if (i == 500) level = resident_bytes();
    }
    CHECK(resident_bytes() <= level + 3 * MIB, "%zu KiB resident, %zu after 500 threads",
          resident_bytes() / KIB, level / KIB);
    CHECK(destroyed == 3000, "%ld destructors ran", (long)destroyed);
}

static void keys_taken_by_main(void) {
    take_all_keys();
    run_short_threads();
}

/* See `before_all` and `construct`. */
static void keys_taken_first(void) {
    run_short_threads();
}

static void keys_taken_by_a_constructor(void) {
    run_short_threads();
}

static int wants(int count, char **arguments, const char *name) {
    return count > 1 && strcmp(arguments[1], name) == 0;
}

static void before_all(int count, char **arguments, char **environment) {
    (void)environment;
    if (wants(count, arguments, "keys_taken_first")) take_all_keys();
}
__attribute__((section(".preinit_array"), used)) static void (*first)(int, char **, char **) = before_all;

__attribute__((constructor(101))) static void construct(int count, char **arguments) {
    if (wants(count, arguments, "keys_taken_by_a_constructor")) take_all_keys();
}

/* What a child does that shares the parent's memory. Nothing of it stays. */
static int use_shared_memory(void *argument) {
    size_t i;
    for (i = 0; i < 60000; i++) blocks[i] = malloc(16 + i % 400);
    for (i = 0; i < 60000; i++) free(blocks[i]), blocks[i] = NULL;
    for (i = 0; i < 20; i++) {
        char *block = malloc(3 * MIB);
        if (block) memset(block, 1, 100 * KIB);
        free(block);
    }
    malloc_trim(0);
    nap_us((long)(size_t)argument);
    _exit(0);
}

/* Every size is served and the heap is whole; a lock that somebody died with would show. */
static void expect_unharmed(size_t used) {
    size_t size, i;
    for (size = 16; size < 40000; size += size / 8) {
        void *some[40];
        for (i = 0; i < 40; i++) CHECK(some[i] = malloc(size), "no memory");
        for (i = 0; i < 40; i++) free(some[i]);
    }
    free(malloc(200 * KIB));
    CHECK(verify && verify(), "after the child");
    CHECK(in_use() <= used + 512 * KIB, "%zu in use, %zu before", in_use(), used);
}

static void share_memory(int threads) {
    static char stack[256 * 1024] __attribute__((aligned(16)));
    pthread_t thread;
    size_t used, i;
    alarm(40);
    if (threads) CHECK(pthread_create(&thread, NULL, idle_thread, NULL) == 0, "a thread");
    free(malloc(100));
    used = in_use();
    for (i = 0; i < 12; i++) {
        int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
        pid_t child = vfork();
        if (child == 0) use_shared_memory((void *)(i * 300));
        expect_end(child);
        expect_unharmed(used);
        expect_end(clone(use_shared_memory, stack + sizeof stack, flags, (void *)(i * 300)));
        expect_unharmed(used);
    }
}

static void children_that_share_memory(void) {
    share_memory(0);
}

static void children_that_share_memory_beside_a_thread(void) {
    share_memory(1);
}

static const struct test_case cases[] = {
    {"large_ranges", large_ranges},
    {"partly_used_huge_pages", partly_used_huge_pages},
    {"pages_of_small_blocks", pages_of_small_blocks},
    {"given_back_without_being_asked", given_back_without_being_asked},
    {"magazines_on_their_way", magazines_on_their_way},
    {"limits_of_its_own", limits_of_its_own},
    {"keys_taken_by_main", keys_taken_by_main},
    {"keys_taken_first", keys_taken_first},
    {"keys_taken_by_a_constructor", keys_taken_by_a_constructor},
    {"children_that_share_memory", children_that_share_memory},
    {"children_that_share_memory_beside_a_thread", children_that_share_memory_beside_a_thread},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    verify = (int (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_VerifyAllMemory");
    property = (int (*)(const char *, size_t *))dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
    return run_cases(cases, argc, argv);
}
