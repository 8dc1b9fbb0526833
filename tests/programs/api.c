/* The contract of the malloc and POSIX family (C3.1): results, errno, alignment, contents. */
#include "api.h"

#define LIVE_MAX 4096

struct block {
    unsigned char *start;
    size_t size;
    uint64_t seed;
};

static struct block live[LIVE_MAX];

/* Sizes around every boundary that an allocator may have: powers of two and their neighbours. */
static size_t edge_sizes(size_t *sizes, size_t top) {
    size_t count = 0, power;
    for (power = 8; power <= top; power *= 2) {
        sizes[count++] = power - 1;
        sizes[count++] = power;
        sizes[count++] = power + 1;
        sizes[count++] = power + power / 2;
    }
    return count;
}

static void verify_and_free_all(size_t count) {
    size_t i;
    for (i = 0; i < count; i++)
        CHECK(filled(live[i].start, live[i].size, live[i].seed), "block %zu of %zu bytes changed",
              i, live[i].size);
    for (i = 0; i < count; i++) {
        api.free(live[i].start);
        live[i].start = NULL;
    }
}

static void keep(size_t i, void *start, size_t size) {
    CHECK(start, "no memory for %zu bytes, errno %d", size, errno);
    live[i] = (struct block){start, size, 0x1234567 + i * 977};
    fill(start, size, live[i].seed);
}

/* Every size up to 4 KiB alive at once: aligned for any type that fits, and no overlap. */
static void malloc_small(void) {
    size_t round, size;
    for (round = 0; round < 3; round++) {
        for (size = 1; size < LIVE_MAX; size++) {
            keep(size - 1, api.malloc(size), size);
            CHECK(is_aligned(live[size - 1].start, size > 8 ? 16 : 8), "%zu: %p", size,
                  (void *)live[size - 1].start);
        }
        verify_and_free_all(LIVE_MAX - 1);
    }
}

static void malloc_large(void) {
    size_t sizes[128], i, count = edge_sizes(sizes, 64 * MIB);
    for (i = 0; i < count; i++) {
        keep(i, api.malloc(sizes[i]), sizes[i]);
        CHECK(is_aligned(live[i].start, sizes[i] > 8 ? 16 : 8), "%zu", sizes[i]);
    }
    verify_and_free_all(count);
}

static void malloc_zero(void) {
    void *a = api.malloc(0), *b = api.malloc(0), *c = api.calloc(0, 0), *d = api.calloc(0, 5);
    CHECK(a && b && c && d, "an empty block is a block");
    CHECK(a != b && a != c && a != d && b != c && b != d && c != d, "empty blocks are distinct");
    api.free(a);
    api.free(b);
    api.free(c);
    api.free(d);
}

static void expect_exhausted(void *result, const char *what) {
    CHECK(result == NULL, "%s gave %p", what, result);
    CHECK(errno == ENOMEM, "%s set errno %d", what, errno);
    errno = 0;
}

