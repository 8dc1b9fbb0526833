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

/* Memory that is used whole comes first, in blocks of `dense_bytes`: what was learned from it does not hold for long. */
static void after_dense_ones(size_t dense_bytes, size_t bytes, size_t count) {
    static char *sparse[8000];
    size_t dense = 64 * MIB, touched = 4 * KIB * count, before, now, i;
    char **first = malloc(dense / dense_bytes * sizeof *first);
    for (i = 0; i < dense / dense_bytes; i++) {
        first[i] = malloc(dense_bytes);
        CHECK(opaque(first[i]) != NULL, "block %zu", i);
        memset(first[i], 1, dense_bytes);
    }
    before = resident_bytes();
    for (i = 0; i < count; i++) {
        sparse[i] = malloc(bytes);
        CHECK(opaque(sparse[i]) != NULL, "block %zu", i);
        sparse[i][0] = 1;
    }
    now = resident_bytes() - before;
    CHECK(now <= touched + touched / 4 + 20 * MIB, "%zu blocks of %zu bytes after those of %zu: %zu KiB touched, %zu resident",
          count, bytes, dense_bytes, touched / KIB, now / KIB);
    for (i = 0; i < count; i++) free(sparse[i]);
    for (i = 0; i < dense / dense_bytes; i++) free(first[i]);
    free(first);
}

static void after_small_ones(void) { after_dense_ones(100, 100 * KIB, 2000); }
static void buffers_of_connections(void) { after_dense_ones(1000, 16 * KIB, 8000); }
static void longer_buffers(void) { after_dense_ones(1000, 64 * KIB, 4000); }
static void after_buffers(void) { after_dense_ones(64 * KIB, 200 * KIB, 1000); }
static void after_blocks(void) { after_dense_ones(1 * MIB, 1 * MIB, 200); }
static void after_longer_blocks(void) { after_dense_ones(4 * MIB, 3 * MIB, 100); }
static void after_one_block(void) { after_dense_ones(64 * MIB, 5 * MIB, 40); }

static const struct test_case cases[] = {
    {"huge", huge},
    {"huge_zeroed", huge_zeroed},
    {"a_few_huge_pages", a_few_huge_pages},
    {"one_huge_page", one_huge_page},
    {"less_than_a_huge_page", less_than_a_huge_page},
    {"after_small_ones", after_small_ones},
    {"buffers_of_connections", buffers_of_connections},
    {"longer_buffers", longer_buffers},
    {"after_buffers", after_buffers},
    {"after_blocks", after_blocks},
    {"after_longer_blocks", after_longer_blocks},
    {"after_one_block", after_one_block},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
