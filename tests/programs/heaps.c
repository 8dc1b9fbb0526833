/* Heaps with lifetimes, as C programs use them: st_heap_new and its kin. `misuse NAME` does one forbidden thing, after
 * it has printed the address that the report must name. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

#include <stratalloc.h>

/* Preloaded, the library is not there when the program is linked. */
#pragma weak st_heap_new
#pragma weak st_heap_destroy
#pragma weak st_heap_reset
#pragma weak st_heap_trim
#pragma weak st_heap_malloc
#pragma weak st_heap_calloc
#pragma weak st_heap_aligned_alloc
#pragma weak st_heap_realloc
#pragma weak st_heap_free
#pragma weak st_heap_usable_size
#pragma weak st_heap_stats

#define COUNT 4000

static struct st_heap_statistics stats_of(const struct st_heap *heap) {
    struct st_heap_statistics now;
    st_heap_stats(heap, &now);
    return now;
}

static struct st_heap *new_heap(size_t limit) {
    struct st_heap *heap = st_heap_new(limit);
    CHECK(heap != NULL, "no heap");
    return heap;
}

/* Blocks of all sizes keep their content while others come, go and change their size. */
static void work(struct st_heap *heap, uint64_t seed, int rounds) {
    static __thread struct { void *block; size_t size; uint64_t tag; } held[COUNT];
    uint64_t random = seed;
    int round;
    size_t i;
    memset(held, 0, sizeof held);
    for (round = 0; round < rounds; round++) {
        size_t at = next_random(&random) % COUNT, size = random_size(&random, round % 64 ? 11 : 18);
        if (held[at].block) CHECK(filled(held[at].block, held[at].size, held[at].tag), "round %d", round);
        if (held[at].block && round % 3 == 0) {
            void *moved = st_heap_realloc(heap, held[at].block, size);
            CHECK(moved != NULL, "realloc");
            CHECK(filled(moved, held[at].size < size ? held[at].size : size, held[at].tag), "moved");
            held[at].block = moved;
        } else {
            st_heap_free(heap, held[at].block);
            held[at].block = round % 5 ? st_heap_malloc(heap, size) : st_heap_aligned_alloc(heap, 64, size);
            CHECK(held[at].block && is_aligned(held[at].block, round % 5 ? 16 : 64), "%p", held[at].block);
        }
        held[at].size = size;
        held[at].tag = next_random(&random);
        fill(held[at].block, size, held[at].tag);
    }
    for (i = 0; i < COUNT; i++)
        if (held[i].block) {
            CHECK(filled(held[i].block, held[i].size, held[i].tag), "block %zu", i);
            if (i % 2) st_heap_free(heap, held[i].block);
        }
}

static void blocks_keep_their_content(void) {
    struct st_heap *heap = new_heap(0);
    work(heap, 1, 40000);
    st_heap_reset(heap);
    CHECK(stats_of(heap).live == 0, "%zu", stats_of(heap).live);
    work(heap, 2, 40000);
    st_heap_destroy(heap);
}