/* Requests that no address space can hold, and products that overflow, fail without a trace. */
static void impossible_requests(void) {
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 15,
                                   SIZE_MAX - 4096,         SIZE_MAX / 2 - 8, (size_t)1 << 62,
                                   (size_t)1 << 48,         SIZE_MAX - 2 * MIB};
    size_t i;
    void *kept = api.malloc(100), *big = api.malloc(3 * MIB);
    fill(kept, 100, 1);
    fill(big, 3 * MIB, 2);
    errno = 0;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = opaque_size(sizes[i]);
        void *out = (void *)0x5a5a;
        expect_exhausted(api.malloc(size), "malloc");
        expect_exhausted(api.calloc(1, size), "calloc(1, n)");
        expect_exhausted(api.calloc(size, 1), "calloc(n, 1)");
        expect_exhausted(api.realloc(NULL, size), "realloc(NULL)");
        expect_exhausted(api.realloc(kept, size), "realloc of a small block");
        expect_exhausted(api.realloc(big, size), "realloc of a large block");
        expect_exhausted(api.reallocarray(kept, 1, size), "reallocarray");
        expect_exhausted(api.memalign(64, size), "memalign");
        expect_exhausted(api.memalign(64 * KIB, size), "memalign");
        expect_exhausted(api.aligned_alloc(4096, size), "aligned_alloc");
        expect_exhausted(api.valloc(size), "valloc");
        expect_exhausted(api.pvalloc(size), "pvalloc");
        CHECK(api.posix_memalign(&out, 64, size) == ENOMEM, "posix_memalign of %zu", size);
        CHECK(out == (void *)0x5a5a, "a failed posix_memalign stored %p", out);
        errno = 0;
    }
    expect_exhausted(api.calloc(opaque_size((size_t)1 << 32), (size_t)1 << 32), "calloc 2^64");
    expect_exhausted(api.calloc(opaque_size(SIZE_MAX / 4 + 2), 4), "calloc 2^64+4");
    expect_exhausted(api.calloc(opaque_size(SIZE_MAX / 2), 3), "calloc of an overflow");
    expect_exhausted(api.reallocarray(kept, opaque_size(SIZE_MAX / 4 + 2), 4), "reallocarray");
    expect_exhausted(api.reallocarray(NULL, opaque_size((size_t)1 << 33), (size_t)1 << 33),
                     "reallocarray(NULL)");
    CHECK(filled(kept, 100, 1) && filled(big, 3 * MIB, 2), "a failed realloc changed its block");
    api.free(kept);
    api.free(big);
}

/* free keeps errno (POSIX.1-2024, glibc 2.33), whatever it has to do. */
static void free_keeps_errno(void) {
    static const size_t sizes[] = {1, 100, 5000, 100 * KIB, 300 * KIB,
                                   2 * MIB, 40 * MIB, 200 * MIB};
    size_t i, j;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *blocks[20];
        for (j = 0; j < 20; j++) CHECK(blocks[j] = api.malloc(sizes[i]), "%zu", sizes[i]);
        for (j = 0; j < 20; j++) {
            errno = 4242;
            api.free(blocks[j]);
            CHECK(errno == 4242, "free of %zu bytes set errno %d", sizes[i], errno);
        }
    }
    errno = 4242;
    api.free(NULL);
    CHECK(errno == 4242, "free(NULL) set errno");
}

/* Memory that a program dirtied comes out of calloc clean, whatever its size and way. */
static void calloc_is_zero(void) {
    size_t sizes[128], i, round, count = edge_sizes(sizes, 48 * MIB);
    uint64_t state = 7;
    for (i = 0; i < count; i++) {
        size_t many = sizes[i] < 64 * KIB ? 64 : sizes[i] < 4 * MIB ? 3 : 1, j;
        for (round = 0; round < (sizes[i] < 4 * MIB ? 3 : 2); round++) {
            for (j = 0; j < many; j++) {
                live[j].start = round == 0 ? api.malloc(sizes[i]) : api.calloc(1, sizes[i]);
                CHECK(live[j].start, "%zu", sizes[i]);
                CHECK(round == 0 || all_zero(live[j].start, sizes[i]), "dirty: %zu", sizes[i]);
                memset(live[j].start, 0xff, api.malloc_usable_size(live[j].start));
            }
            for (j = 0; j < many; j++) api.free(live[j].start), live[j].start = NULL;
        }
    }
    for (i = 0; i < 20000; i++) {
        size_t j = next_random(&state) % 512, size = random_size(&state, 18), rows = 1 + size / 100;
        if (live[j + 1000].start) api.free(live[j + 1000].start);
        live[j + 1000].start = api.calloc(rows, 100);
        CHECK(all_zero(live[j + 1000].start, rows * 100), "dirty: %zu rows", rows);
        memset(live[j + 1000].start, 0xee, rows * 100);
    }
    for (i = 1000; i < 1512; i++) api.free(live[i].start), live[i].start = NULL;
}

static size_t lesser(size_t a, size_t b) { return a < b ? a : b; }

