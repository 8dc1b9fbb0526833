/* Threads that exchange nothing: each allocates batches of small blocks, keeps every fourth for
 * eight batches, and frees the rest. At the end all blocks in use are looked at: of the cache lines
 * that hold any, how many hold blocks of more than one thread? Arguments: the number of threads, and
 * the most lines of ten thousand that may. */
#include "check.h"

#include <pthread.h>

#define LINE 64
#define BATCH 1200
#define KEPT_OF 4
#define KEPT_FOR 8
#define BATCHES 1000
#define MOST_THREADS 64

static const size_t sizes[] = {16, 24, 32, 40, 48, 64, 80, 96, 128, 200};

struct block {
    size_t size;
    char *address;
};

/* A line and a thread that has a block on it. */
struct use {
    uintptr_t line;
    size_t thread;
};

/* What each thread holds when all have done their work: the last batch, and what is kept of those before it. */
#define HELD (BATCH + KEPT_FOR * BATCH / KEPT_OF)
static struct block held[MOST_THREADS][HELD];
static size_t counts[MOST_THREADS];
static pthread_barrier_t done;

static struct block make(size_t size) {
    struct block block = {size, malloc(size)};
    CHECK(block.address, "no memory for %zu", size);
    memset(block.address, 1, size);
    return block;
}

static void *work(void *argument) {
    size_t thread = (size_t)argument;
    static _Thread_local struct block batch[BATCH], kept[KEPT_FOR][BATCH / KEPT_OF];
    for (size_t round = 0; round < BATCHES; round++) {
        struct block *old = kept[round % KEPT_FOR];
        for (size_t i = 0; i < BATCH / KEPT_OF; i++)
            free(old[i].address);
        for (size_t i = 0; i < BATCH; i++)
            batch[i] = make(sizes[(i + round) % (sizeof sizes / sizeof *sizes)]);
        for (size_t i = 0; i < BATCH; i++) {
            if (i % KEPT_OF == 0)
                old[i / KEPT_OF] = batch[i];
            else if (round + 1 < BATCHES)
                free(batch[i].address);
            else
                held[thread][counts[thread]++] = batch[i];
        }
    }
    for (size_t batch = 0; batch < KEPT_FOR; batch++)
        for (size_t i = 0; i < BATCH / KEPT_OF; i++)
            held[thread][counts[thread]++] = kept[batch][i];
    /* Nobody ends, and leaves its memory to others, before all have done their work. */
    pthread_barrier_wait(&done);
    return NULL;
}

static int compare(const void *left, const void *right) {
    const struct use *a = left, *b = right;
    return (a->line > b->line) - (a->line < b->line);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: lines THREADS MOST");
    size_t threads = strtoul(argv[1], NULL, 10), most = strtoul(argv[2], NULL, 10);
    CHECK(threads <= MOST_THREADS, "at most %d threads", MOST_THREADS);
    pthread_t ids[MOST_THREADS];
    CHECK(pthread_barrier_init(&done, NULL, threads) == 0, "no barrier");
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_create(&ids[i], NULL, work, (void *)i) == 0, "no thread");
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);

    size_t count = 0;
    struct use *uses = calloc(threads * HELD * 4, sizeof *uses);
    CHECK(uses, "no memory for the lines");
    for (size_t i = 0; i < threads; i++)
        for (size_t j = 0; j < counts[i]; j++) {
            uintptr_t first = (uintptr_t)held[i][j].address / LINE;
            uintptr_t last = ((uintptr_t)held[i][j].address + held[i][j].size - 1) / LINE;
            for (uintptr_t line = first; line <= last; line++)
                uses[count++] = (struct use){line, i};
        }
    qsort(uses, count, sizeof *uses, compare);

    size_t lines = 0, shared = 0;
    for (size_t i = 0, next; i < count; i = next) {
        int mixed = 0;
        for (next = i; next < count && uses[next].line == uses[i].line; next++)
            mixed |= uses[next].thread != uses[i].thread;
        lines++;
        shared += mixed;
    }
    printf("%zu threads: %zu lines hold blocks, %zu of them blocks of several threads\n", threads, lines, shared);
    CHECK(shared * 10000 <= lines * most, "%zu of %zu lines are shared, at most %zu of 10000 may", shared, lines, most);
    return 0;
}
