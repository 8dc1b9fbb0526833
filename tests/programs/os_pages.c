/* Blocks of all kinds keep their content while memory around them goes back to the kernel, whatever size its pages
 * have. Prints that size. `ci/aarch64-pages` looks at the system calls meanwhile. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>

enum { BLOCKS = 3000 };

struct block {
    unsigned char *at;
    size_t size;
    unsigned char with;
};

/* Every 256th byte, and the last one. */
static void paint(struct block *block) {
    for (size_t i = 0; i < block->size; i += 256)
        block->at[i] = block->with;
    block->at[block->size - 1] = block->with;
}

/* The first `size` bytes of what was painted. */
static void look_at(const struct block *block, size_t size) {
    for (size_t i = 0; i < size; i += 256)
        CHECK(block->at[i] == block->with, "byte %zu of %zu", i, block->size);
    CHECK(size < block->size || block->at[size - 1] == block->with, "the last byte of %zu", size);
}

static unsigned draw(unsigned *state) {
    *state = *state * 1103515245 + 12345;
    return *state >> 8;
}

/* Small blocks of many sizes and some large ones come and go; every so often all that is idle goes back. */
static void *mix(void *seed) {
    static __thread struct block blocks[BLOCKS];
    unsigned state = (unsigned)(size_t)seed;
    for (int turn = 0; turn < 12000; turn++) {
        struct block *block = &blocks[draw(&state) % BLOCKS];
        if (block->at) {
            look_at(block, block->size);
            free(block->at);
            block->at = NULL;
        } else {
            unsigned kind = draw(&state) % 64;
            size_t most = kind == 0 ? 3 * MIB : kind < 8 ? 100000 : 2000;
            block->size = 1 + draw(&state) % most;
            block->with = (unsigned char)(1 + turn % 255);
            block->at = kind == 1 ? memalign(1 << draw(&state) % 18, block->size) : malloc(block->size);
            CHECK(block->at != NULL, "%zu bytes", block->size);
            paint(block);
        }
        if (turn % 1500 == 1499)
            malloc_trim(0);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].at)
            look_at(&blocks[i], blocks[i].size);
        free(blocks[i].at);
    }
    return NULL;
}

/* Large blocks are resized in place, moved, and cut, inside the heap and beyond it. */
static void resized(void) {
    static const size_t sizes[] = {40000,    3 * MIB + 8192,   90 * MIB + 8192, 70 * MIB,
                                   20 * MIB, 65 * MIB + 5000, 130 * MIB,       50000};
    struct block first = {malloc(sizes[0]), sizes[0], 7}, second = {malloc(sizes[0]), sizes[0], 9};
    paint(&first);
    paint(&second);
    for (size_t i = 1; i < 3 * sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i % (sizeof sizes / sizeof *sizes)];
        for (struct block *block = &first;; block = &second) {
            size_t kept = block->size < size ? block->size : size;
            block->at = realloc(block->at, size);
            CHECK(block->at != NULL, "%zu bytes", size);
            struct block part = {block->at, block->size, block->with};
            look_at(&part, kept);
            block->size = size;
            paint(block);
            if (block == &second)
                break;
        }
        malloc_trim(0);
    }
    free(first.at);
    free(second.at);
}

/* What was given back reads as zero. */
static void zeroed(void) {
    for (int i = 0; i < 200; i++) {
        size_t size = 1000 + (size_t)i * 5000;
        unsigned char *block = calloc(1, size);
        for (size_t at = 0; at < size; at += 64)
            CHECK(block[at] == 0, "byte %zu of %zu", at, size);
        memset(block, 0xA5, size);
        free(block);
    }
}

int main(void) {
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, mix, (void *)(i + 1)) == 0, "a thread");
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    resized();
    zeroed();
    printf("%ld bytes in a page\n", sysconf(_SC_PAGESIZE));
    return 0;
}