static void answers_are_those_of_malloc(void) {
    struct st_heap *heap = new_heap(0);
    char *block = st_heap_calloc(heap, 10, 100);
    CHECK(all_zero(block, 1000), "calloc");
    CHECK(st_heap_usable_size(heap, block) >= 1000 && malloc_usable_size(block) >= 1000, "usable");
    CHECK(st_heap_usable_size(heap, NULL) == 0, "null");
    errno = 0;
    CHECK(!st_heap_calloc(heap, SIZE_MAX / 2, 3) && errno == ENOMEM, "overflow: %d", errno);
    errno = 0;
    CHECK(!st_heap_malloc(heap, opaque_size(SIZE_MAX)) && errno == ENOMEM, "SIZE_MAX: %d", errno);
    errno = 0;
    CHECK(!st_heap_malloc(heap, opaque_size((size_t)PTRDIFF_MAX + 1)) && errno == ENOMEM, "%d", errno);
    errno = 0;
    CHECK(!st_heap_aligned_alloc(heap, opaque_size(48), 100) && errno == EINVAL, "48: %d", errno);
    errno = 0;
    CHECK(!st_heap_realloc(heap, block, opaque_size(SIZE_MAX)) && errno == ENOMEM, "%d", errno);
    CHECK(all_zero(block, 1000), "a block that could not grow");
    errno = 7;
    CHECK(!st_heap_realloc(heap, block, 0) && errno == 7, "size 0 frees");
    st_heap_free(heap, NULL);
    CHECK(stats_of(heap).live_count == 0, "%zu", stats_of(heap).live_count);
    block = st_heap_realloc(heap, NULL, 0);
    CHECK(block != NULL && st_heap_malloc(heap, 0) != block, "size 0");
    for (size_t align = 16; align <= 4 * MIB; align *= 2) {
        char *aligned = st_heap_aligned_alloc(heap, align, 100);
        CHECK(aligned && is_aligned(aligned, align), "%zu", align);
        fill(aligned, 100, align);
        CHECK(filled(aligned, 100, align), "%zu", align);
    }
    st_heap_destroy(heap);
    st_heap_destroy(NULL);
}

static void a_limit_is_kept(void) {
    size_t limit = 3 * MIB, count = 0;
    struct st_heap *heap = new_heap(limit);
    struct st_heap_statistics now;
    errno = 0;
    while (st_heap_malloc(heap, 1000)) count++;
    now = stats_of(heap);
    CHECK(errno == ENOMEM && now.mapped <= limit && now.limit == limit, "%zu", now.mapped);
    CHECK(now.live_count == count && count > limit / 1024 * 9 / 10, "%zu blocks", count);
    CHECK(!st_heap_malloc(heap, MIB), "beyond the limit");
    st_heap_reset(heap);
    CHECK(st_heap_malloc(heap, 2 * MIB) != NULL, "empty spans make room");
    st_heap_destroy(heap);
}

/* Spans become free pages of the page heap, whatever lives in them. */
static void ending_gives_all_memory_back(void) {
    size_t before = mallinfo2().uordblks, i, resident;
    struct st_heap *heap;
    malloc_trim(0);
    resident = resident_bytes();
    heap = new_heap(0);
    for (i = 0; i < 300000; i++) memset(st_heap_malloc(heap, 16 + i % 400), 1, 16 + i % 400);
    for (i = 0; i < 20; i++) memset(st_heap_malloc(heap, MIB), 1, MIB);
    CHECK(mallinfo2().uordblks >= before + stats_of(heap).live, "heaps count as in use");
    CHECK(resident_bytes() > resident + 80 * MIB, "%zu", resident_bytes());
    st_heap_destroy(heap);
    CHECK(mallinfo2().uordblks <= before + 64 * KIB, "%zu, %zu before", mallinfo2().uordblks, before);
    malloc_trim(0);
    CHECK(resident_bytes() < resident + 4 * MIB, "%zu, %zu before", resident_bytes(), resident);
}

static void *work_in_own_heap(void *seed) {
    struct st_heap *heap = new_heap(0);
    work(heap, (uintptr_t)seed, 30000);
    return heap;
}

/* A heap of a thread that has ended goes on in another one. */
static void heaps_move_between_threads(void) {
    pthread_t threads[6];
    struct st_heap *heaps[6];
    uintptr_t i;
    for (i = 0; i < 6; i++) CHECK(!pthread_create(&threads[i], NULL, work_in_own_heap, (void *)(i + 1)), "thread");
    for (i = 0; i < 6; i++) CHECK(!pthread_join(threads[i], (void **)&heaps[i]), "join");
    for (i = 0; i < 6; i++) {
        CHECK(stats_of(heaps[i]).live_count > 0, "what was left lives on");
        work(heaps[i], i + 10, 3000);
        st_heap_destroy(heaps[i]);
    }
}

static volatile int stop;

