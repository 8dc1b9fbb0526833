/* 30,000 short threads that leave blocks behind for others to free: memory must not grow with the
 * number of threads that ever lived. Argument: how many threads. */
#include "check.h"

#include <pthread.h>

#define AT_ONCE 6
#define PER_THREAD 60
#define LEFT 6

struct task {
    uint64_t seed;
    unsigned char *left[LEFT];
    size_t sizes[LEFT];
};

static void *short_life(void *argument) {
    struct task *task = argument;
    uint64_t state = task->seed;
    unsigned char *blocks[PER_THREAD];
    size_t sizes[PER_THREAD], i;
    for (i = 0; i < PER_THREAD; i++) {
        sizes[i] = random_size(&state, i % 20 ? 12 : 18);
        CHECK(blocks[i] = malloc(sizes[i]), "%zu", sizes[i]);
        fill(blocks[i], sizes[i], task->seed + i);
    }
    for (i = 0; i < PER_THREAD; i++) CHECK(filled(blocks[i], sizes[i], task->seed + i), "%zu", i);
    for (i = 0; i < PER_THREAD; i++) {
        if (i % (PER_THREAD / LEFT) == 0) {
            task->left[i / (PER_THREAD / LEFT)] = blocks[i];
            task->sizes[i / (PER_THREAD / LEFT)] = sizes[i];
        } else {
            free(blocks[i]);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    int total = amount(argc > 1 ? atoi(argv[1]) : 30000), started = 0, i, j;
    size_t early = 0, late;
    expect_library();
    while (started < total) {
        struct task tasks[AT_ONCE];
        pthread_t threads[AT_ONCE];
        for (i = 0; i < AT_ONCE; i++, started++) {
            tasks[i].seed = (uint64_t)started * 1000;
            CHECK(pthread_create(&threads[i], NULL, short_life, &tasks[i]) == 0, "%d", started);
        }
        for (i = 0; i < AT_ONCE; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0, "join");
            for (j = 0; j < LEFT; j++) {
                uint64_t seed = tasks[i].seed + (uint64_t)(j * (PER_THREAD / LEFT));
                CHECK(filled(tasks[i].left[j], tasks[i].sizes[j], seed), "left block %d", j);
                free(tasks[i].left[j]);
            }
        }
        if (early == 0 && started >= total / 10) early = resident_bytes();
    }
    late = resident_bytes();
    printf("resident after %d threads: %zu KiB, after %d: %zu KiB\n", total / 10,
           early / KIB, total, late / KIB);
    CHECK(grew_by_less(early, late, 8 * MIB), "grew from %zu to %zu bytes", early, late);
    return 0;
}
