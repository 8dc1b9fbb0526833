/* The functions that every C program expects of its allocator, in a table. Linked programs and
 * preloaded ones take them as they are bound; with -DUSE_DLOPEN they come from the library that
 * STRATALLOC_DLOPEN names, while the rest of the process stays on the system's allocator. */
#ifndef API_H
#define API_H

#include "check.h"
#include <malloc.h>

struct api {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*reallocarray)(void *, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
};

static struct api api;

#ifdef USE_DLOPEN
static void *library_handle;

static void *symbol(const char *name) {
    void *found = dlsym(library_handle, name);
    Dl_info info;
    CHECK(found, "the library has no %s", name);
    CHECK(dladdr(found, &info) && strstr(info.dli_fname, "libc.so") == NULL,
          "%s comes from %s", name, info.dli_fname);
    return found;
}

static void load_api(void) {
    const char *path = getenv("STRATALLOC_DLOPEN");
    CHECK(path, "STRATALLOC_DLOPEN is not set");
    library_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library_handle, "%s", dlerror());
#define TAKE(name) *(void **)&api.name = symbol(#name)
#else
static void load_api(void) {
#define TAKE(name) api.name = name
#endif
    TAKE(malloc);
    TAKE(free);
    TAKE(calloc);
    TAKE(realloc);
    TAKE(reallocarray);
    TAKE(aligned_alloc);
    TAKE(memalign);
    TAKE(posix_memalign);
    TAKE(valloc);
    TAKE(pvalloc);
    TAKE(malloc_usable_size);
#undef TAKE
}

#endif
