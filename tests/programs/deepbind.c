/* Opens a library with RTLD_DEEPBIND, as PHP and Apache do, and passes blocks to and fro.
 * Argument: the library. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>

static size_t (*make)(void **, size_t), (*usable)(void *);
static void (*take)(void *), (*mix)(void);
static void *(*resize)(void *, size_t);

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    CHECK(found, "%s: %s", name, dlerror());
    return found;
}

static void *pass_to_and_fro(void *argument) {
    static const size_t sizes[] = {1, 40, 1000, 5000, 100000, 3000000};
    void *blocks[16], *block;
    size_t i, n, count;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        mix();
        count = make(blocks, sizes[i]);
        for (n = 0; n < count; n++) {
            CHECK(blocks[n] && malloc_usable_size(blocks[n]) >= sizes[i], "block %zu", n);
            fill(blocks[n], sizes[i], n);
        }
        for (n = 0; n < count; n++) {
            CHECK(filled(blocks[n], sizes[i], n), "block %zu", n);
            if (n % 2) {
                CHECK((block = realloc(blocks[n], sizes[i] * 2)), "block %zu", n);
                blocks[n] = block;
            }
            free(blocks[n]);
        }
        block = malloc(sizes[i]);
        fill(block, sizes[i], i);
        CHECK(usable(block) == malloc_usable_size(block), "%zu bytes", sizes[i]);
        CHECK((block = resize(block, sizes[i] * 3)) && filled(block, sizes[i], i), "%zu", sizes[i]);
        take(block);
        take(strdup("a text of the C library's, for the library"));
    }
    return argument;
}

int main(int argc, char **argv) {
    pthread_t thread;
    void *handle, *c_library = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    CHECK(argc == 2 && c_library, "usage: deepbind LIBRARY");
    expect_library();
    CHECK((handle = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND)), "%s", dlerror());
    *(void **)&make = symbol(handle, "library_make");
    *(void **)&usable = symbol(handle, "library_usable");
    *(void **)&take = symbol(handle, "library_take");
    *(void **)&mix = symbol(handle, "library_mix");
    *(void **)&resize = symbol(handle, "library_resize");
    pass_to_and_fro(NULL);
    CHECK(pthread_create(&thread, NULL, pass_to_and_fro, NULL) == 0, "thread");
    CHECK(pthread_join(thread, NULL) == 0, "join");
    /* Who asks the C library itself for a function gets one that fits all others. */
    *(void **)&take = symbol(c_library, "free");
    take(malloc(100));
    CHECK(dlclose(handle) == 0, "%s", dlerror());
    return 0;
}
