/* Threads that allocate, resize and free blocks of each other at random, every block filled with a
 * pattern of its own which is verified before it goes. Arguments: seconds, threads, and the power
 * of two of the largest size. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define SLOTS 2048
#define MOST_THREADS 64

/* A block and what should be in it. Records are exchanged whole and always have one owner. */
struct record {
    unsigned char *start;
    size_t size;
    uint64_t seed;
};

static struct record records[SLOTS + MOST_THREADS];
static _Atomic(struct record *) slots[SLOTS];
static atomic_int stop;
static atomic_ulong operations;
static unsigned top_bits = 20;

static void verify(const struct record *r) {
    CHECK(filled(r->start, r->size, r->seed), "a block of %zu bytes at %p changed", r->size,
          (void *)r->start);
}

static void refill(struct record *r, unsigned char *start, size_t size, uint64_t *state) {
    CHECK(start, "no memory for %zu bytes", size);
    r->start = start;
    r->size = size;
    r->seed = next_random(state) ^ (uint64_t)(uintptr_t)start;
    fill(start, size, r->seed);
}

static unsigned char *aligned_block(size_t size, uint64_t *state) {
    size_t alignment = (size_t)8 << (next_random(state) % 10);
    void *start = NULL;
    CHECK(posix_memalign(&start, alignment, size) == 0, "%zu at %zu", size, alignment);
    CHECK(is_aligned(start, alignment), "%p at %zu", start, alignment);
    return start;
}

static void renew(struct record *r, uint64_t *state) {
    size_t size = random_size(state, top_bits), kept;
    unsigned char *start;
    if (r->start) verify(r);
    switch (next_random(state) % 8) {
    case 0:
    case 1:
        start = realloc(r->start, size);
        CHECK(start, "realloc to %zu", size);
        kept = r->start ? (size < r->size ? size : r->size) : 0;
        CHECK(filled(start, kept, r->seed), "realloc from %zu to %zu", r->size, size);
        break;
    case 2:
        free(r->start);
        start = calloc(1, size);
        CHECK(start && all_zero(start, size), "calloc of %zu", size);
        break;
    case 3:
        free(r->start);
        start = aligned_block(size, state);
        break;
    case 4:
        start = malloc(size);
        free(r->start);
        break;
    default:
        free(r->start);
        start = malloc(size);
    }
    refill(r, start, size, state);
}

static void *work(void *argument) {
    uint64_t number = (uint64_t)(uintptr_t)argument, state = number * 7919 + 1, done = 0;
    struct record *mine = &records[SLOTS + number];
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        int i;
        for (i = 0; i < 64; i++) {
            renew(mine, &state);
            mine = atomic_exchange(&slots[next_random(&state) % SLOTS], mine);
        }
        done += 64;
    }
    atomic_fetch_add(&operations, done);
    return NULL;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 8;
    int threads = argc > 2 ? atoi(argv[2]) : 8, i;
    pthread_t ids[MOST_THREADS];
    struct timespec wait;
    expect_library();
    if (argc > 3) top_bits = (unsigned)atoi(argv[3]);
    CHECK(threads <= MOST_THREADS, "%d threads", threads);
    for (i = 0; i < SLOTS; i++) atomic_store(&slots[i], &records[i]);
    for (i = 0; i < threads; i++)
        CHECK(pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i) == 0, "thread %d", i);
    wait.tv_sec = (time_t)seconds;
    wait.tv_nsec = (long)((seconds - (double)wait.tv_sec) * 1e9);
    nanosleep(&wait, NULL);
    atomic_store(&stop, 1);
    for (i = 0; i < threads; i++) CHECK(pthread_join(ids[i], NULL) == 0, "join");
    for (i = 0; i < SLOTS + threads; i++) {
        if (records[i].start) verify(&records[i]);
        free(records[i].start);
    }
    printf("%lu operations\n", atomic_load(&operations));
    CHECK(atomic_load(&operations) > (unsigned long)amount(1000), "too slow to have tested anything");
    return 0;
}
