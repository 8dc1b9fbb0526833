/* Blocks that say how long they are and what is written to them, so that whoever takes one over can check
 * it. Include `check.h` before. */
#ifndef BLOCKS_H
#define BLOCKS_H

struct block {
    size_t size;
    uint64_t seed;
    unsigned char bytes[];
};

static inline struct block *make_sized(uint64_t *random, size_t size) {
    struct block *block = malloc(sizeof *block + size);
    CHECK(block, "no memory for %zu", size);
    block->size = size;
    block->seed = next_random(random);
    fill(block->bytes, size, block->seed);
    return block;
}

/* Null is no block. */
static inline void check_and_free(struct block *block) {
    if (!block) return;
    CHECK(filled(block->bytes, block->size, block->seed), "a block of %zu changed", block->size);
    free(block);
}

#endif