static void *churn(void *unused) {
    (void)unused;
    while (!stop) {
        struct st_heap *heap = new_heap(0);
        int i;
        for (i = 0; i < 300; i++) fill(st_heap_malloc(heap, 8 + i * 7), 8 + i * 7, i);
        st_heap_destroy(heap);
    }
    return NULL;
}

/* The child has a copy of its parent's heap, and can make and end heaps, whatever other threads did. */
static void a_child_has_a_copy(void) {
    pthread_t threads[3];
    struct st_heap *heap = new_heap(0);
    char *block = st_heap_malloc(heap, 5000);
    int i;
    fill(block, 5000, 9);
    for (i = 0; i < 3; i++) CHECK(!pthread_create(&threads[i], NULL, churn, NULL), "thread");
    for (i = 0; i < 40; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            struct st_heap *own = new_heap(0);
            CHECK(filled(block, 5000, 9), "the copy");
            st_heap_free(heap, block);
            work(heap, 3, 2000);
            work(own, 4, 2000);
            st_heap_destroy(own);
            st_heap_destroy(heap);
            free(malloc(100));
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "child: %d", status);
    }
    stop = 1;
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(filled(block, 5000, 9), "the parent's");
    st_heap_destroy(heap);
}

static void *announce(void *pointer) {
    dprintf(1, "%p\n", pointer);
    return opaque(pointer);
}

static int misuse(const char *name) {
    struct st_heap *heap = new_heap(0), *other = new_heap(0);
    char *block = st_heap_malloc(heap, 100);
    char *large = st_heap_malloc(heap, 100000);
    CHECK(st_heap_malloc(other, 100) && block && large, "blocks");
    if (!strcmp(name, "double_free")) {
        st_heap_free(heap, announce(block));
        st_heap_free(heap, block);
    } else if (!strcmp(name, "double_free_large")) {
        st_heap_free(heap, announce(large));
        st_heap_free(heap, large);
    } else if (!strcmp(name, "another_heap")) {
        st_heap_free(other, announce(block));
    } else if (!strcmp(name, "another_heap_large")) {
        st_heap_free(other, announce(large));
    } else if (!strcmp(name, "middle")) {
        st_heap_free(heap, announce(block + 16));
    } else if (!strcmp(name, "block_of_malloc")) {
        st_heap_free(heap, announce(malloc(100)));
    } else if (!strcmp(name, "stack")) {
        st_heap_free(heap, announce(&block));
    } else if (!strcmp(name, "free")) {
        free(announce(block));
    } else if (!strcmp(name, "free_large")) {
        free(announce(large));
    } else if (!strcmp(name, "realloc")) {
        return realloc(announce(block), 200) != NULL;
    } else if (!strcmp(name, "realloc_large")) {
        return realloc(announce(large), 200000) != NULL;
    } else if (!strcmp(name, "realloc_of_another_heap")) {
        return st_heap_realloc(other, announce(block), 200) != NULL;
    } else if (!strcmp(name, "realloc_freed")) {
        st_heap_free(heap, announce(block));
        return st_heap_realloc(heap, block, 1) != NULL;
    } else if (!strcmp(name, "destroyed_twice")) {
        st_heap_destroy(announce(heap));
        st_heap_destroy(heap);
    } else if (!strcmp(name, "block_of_destroyed_heap")) {
        announce(block);
        st_heap_destroy(heap);
        free(opaque(block));
    } else {
        return 2;
    }
    return 0;
}

static const struct test_case cases[] = {
    {"blocks_keep_their_content", blocks_keep_their_content},
    {"answers_are_those_of_malloc", answers_are_those_of_malloc},
    {"a_limit_is_kept", a_limit_is_kept},
    {"ending_gives_all_memory_back", ending_gives_all_memory_back},
    {"heaps_move_between_threads", heaps_move_between_threads},
    {"a_child_has_a_copy", a_child_has_a_copy},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "misuse")) return misuse(argv[2]);
    return run_cases(cases, argc, argv);
}
