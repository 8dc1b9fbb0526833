/* Large blocks of which little is used: hash tables, bitmaps, arenas, sparse arrays. Resident memory follows what is
 * touched, whatever the blocks' sizes, and where huge pages are at hand. */
#include "check.h"

static char *blocks[1000];

/* Allocates `count` blocks and writes a byte in every `stride`. */
static void touch(size_t bytes, size_t count, size_t stride, int zeroed) {
    size_t before = resident_bytes(), touched = 0, now, i, at;
    for (i = 0; i < count; i++) {
        blocks[i] = zeroed ? calloc(1, bytes) : malloc(bytes);
        CHECK(opaque(blocks[i]) != NULL, "block %zu", i);
        for (at = 0; at < bytes; at += stride) {
            blocks[i][at] = 1;
            touched += 4 * KIB;
        }
    }
    now = resident_bytes() - before;
    CHECK(now <= 2 * touched + 4 * MIB, "%zu blocks of %zu bytes: %zu touched, %zu resident", count, bytes, touched, now);
    for (i = 0; i < count; i++) free(blocks[i]);
}

static void huge(void) { touch(32 * MIB, 8, 64 * KIB, 0); }
static void huge_zeroed(void) { touch(32 * MIB, 8, 64 * KIB, 1); }
static void a_few_huge_pages(void) { touch(4 * MIB, 64, 16 * KIB, 0); }
static void one_huge_page(void) { touch(2 * MIB, 100, 64 * KIB, 0); }
static void less_than_a_huge_page(void) { touch(1 * MIB, 200, 64 * KIB, 0); }

/* Blocks that are used whole come first: what was learned from them does not hold for long. */
static void after_dense_ones(void) {
    size_t i;
    for (i = 0; i < 16; i++) {
        blocks[i] = malloc(4 * MIB);
        CHECK(opaque(blocks[i]) != NULL, "block %zu", i);
        memset(blocks[i], 1, 4 * MIB);
    }
    size_t before = resident_bytes();
    for (i = 16; i < 116; i++) {
        size_t at;
        blocks[i] = malloc(4 * MIB);
        CHECK(opaque(blocks[i]) != NULL, "block %zu", i);
        for (at = 0; at < 4 * MIB; at += 64 * KIB) blocks[i][at] = 1;
    }
    CHECK(resident_bytes() - before <= 160 * MIB, "%zu of 400 MiB resident", (resident_bytes() - before) / MIB);
}

static const struct test_case cases[] = {
    {"huge", huge},
    {"huge_zeroed", huge_zeroed},
    {"a_few_huge_pages", a_few_huge_pages},
    {"one_huge_page", one_huge_page},
    {"less_than_a_huge_page", less_than_a_huge_page},
    {"after_dense_ones", after_dense_ones},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
