/* Memory runs out under a limit of the address space, which the caller has set (RLIMIT_AS). Every
 * failure is NULL with ENOMEM, nothing that lives is damaged, and after frees memory is back.
 * Argument 2, for the cases on small blocks: how many MiB must be usable. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>

#define MOST 900000
#define THREADS 4

static unsigned char *blocks[MOST];
static size_t needed_mib = 850;

/* The size of a block follows from its number: 100 bytes to 3 KiB. */
static size_t size_of(size_t i) {
    uint64_t state = i;
    return 100 + next_random(&state) % (3 * KIB - 100 + 1);
}

/* Allocates block `from` and those that follow, until there is no memory or no number below `to` is left. */
static size_t fill_up(size_t from, size_t to, size_t *bytes) {
    size_t i;
    for (i = from, *bytes = 0; i < to; i++) {
        errno = 0;
        if (!(blocks[i] = malloc(size_of(i)))) {
            CHECK(errno == ENOMEM, "errno %d at block %zu", errno, i);
            break;
        }
        fill(blocks[i], size_of(i), i);
        *bytes += size_of(i);
    }
    return i;
}

/* The same until there is no memory: all the numbers' blocks are more than the limit. */
static size_t fill_all(size_t *bytes) {
    size_t count = fill_up(0, MOST, bytes);
    CHECK(count < MOST, "never out of memory: is RLIMIT_AS set?");
    return count;
}

static void verify(size_t from, size_t to) {
    for (; from < to; from++)
        if (blocks[from]) CHECK(filled(blocks[from], size_of(from), from), "block %zu", from);
}

static void expect_no_memory(void *block, const char *what) {
    CHECK(block == NULL && errno == ENOMEM, "%s: %p, errno %d", what, block, errno);
    errno = 0;
}

/* Every call fails in the same way when nothing is left, and does no harm. */
static void other_calls_fail(void) {
    void *out = (void *)0x5a5a;
    size_t big = opaque_size(256 * MIB);
    errno = 0;
    expect_no_memory(calloc(1, big), "calloc");
    expect_no_memory(realloc(blocks[1], big), "realloc");
    expect_no_memory(memalign(4096, big), "memalign");
    expect_no_memory(aligned_alloc(2 * MIB, big), "aligned_alloc");
    CHECK(posix_memalign(&out, 64, big) == ENOMEM && out == (void *)0x5a5a, "posix_memalign");
}

static void free_all(size_t from, size_t to) {
    for (; from < to; from++) {
        free(blocks[from]);
        blocks[from] = NULL;
    }
}

static void small_blocks(void) {
    size_t bytes, again, i, refused = 0, count = fill_all(&bytes);
    printf("usable: %zu MiB in %zu blocks\n", bytes / MIB, count);
    CHECK(bytes >= needed_mib * MIB, "%zu MiB usable, %zu wanted", bytes / MIB, needed_mib);
    other_calls_fail();
    verify(0, count);
    for (i = 0; i < count; i += 2) free(blocks[i]);
    for (i = 0; i < count; i += 2) {
        if ((blocks[i] = malloc(size_of(i)))) fill(blocks[i], size_of(i), i);
        else refused++;
    }
    CHECK(refused < count / 200, "%zu of %zu blocks refused again", refused, count / 2);
    verify(0, count);
    free_all(0, count);
    count = fill_all(&again);
    printf("usable the second time: %zu MiB\n", again / MIB);
    CHECK(again >= bytes / 100 * 95, "%zu MiB at first, %zu MiB later", bytes / MIB, again / MIB);
    verify(0, count);
    free_all(0, count);
}

static size_t large_blocks_of(size_t size) {
    static void *large[4096];
    size_t i, count;
    for (count = 0; count < 4096; count++) {
        errno = 0;
        if (!(large[count] = malloc(size))) break;
        fill(large[count], 5000, count);
        memset((char *)large[count] + size - 100, 1, 100);
    }
    CHECK(count < 4096 && errno == ENOMEM, "%zu blocks of %zu, errno %d", count, size, errno);
    for (i = 0; i < count; i++) {
        CHECK(filled(large[i], 5000, i), "large block %zu", i);
        free(large[i]);
    }
    return count * size;
}

static void large_blocks(void) {
    static const size_t sizes[] = {300 * KIB, 3 * MIB, 20 * MIB, 100 * MIB, 300 * KIB, 50 * MIB};
    size_t i, usable;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        usable = large_blocks_of(sizes[i]);
        printf("usable in blocks of %zu KiB: %zu MiB\n", sizes[i] / KIB, usable / MIB);
        CHECK(usable >= 500 * MIB, "%zu MiB in blocks of %zu bytes", usable / MIB, sizes[i]);
    }
}

/* What small blocks filled is there for large ones once it is free, and the other way round. */
static void small_then_large(void) {
    size_t bytes, usable, count, round;
    for (round = 0; round < 2; round++) {
        count = fill_all(&bytes);
        free_all(0, count);
        usable = large_blocks_of(4 * MIB);
        printf("usable in blocks of 4 MiB after small ones: %zu MiB\n", usable / MIB);
        CHECK(usable >= 600 * MIB, "%zu MiB", usable / MIB);
    }
}

static size_t thread_bytes[THREADS], thread_counts[THREADS];
static pthread_barrier_t phase;

static void *fill_on_thread(void *argument) {
    size_t t = (size_t)(uintptr_t)argument, from = t * (MOST / THREADS), i;
    thread_counts[t] = fill_up(from, from + MOST / THREADS, &thread_bytes[t]) - from;
    pthread_barrier_wait(&phase);
    verify(from, from + thread_counts[t]);
    free_all(from, from + thread_counts[t]);
    pthread_barrier_wait(&phase);
    for (i = from; i < from + 50000; i++) {
        CHECK(blocks[i] = malloc(size_of(i)), "block %zu after everything was freed", i - from);
        fill(blocks[i], size_of(i), i);
    }
    verify(from, from + 50000);
    free_all(from, from + 50000);
    return NULL;
}

static void small_blocks_on_threads(void) {
    pthread_t threads[THREADS];
    size_t t, bytes = 0, count = 0;
    pthread_barrier_init(&phase, NULL, THREADS);
    for (t = 0; t < THREADS; t++)
        CHECK(pthread_create(&threads[t], NULL, fill_on_thread, (void *)(uintptr_t)t) == 0,
              "thread");
    for (t = 0; t < THREADS; t++) {
        CHECK(pthread_join(threads[t], NULL) == 0, "join");
        bytes += thread_bytes[t];
        count += thread_counts[t];
    }
    /* A thread that is ahead may have blocks for all its numbers; not all threads may. */
    CHECK(count < MOST, "never out of memory: is RLIMIT_AS set?");
    printf("usable on %d threads: %zu MiB\n", THREADS, bytes / MIB);
    CHECK(bytes >= (needed_mib - 50) * MIB, "%zu MiB", bytes / MIB);
}

static const struct test_case cases[] = {
    {"small_blocks", small_blocks},
    {"large_blocks", large_blocks},
    {"small_then_large", small_then_large},
    {"small_blocks_on_threads", small_blocks_on_threads},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc > 2) needed_mib = (size_t)atoi(argv[2]), argc = 2;
    return run_cases(cases, argc, argv);
}
