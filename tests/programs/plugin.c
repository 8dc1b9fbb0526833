/* plugin.rs in C: a plug-in with `libstratalloc.a` in it. */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t key;

__attribute__((constructor)) static void make_key(void) { pthread_key_create(&key, NULL); }
__attribute__((destructor)) static void delete_key(void) { pthread_key_delete(key); }

size_t plugin_work(size_t seed) {
    void *blocks[2000];
    size_t i;
    for (i = 0; i < 2000; i++) {
        if (!(blocks[i] = malloc(1 + (seed * 37 + i * 13) % 3000))) return i;
        memset(blocks[i], 1, 1);
    }
    while (i) free(blocks[--i]);
    free(calloc(3, 1 << 20));
    return 2000;
}

/* A block that its thread keeps to its end. */
void plugin_keep(size_t seed) {
    free(pthread_getspecific(key));
    pthread_setspecific(key, malloc(seed));
}

void *plugin_make(size_t length) { return malloc(length); }

void plugin_drop(void *block, size_t length) {
    if (malloc_usable_size(block) >= length) free(block);
}
