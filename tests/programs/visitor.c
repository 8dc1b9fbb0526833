/* A library whose constructor, destructor and thread-local variables allocate, for torture.c. */
#include <stdlib.h>
#include <string.h>

static void *kept[64];
static __thread char *mine;

__attribute__((constructor)) static void arrive(void) {
    size_t i;
    for (i = 0; i < 64; i++) {
        kept[i] = malloc(i * i + 1);
        if (kept[i]) memset(kept[i], (int)i, i * i + 1);
    }
}

__attribute__((destructor)) static void leave(void) {
    size_t i;
    for (i = 0; i < 64; i++) free(kept[i]);
}

void *hand_out(size_t size);

void *hand_out(size_t size) {
    char *block = malloc(size);
    mine = block;
    if (block) memset(block, 1, size);
    return mine;
}
