/* What linking.c and linking.cpp have in common: is the allocator of this program ours? */
#ifndef LINKED_H
#define LINKED_H

#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <stratalloc.h>
#include <sys/wait.h>

#define LINKED_THREADS 4

/* Every way to a block: the figures of our heap must know of what each of them gives. */
static inline void linked_check_families(void) {
    struct mallinfo2 before = mallinfo2();
    void *blocks[9] = {0};
    const char *text = "a text that is longer than whatever a small string holds in itself";
    size_t i, grown;
    blocks[0] = malloc(opaque_size(100000));
    blocks[1] = calloc(opaque_size(1000), 100);
    blocks[2] = realloc(opaque(malloc(10)), 100000);
    blocks[3] = memalign(4096, opaque_size(100000));
    CHECK(posix_memalign(&blocks[4], 4096, opaque_size(100000)) == 0, "posix_memalign");
    blocks[5] = aligned_alloc(4096, opaque_size(102400));
    blocks[6] = valloc(opaque_size(100000));
    blocks[7] = reallocarray(NULL, opaque_size(1000), 100);
    blocks[8] = pvalloc(opaque_size(100000));
    grown = mallinfo2().uordblks - before.uordblks;
    CHECK(grown >= 900000, "some of these are not ours: %zu bytes more", grown);
    for (i = 0; i < 9; i++) {
        CHECK(malloc_usable_size(blocks[i]) >= 100000, "block %zu", i);
        free(blocks[i]);
    }
    /* The C library's own calls. */
    before = mallinfo2();
    for (i = 0; i < 9; i++) CHECK((blocks[i] = strdup(text)) != NULL, "strdup");
    grown = mallinfo2().uordblks - before.uordblks;
    CHECK(grown >= 9 * strlen(text), "the C library's calls are not ours: %zu bytes more", grown);
    for (i = 0; i < 9; i++) free(blocks[i]);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "mallopt");
    CHECK(strncmp(stratalloc_version(), "stratalloc ", 11) == 0, "%s", stratalloc_version());
}

static inline void *linked_thread(void *argument) {
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    char *blocks[256];
    size_t i, round;
    for (round = 0; round < 8; round++) {
        for (i = 0; i < 256; i++) {
            size_t size = random_size(&seed, 17);
            CHECK((blocks[i] = (char *)malloc(size)) != NULL, "%zu bytes", size);
            fill(blocks[i], size < 64 ? size : 64, i);
        }
        for (i = 0; i < 256; i++) free(blocks[i]);
    }
    return NULL;
}

static inline void linked_check_threads(void) {
    pthread_t threads[LINKED_THREADS];
    uintptr_t i;
    for (i = 0; i < LINKED_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, linked_thread, (void *)(i + 1)) == 0, "thread");
    linked_thread((void *)99);
    for (i = 0; i < LINKED_THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
}

static inline void linked_check(void) {
    int status;
    pid_t child;
    linked_check_families();
    linked_check_threads();
    child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        linked_check_threads();
        linked_check_families();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %#x", status);
}

#endif