static void *checked_realloc(void *block, size_t from, size_t to) {
    unsigned char *moved;
    fill(block, from, from * 31 + to);
    moved = api.realloc(block, to);
    CHECK(moved, "realloc from %zu to %zu: errno %d", from, to, errno);
    CHECK(is_aligned(moved, to > 8 ? 16 : 8), "realloc to %zu: %p", to, (void *)moved);
    CHECK(filled(moved, lesser(from, to), from * 31 + to), "realloc from %zu to %zu", from, to);
    return moved;
}

/* Contents survive every step between sizes on both sides of every boundary. */
static void realloc_keeps_contents(void) {
    static const size_t large[] = {1 * MIB,     2 * MIB - 1, 2 * MIB,      2 * MIB + 1, 5 * MIB,
                                   8 * MIB + 9, 16 * MIB,    33 * MIB - 5, 48 * MIB,    64 * MIB};
    size_t sizes[128], i, j, from, count = edge_sizes(sizes, 512 * KIB);
    size_t big = sizeof large / sizeof *large;
    unsigned char *block;
    uint64_t state = 11;
    for (i = 0; i < count; i++)
        for (j = 0; j < count; j++)
            api.free(checked_realloc(api.malloc(sizes[i]), sizes[i], sizes[j]));
    for (i = 0; i < big; i++) {
        block = api.malloc(large[i]);
        for (j = 1, from = large[i]; j < 4; j++) {
            size_t to = large[(i + j * 3) % big];
            block = checked_realloc(block, from, to);
            from = to;
        }
        block = checked_realloc(block, from, 10 * KIB + i);
        api.free(checked_realloc(block, 10 * KIB + i, large[i]));
    }
    for (block = api.malloc(1), from = 1, i = 0; i < 4000; i++) {
        size_t to = random_size(&state, 20);
        block = checked_realloc(block, from, to);
        from = to;
    }
    api.free(block);
    for (block = NULL, i = 1; i <= 20000; i++) {
        CHECK(block = api.realloc(block, i), "%zu", i);
        block[i - 1] = (unsigned char)(i * 7);
    }
    for (i = 1; i <= 20000; i++) CHECK(block[i - 1] == (unsigned char)(i * 7), "byte %zu", i);
    api.free(block);
}

static void realloc_special(void) {
    void *block = api.realloc(NULL, 0);
    CHECK(block, "realloc(NULL, 0) is malloc(0)");
    errno = 4242;
    CHECK(api.realloc(block, 0) == NULL, "realloc(p, 0) frees and returns NULL, as in glibc");
    block = api.realloc(NULL, 10 * MIB);
    CHECK(block && api.realloc(block, 0) == NULL, "realloc(p, 0) of a large block");
    block = api.reallocarray(NULL, 10, 30);
    CHECK(block && api.malloc_usable_size(block) >= 300, "reallocarray(NULL, 10, 30)");
    fill(block, 300, 5);
    block = api.reallocarray(block, 1000, 30);
    CHECK(block && filled(block, 300, 5), "reallocarray keeps contents");
    api.free(block);
}

/* What the C library does with an alignment that is no power of two is its own affair (glibc before
 * 2.38 rounds up, later versions refuse); nobody may return less alignment than asked for. */
static void odd_alignments(void) {
    void *block, *out = (void *)0x5a5a;
    static const size_t wrong[] = {0, 1, 2, 4, 7, 12, 24, 4097, SIZE_MAX};
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(api.posix_memalign(&out, opaque_size(wrong[i]), 10) == EINVAL, "%zu", wrong[i]);
        CHECK(out == (void *)0x5a5a, "a refused posix_memalign stored %p", out);
    }
    errno = 0;
    block = api.memalign(opaque_size(48), 100);
    CHECK(block ? is_aligned(block, 64) : errno == EINVAL, "memalign(48): %p, %d", block, errno);
    api.free(block);
    errno = 0;
    block = api.aligned_alloc(opaque_size(48), 96);
    CHECK(block ? is_aligned(block, 64) : errno == EINVAL, "aligned_alloc(48): %p", block);
    api.free(block);
    errno = 0;
    CHECK(api.memalign(opaque_size(((size_t)1 << 63) + 1), 1) == NULL, "memalign(2^63 + 1)");
    CHECK(errno == EINVAL || errno == ENOMEM, "memalign(2^63 + 1) set errno %d", errno);
}

