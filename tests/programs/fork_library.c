/* A library whose constructor registers `fork` handlers that allocate and keep what they get. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *kept[64];
static size_t runs;

static void use(void) {
    size_t i;
    for (i = 0; i < 64; i++) {
        size_t size = ((size_t)1 << (i % 20)) + runs;
        char *block = i % 3 ? realloc(kept[i], size) : malloc(size);
        if (!block) _exit(9);
        if (i % 3 == 0) free(kept[i]);
        memset(block, (int)i, size < 64 ? size : 64);
        kept[i] = block;
    }
    free(calloc(3, 1 << 20));
    runs++;
}

__attribute__((constructor)) static void construct(void) {
    if (pthread_atfork(use, use, use) != 0) _exit(8);
}

/* Handlers ran twice for each `fork` in this process. */
__attribute__((destructor)) static void end(void) {
    const char *wanted = getenv("FORK_LIBRARY_RUNS");
    if (wanted && runs != (size_t)atol(wanted)) _exit(7);
}
