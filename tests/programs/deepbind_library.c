/* A library that is opened with RTLD_DEEPBIND (deepbind.c): its `malloc` and `free` are looked up
 * in the C library first, while the C library's own calls go to the process's `malloc`. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mixes both before the library has been opened. */
__attribute__((constructor)) static void mix(void) {
    free(strdup("a text of the constructor's"));
}

/* Blocks for the program to free: of each function that makes some. */
size_t library_make(void **blocks, size_t size) {
    blocks[0] = malloc(size);
    blocks[1] = calloc(size, 1);
    blocks[2] = realloc(malloc(1), size);
    blocks[3] = memalign(64, size);
    blocks[4] = aligned_alloc(64, size);
    blocks[5] = valloc(size);
    blocks[6] = pvalloc(size);
    blocks[7] = reallocarray(NULL, size, 1);
    if (posix_memalign(&blocks[8], 64, size)) blocks[8] = NULL;
    return 9;
}

/* Takes the program's block. */
void library_take(void *block) { free(block); }

void *library_resize(void *block, size_t size) { return realloc(block, size); }

size_t library_usable(void *block) { return malloc_usable_size(block); }

/* Blocks that the C library makes for whoever calls it. */
void library_mix(void) {
    char *text = NULL, *line = NULL;
    size_t length = 0;
    FILE *stream;
    free(strdup("a text that is longer than what a small block holds in itself"));
    if (asprintf(&text, "%0500d", 7) == 500) free(text);
    free(realpath("/", NULL));
    stream = fopen("/proc/self/status", "r");
    while (stream && getline(&line, &length, stream) > 0) line = realloc(line, length += 100);
    free(line);
    if (stream) fclose(stream);
    stream = open_memstream(&text, &length);
    fprintf(stream, "%05000d", 7);
    fclose(stream);
    free(realloc(text, 10000));
}
