/* Statistics and tuning calls (C1.5, C3.2 to C3.6): what they print is checked by the caller, what
 * they count is checked here. All figures are compared as differences from a start, since the
 * C library allocates for itself too. */
#include "check.h"
#include <malloc.h>

#define MANY 20000

static unsigned char *blocks[MANY];

/* Bytes in use, wherever this allocator accounts large blocks. */
static size_t in_use(void) {
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks + info.fordblks == info.arena, "C3.3: %zu + %zu is not %zu", info.uordblks,
          info.fordblks, info.arena);
    return info.uordblks + info.hblkhd;
}

/* `now` lies between what was asked for and that plus the rounding of size classes (C3.6). */
static void expect_close(size_t now, size_t asked, const char *when) {
    size_t slack = asked / 8 + 256 * KIB;
    CHECK(now + 256 * KIB >= asked && now <= asked + slack, "%s: %zu in use, %zu asked for", when,
          now, asked);
}

/* The counts grow by what is allocated and fall by what is freed, at the moment of the call. */
static void mallinfo_counts(void) {
    size_t start = in_use(), i, asked = 0;
    for (i = 0; i < MANY; i++) {
        CHECK(blocks[i] = malloc(16 * (1 + i % 100)), "%zu", i);
        asked += 16 * (1 + i % 100);
    }
    expect_close(in_use() - start, asked, "small blocks");
    for (i = 0; i < MANY; i += 2) {
        free(blocks[i]);
        asked -= 16 * (1 + i % 100);
    }
    expect_close(in_use() - start, asked, "half of the small blocks");
    blocks[0] = malloc(64 * MIB);
    expect_close(in_use() - start, asked + 64 * MIB, "a block of 64 MiB");
    free(blocks[0]);
    expect_close(in_use() - start, asked, "after the block of 64 MiB");
    for (i = 1; i < MANY; i += 2) free(blocks[i]);
    CHECK(in_use() < start + 256 * KIB, "%zu in use at the end, %zu at the start", in_use(), start);
}

/* Document 000's example: 200 blocks of i KiB, then the odd ones freed. */
static void document_example(void) {
    size_t start = in_use(), i, asked = 0;
    for (i = 0; i < 200; i++) {
        CHECK(blocks[i] = malloc(i * KIB), "%zu", i);
        asked += i * KIB;
    }
    expect_close(in_use() - start, asked, "200 blocks of i KiB");
    for (i = 1; i < 200; i += 2) {
        free(blocks[i]);
        asked -= i * KIB;
    }
    expect_close(in_use() - start, asked, "the even blocks of i KiB");
    for (i = 0; i < 200; i += 2) free(blocks[i]);
}

/* The old call has the new one's figures, cut off at INT_MAX instead of wrapped (C3.3). */
static void mallinfo_saturates(void) {
    static void *big[6];
    size_t i;
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo small = mallinfo();
    struct mallinfo2 full = mallinfo2();
    CHECK((size_t)small.uordblks == full.uordblks, "%d, %zu", small.uordblks, full.uordblks);
    CHECK((size_t)small.arena == full.arena, "%d, %zu", small.arena, full.arena);
    for (i = 0; i < 6; i++) CHECK(big[i] = malloc(1024 * MIB), "an untouched GiB");
    small = mallinfo();
    CHECK(in_use() >= 6144 * MIB, "%zu", in_use());
    CHECK(small.uordblks == INT_MAX || small.hblkhd == INT_MAX, "%d, %d", small.uordblks,
          small.hblkhd);
    CHECK(small.arena >= 0 && small.fordblks >= 0 && small.hblkhd >= 0, "a count wrapped");
    for (i = 0; i < 6; i++) free(big[i]);
}

/* malloc_trim gives free memory back, so RSS falls; it tells whether it did (C1.5). */
static void trim_returns_memory(void) {
    size_t start, full, i;
    int result = malloc_trim(0);
    CHECK(result == 0 || result == 1, "malloc_trim gave %d", result);
    start = resident_bytes();
    for (i = 0; i < MANY; i++) {
        CHECK(blocks[i] = malloc(4000), "%zu", i);
        memset(blocks[i], 1, 4000);
    }
    full = resident_bytes();
    CHECK(full > start + 70 * MIB, "%zu resident at first, %zu with all blocks", start, full);
    for (i = 0; i < MANY; i++) free(blocks[i]);
    result = malloc_trim(0);
    CHECK(resident_bytes() < start + 12 * MIB, "%zu resident at first, %zu full, %zu at the end",
          start, full, resident_bytes());
    CHECK(result == 0 || result == 1, "malloc_trim gave %d", result);
    CHECK(result == 1 || full - resident_bytes() < MIB, "80 MiB free to release, and it said no");
    for (i = 0; i < MANY; i++) {
        CHECK(blocks[i] = malloc(4000), "%zu", i);
        fill(blocks[i], 4000, i);
    }
    for (i = 0; i < MANY; i++) CHECK(filled(blocks[i], 4000, i), "block %zu after a trim", i);
    for (i = 0; i < MANY; i++) free(blocks[i]);
    CHECK(malloc_trim(SIZE_MAX / 4) == 0, "nothing to release above a huge pad");
}

/* What glibc answers, for each name and value; in no case does it do harm. */
static void mallopt_results(void) {
    /* Two that nobody knows at the end. */
    static const int names[] = {M_MMAP_THRESHOLD, M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD, M_MXFAST, M_CHECK_ACTION,
                                M_PERTURB, M_ARENA_TEST, M_ARENA_MAX, M_NLBLKS, M_GRAIN, M_KEEP, 123456, -100};
    static const int values[] = {INT_MIN, -2, -1, 0, 1, 8, 64, 160, 161, 1 << 20, 32 << 20, (32 << 20) + 1, INT_MAX};
    size_t i, j;
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        for (j = 0; j < sizeof values / sizeof *values; j++) {
            int expected = names[i] != M_MXFAST || (values[j] >= 0 && values[j] <= 160), result;
            errno = 4242;
            result = mallopt(names[i], values[j]);
            CHECK(result == expected, "mallopt(%d, %d) gave %d", names[i], values[j], result);
            CHECK(errno == 4242, "mallopt set errno");
            free(opaque(malloc(3 * MIB)));
        }
    }
}

/* Prints for the caller to check, with a known amount in use. */
static void print_stats(void) {
    free(opaque(malloc(100)));
    CHECK(blocks[0] = malloc(MIB), "a MiB");
    CHECK(blocks[1] = malloc(64 * MIB), "64 MiB");
    malloc_stats();
}

static void print_info(void) {
    int result;
    CHECK(blocks[0] = malloc(MIB), "a MiB");
    errno = 0;
    result = malloc_info(1, stdout);
    CHECK(result == EINVAL || (result == -1 && errno == EINVAL), "options other than 0: %d",
          result);
    CHECK(malloc_info(0, stdout) == 0, "malloc_info");
    fflush(stdout);
}

static const struct test_case cases[] = {
    {"mallinfo_counts", mallinfo_counts},
    {"document_example", document_example},
    {"mallinfo_saturates", mallinfo_saturates},
    {"trim_returns_memory", trim_returns_memory},
    {"mallopt_results", mallopt_results},
    {"print_stats", print_stats},
    {"print_info", print_info},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