static void *aligned_by(unsigned form, size_t alignment, size_t size) {
    void *out = NULL;
    if (form == 0) return api.aligned_alloc(alignment, size);
    if (form == 1) return api.memalign(alignment, size);
    CHECK(api.posix_memalign(&out, alignment, size) == 0, "alignment %zu", alignment);
    return out;
}

/* Alignments from 8 to 4 MiB with sizes below, at and above them, several alive at once. */
static void aligned_forms(void) {
    size_t alignment, i, n;
    for (alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        size_t sizes[] = {0, 1, 8, 100, alignment - 1, alignment, alignment + 1,
                          3 * alignment, 100000};
        size_t copies = alignment <= 64 * KIB ? 12 : 2, copy;
        for (n = 0, copy = 0; copy < copies; copy++) {
            for (i = 0; i < sizeof sizes / sizeof *sizes; i++, n++) {
                size_t size = copies == 2 ? lesser(sizes[i], alignment + 1) : sizes[i];
                void *start = aligned_by((unsigned)(n % 3), alignment, size);
                CHECK(start && is_aligned(start, alignment), "%zu at %zu: %p", size, alignment,
                      start);
                CHECK(api.malloc_usable_size(start) >= size, "%zu at %zu", size, alignment);
                keep(n, start, size);
            }
        }
        for (i = 0; i < n; i += 5) {
            CHECK(filled(live[i].start, live[i].size, live[i].seed), "aligned block %zu", i);
            live[i].start = checked_realloc(live[i].start, live[i].size, live[i].size + 77);
            live[i].size += 77;
            fill(live[i].start, live[i].size, live[i].seed);
        }
        verify_and_free_all(n);
    }
}

/* All of malloc_usable_size belongs to the program, at least the request, for every size. */
static void usable_size_is_writable(void) {
    uint64_t state = 3;
    size_t i;
    CHECK(api.malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL)");
    for (i = 0; i < LIVE_MAX; i++) {
        size_t size = i < 2048 ? i : random_size(&state, i % 64 ? 17 : 23);
        void *block = api.malloc(size);
        size_t usable = api.malloc_usable_size(block);
        CHECK(usable >= size, "%zu usable of %zu", usable, size);
        keep(i, block, usable);
    }
    for (i = 0; i < LIVE_MAX; i++)
        CHECK(api.malloc_usable_size(live[i].start) == live[i].size, "the size of block %zu", i);
    verify_and_free_all(LIVE_MAX);
}

static void page_aligned(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size;
    for (size = 1; size < 3 * page; size += 511) {
        void *a = api.valloc(size), *b = api.pvalloc(size);
        CHECK(a && b && is_aligned(a, page) && is_aligned(b, page), "%zu", size);
        CHECK(api.malloc_usable_size(b) >= (size + page - 1) / page * page, "pvalloc %zu", size);
        memset(a, 1, size);
        memset(b, 2, (size + page - 1) / page * page);
        api.free(a);
        api.free(b);
    }
}

static const struct test_case cases[] = {
    {"malloc_small", malloc_small},
    {"malloc_large", malloc_large},
    {"malloc_zero", malloc_zero},
    {"impossible_requests", impossible_requests},
    {"free_keeps_errno", free_keeps_errno},
    {"calloc_is_zero", calloc_is_zero},
    {"realloc_keeps_contents", realloc_keeps_contents},
    {"realloc_special", realloc_special},
    {"odd_alignments", odd_alignments},
    {"aligned_forms", aligned_forms},
    {"usable_size_is_writable", usable_size_is_writable},
    {"page_aligned", page_aligned},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    load_api();
    return run_cases(cases, argc, argv);
}
