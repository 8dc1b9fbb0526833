/* What each function of C answers to requests at and beyond its limits: null or not, errno, and whether what was there is
 * left alone. Prints the answers, which are to be those of the C library that the program runs on. */
#include "check.h"

#include <malloc.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Walloc-size-larger-than="

static const size_t alignments[] = {0, 1, 3, 7, 8, 16, 24, 32, 48, 100, 4096, 5000, 1ul << 20, 3ul << 20, 1ul << 63, (1ul << 63) + 1, SIZE_MAX};
static const size_t sizes[] = {0, 1, 24, 100, 5000, 200000, PTRDIFF_MAX - 4096, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX};
#define EACH(index, array) for (size_t index = 0; index < sizeof array / sizeof *array; index++)

static void answer(const char *call, size_t first, size_t second, void *block) {
    int error = block ? 0 : errno;
    printf("%s(%#zx, %#zx): %s, errno %d\n", call, first, second, block ? "a block" : "null", error);
    free(block);
    errno = 0;
}

static void aligned(size_t alignment, size_t size) {
    void *out = (void *)0x5a;
    int result;
    answer("aligned_alloc", alignment, size, aligned_alloc(opaque_size(alignment), opaque_size(size)));
    answer("memalign", alignment, size, memalign(opaque_size(alignment), opaque_size(size)));
    result = posix_memalign(&out, opaque_size(alignment), opaque_size(size));
    printf("posix_memalign: %d, errno %d, out %s\n", result, errno, out == (void *)0x5a ? "as it was" : "set");
    if (result == 0) free(out);
    errno = 0;
}

static void plain(size_t size) {
    static const size_t counts[] = {0, 1, 3, SIZE_MAX / 2, SIZE_MAX};
    answer("malloc", size, 0, malloc(opaque_size(size)));
    answer("valloc", size, 0, valloc(opaque_size(size)));
    answer("pvalloc", size, 0, pvalloc(opaque_size(size)));
    EACH(i, counts) answer("calloc", counts[i], size, calloc(opaque_size(counts[i]), opaque_size(size)));
    EACH(i, counts) {
        char *block = malloc(10), *moved;
        memcpy(block, "123456789", 10);
        errno = 0;
        moved = reallocarray(block, opaque_size(counts[i]), opaque_size(size));
        /* Null for no bytes: it was freed. */
        printf("reallocarray(%#zx, %#zx): %s, errno %d\n", counts[i], size, moved ? "a block" : "null", moved ? 0 : errno);
        if (moved) {
            free(moved);
        } else if (errno != 0) {
            printf("still %s\n", block);
            free(opaque(block));
        }
        errno = 0;
    }
    answer("realloc of null", size, 0, realloc(NULL, opaque_size(size)));
    answer("reallocarray of null", size, 0, reallocarray(NULL, 1, opaque_size(size)));
    answer("realloc", size, 0, size < PTRDIFF_MAX / 2 ? realloc(malloc(10), size) : NULL);
}

int main(void) {
    /* Stdio's own block. */
    printf("answers\n");
    errno = 0;
    EACH(i, alignments) EACH(j, sizes) aligned(alignments[i], sizes[j]);
    EACH(i, sizes) plain(sizes[i]);
    free(NULL);
    printf("%zu, %d, %d\n", malloc_usable_size(NULL), malloc_info(1, stdout), malloc_trim(0) & ~1);
    return 0;
}
