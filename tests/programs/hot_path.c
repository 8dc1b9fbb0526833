/* The loops whose instructions are counted: one allocation and, but for what builds, one free per round, and one
 * store, so that the block is used. Arguments: how many rounds, and the operation. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define LOOP(allocation, release) \
    for (i = 0; i < rounds; i++) { \
        void *block = allocation; \
        *(volatile char *)block = 1; \
        release; \
    }

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1000, i;
    const char *operation = argc > 2 ? argv[2] : "malloc";
    if (!strcmp(operation, "malloc")) {
        LOOP(malloc(16 + ((size_t)i & 48)), free(block))
    } else if (!strcmp(operation, "free_sized")) {
        /* Not in every C library yet. */
        void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
        if (!free_sized) return 1;
        LOOP(malloc(16 + ((size_t)i & 48)), free_sized(block, 16 + ((size_t)i & 48)))
    } else if (!strcmp(operation, "calloc")) {
        LOOP(calloc(1, 48), free(block))
    } else if (!strcmp(operation, "aligned_alloc")) {
        LOOP(aligned_alloc(64, 64 + ((size_t)i & 64)), free(block))
    } else if (!strcmp(operation, "realloc")) {
        /* Of a block that stays where it is. */
        void *block = malloc(48);
        for (i = 0; i < rounds; i++) {
            block = realloc(block, 36 + ((size_t)i & 8));
            *(volatile char *)block = 1;
        }
    } else if (!strcmp(operation, "realloc_null")) {
        LOOP(realloc(NULL, 40), free(block))
    } else if (!strcmp(operation, "realloc_longer")) {
        LOOP(realloc(malloc(40), 100), free(block))
    } else if (!strcmp(operation, "free_null")) {
        void *volatile nothing = NULL;
        for (i = 0; i < rounds; i++) free(nothing);
    } else if (!strcmp(operation, "build_small")) {
        /* Nothing is freed. */
        LOOP(malloc(16 + ((size_t)i & 48)), (void)0)
    } else if (!strcmp(operation, "build_medium")) {
        LOOP(malloc(600 + ((size_t)i & 48)), (void)0)
    } else if (!strcmp(operation, "heap")) {
        /* In a heap with a lifetime, which no C library has. */
        void *(*heap_new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "st_heap_new");
        void *(*get)(void *, size_t) = (void *(*)(void *, size_t))dlsym(RTLD_DEFAULT, "st_heap_malloc");
        void (*give)(void *, void *) = (void (*)(void *, void *))dlsym(RTLD_DEFAULT, "st_heap_free");
        void *heap;
        if (!heap_new || !get || !give) return 1;
        heap = heap_new(0);
        LOOP(get(heap, 16 + ((size_t)i & 48)), give(heap, block))
    } else {
        return 1;
    }
    return 0;
}
