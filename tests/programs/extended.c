/* Calls beyond glibc's that the library exports too: jemalloc's nallocx and sdallocx, macOS's
 * malloc_size and malloc_good_size, C23's sized frees, and glibc's own aliases. */
#include "check.h"
#include <stratalloc.h>

/* jemalloc's flag for an alignment of 2^log. */
#define LG_ALIGN(log) (log)

static void predicted_sizes(void) {
    uint64_t state = 5;
    size_t i;
    for (i = 0; i < 6000; i++) {
        size_t size = i < 3000 ? i + 1 : random_size(&state, 26);
        void *block = malloc(size);
        size_t usable = malloc_usable_size(block);
        CHECK(block && usable >= size, "%zu", size);
        CHECK(nallocx(size, 0) == usable, "%zu: nallocx %zu, usable %zu", size,
              nallocx(size, 0), usable);
        CHECK(malloc_good_size(size) == usable, "%zu: %zu", size, malloc_good_size(size));
        CHECK(malloc_size(block) == usable, "%zu: malloc_size %zu", size, malloc_size(block));
        CHECK(malloc_good_size(usable) == usable, "a good size %zu is good", usable);
        free(block);
    }
    CHECK(malloc_size(NULL) == 0, "malloc_size(NULL)");
}

static void predicted_aligned_sizes(void) {
    static const size_t sizes[] = {1, 17, 100, 1000, 4097, 70000, 300000, 3000000};
    int log;
    size_t i;
    for (log = 0; log <= 22; log++) {
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t alignment = (size_t)1 << log, predicted = nallocx(sizes[i], LG_ALIGN(log));
            void *block = memalign(alignment, sizes[i]);
            CHECK(block && is_aligned(block, alignment), "%zu at 2^%d", sizes[i], log);
            CHECK(predicted == malloc_usable_size(block), "%zu at 2^%d: predicted %zu, usable %zu",
                  sizes[i], log, predicted, malloc_usable_size(block));
            memset(block, 1, predicted);
            sdallocx(block, sizes[i], LG_ALIGN(log));
        }
    }
}

static void predicted_failures(void) {
    CHECK(nallocx(opaque_size((size_t)PTRDIFF_MAX + 1), 0) == 0, "nallocx of the impossible");
    CHECK(nallocx(opaque_size(SIZE_MAX), 0) == 0, "nallocx of the impossible");
    CHECK(nallocx(opaque_size(SIZE_MAX), LG_ALIGN(12)) == 0, "nallocx of the impossible");
}

/* A sized free may name the request or anything up to the usable size; what it freed comes back. */
static void sized_frees(void) {
    static unsigned char *blocks[2000];
    uint64_t state = 9;
    size_t round, i;
    for (round = 0; round < 6; round++) {
        static size_t sizes[2000];
        for (i = 0; i < 2000; i++) {
            sizes[i] = random_size(&state, i % 100 ? 14 : 22);
            CHECK(blocks[i] = malloc(sizes[i]), "%zu", sizes[i]);
            fill(blocks[i], sizes[i], i);
        }
        for (i = 0; i < 2000; i++) CHECK(filled(blocks[i], sizes[i], i), "block %zu changed", i);
        for (i = 0; i < 2000; i++) {
            if (i % 4 == 0) free_sized(blocks[i], sizes[i]);
            else if (i % 4 == 1) sdallocx(blocks[i], sizes[i], 0);
            else if (i % 4 == 2) sdallocx(blocks[i], malloc_usable_size(blocks[i]), 0);
            else free(blocks[i]);
        }
    }
    errno = 4242;
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 64, 64);
    free_sized(calloc(3, 50), 150);
    free_sized(realloc(malloc(10), 1000), 1000);
    CHECK(errno == 4242, "sized frees keep errno");
}

static void aligned_sized_frees(void) {
    size_t alignment, i;
    for (alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        for (i = 0; i < 20; i++) {
            size_t size = alignment * (1 + i % 3);
            unsigned char *block = aligned_alloc(alignment, size);
            CHECK(block && is_aligned(block, alignment), "%zu", alignment);
            block[0] = block[size - 1] = 1;
            free_aligned_sized(block, alignment, size);
        }
    }
}

/* Programs that wrap malloc call these; they must reach the same allocator as the plain names. */
static void libc_aliases(void) {
    void *block = __libc_malloc(100);
    CHECK(block, "__libc_malloc");
    fill(block, 100, 1);
    block = realloc(block, 100000);
    CHECK(block && filled(block, 100, 1), "realloc of a block from __libc_malloc");
    __libc_free(block);
    cfree(malloc(100));
    block = __libc_calloc(10, 10);
    CHECK(block && all_zero(block, 100), "__libc_calloc");
    free(block);
    block = __libc_realloc(malloc(10), 1000);
    CHECK(block, "__libc_realloc");
    free(block);
    block = __libc_memalign(256, 10);
    CHECK(block && is_aligned(block, 256), "__libc_memalign");
    free(block);
}

static void version_and_extension(void) {
    char text[4096] = "", little[8] = "";
    const char *version = stratalloc_version();
    CHECK(version && strncmp(version, "stratalloc ", 11) == 0, "version %s", version);
    MallocExtension_GetStats(text, sizeof text);
    CHECK(strlen(text) > 100 && strlen(text) < sizeof text - 1, "%zu characters", strlen(text));
    MallocExtension_GetStats(little, sizeof little);
    CHECK(strlen(little) == 7 && strncmp(little, text, 7) == 0, "cut off: %s", little);
    MallocExtension_GetStats(NULL, 100);
    MallocExtension_GetStats(text, 0);
    MallocExtension_ReleaseFreeMemory();
    free(opaque(malloc(5000)));
}

static const struct test_case cases[] = {
    {"predicted_sizes", predicted_sizes},
    {"predicted_aligned_sizes", predicted_aligned_sizes},
    {"predicted_failures", predicted_failures},
    {"sized_frees", sized_frees},
    {"aligned_sized_frees", aligned_sized_frees},
    {"libc_aliases", libc_aliases},
    {"version_and_extension", version_and_extension},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
