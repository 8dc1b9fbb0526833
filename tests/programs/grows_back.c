/* What the allocator needs for itself: it grows with what the program has, and shrinks or is used again when that is
 * gone. The mappings of the process stay far from their limit. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

/* A figure of /proc/self/status in bytes. */
static size_t status(const char *name) { return kib_of("/proc/self/status", name) * KIB; }

typedef int property_function(const char *, size_t *);

static size_t property(const char *name) {
    size_t value = 0;
    property_function *get = (property_function *)dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
    CHECK(get && get(name, &value), "%s", name);
    return value;
}

/* A hundred thousand blocks with mappings of their own, one after the other and each elsewhere. */
static void direct_blocks(void) {
    size_t before, i, most = 0;
    free(opaque(malloc(100 * MIB)));
    before = status("VmRSS:");
    for (i = 1; i <= 100000; i++) {
        void *block = opaque(malloc(opaque_size(i * 10 * MIB)));
        CHECK(block != NULL, "%zu", i);
        free(block);
        /* The first ones, up to 64 MiB, are the heap's, which grows for them. */
        if (i == 10) most = mappings() + 4;
    }
    CHECK(status("VmRSS:") < before + 2 * MIB, "%zu bytes more", status("VmRSS:") - before);
    CHECK(mappings() <= most, "%zu mappings", mappings());
}

/* Ten thousand of them at once: their records are used again. */
static void direct_blocks_at_once(void) {
    enum { BLOCKS = 10000 };
    static void *blocks[BLOCKS];
    size_t round, i, first = 0;
    for (round = 0; round < 4; round++) {
        for (i = 0; i < BLOCKS; i++) {
            blocks[i] = opaque(malloc(opaque_size(65 * MIB + (round + i) * 4 * KIB)));
            CHECK(blocks[i] != NULL, "%zu", i);
        }
        for (i = 0; i < BLOCKS; i++) free(blocks[i]);
        if (round == 0) first = property("stratalloc.metadata_used_bytes");
    }
    CHECK(property("stratalloc.metadata_used_bytes") < first + MIB, "%zu bytes, %zu at first",
          property("stratalloc.metadata_used_bytes"), first);
}

static void *nothing(void *argument) { return argument; }

/* Every second huge page of many loses a part, which goes back. */
static void broken_huge_pages(void) {
    enum { HUGE_PAGES = 40000 };
    static void *blocks[2 * HUGE_PAGES];
    pthread_t thread;
    size_t i, whole;
    for (i = 0; i < 2 * HUGE_PAGES; i++) blocks[i] = opaque(malloc(MIB - 16));
    for (i = 0; i < 2 * HUGE_PAGES; i += 4) free(blocks[i]);
    malloc_trim(0);
    CHECK(mappings() < 65530 / 4 + 1000, "%zu mappings", mappings());
    CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
    for (i = 0; i < 2 * HUGE_PAGES; i++)
        if (i % 4) free(blocks[i]);
    malloc_trim(0);
    whole = mappings();
    CHECK(whole < 1000, "%zu mappings when all is free", whole);
}

/* Large blocks in the hardened library, which puts pages beside them that nobody may touch. */
static void guarded_blocks(void) {
    enum { BLOCKS = 20000 };
    static void *blocks[BLOCKS];
    size_t i, before = mappings(), most;
    void *probe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* MADV_GUARD_INSTALL */
    int has_guards = madvise(probe, 4096, 102) == 0;
    munmap(probe, 4096);
    for (i = 0; i < BLOCKS; i++) blocks[i] = opaque(malloc(100 * KIB));
    most = mappings() - before;
    CHECK(most < (has_guards ? 500 : 65530 / 2), "%zu mappings", most);
    for (i = 0; i < BLOCKS; i++) free(blocks[i]);
}

/* The records are a hundredth of what is mapped, at most; two where there is nothing but blocks of 16 bytes, whose spans are
 * the shortest. */
static void share_of_records(void) {
    static const size_t sizes[] = {64, 200, 1000, 5000, 30000, 100000, 3000000, 16};
    size_t which;
    for (which = 0; which < sizeof sizes / sizeof *sizes; which++) {
        size_t size = sizes[which], count = 256 * MIB / size, i, used, mapped;
        void **blocks = malloc(count * sizeof *blocks);
        for (i = 0; i < count; i++) CHECK((blocks[i] = opaque(malloc(size))) != NULL, "%zu", i);
        used = property("stratalloc.metadata_used_bytes");
        mapped = property("generic.heap_size");
        dprintf(1, "%zu: %zu of %zu\n", size, used, mapped);
        CHECK(used * 100 <= mapped * (size == 16 ? 2 : 1), "blocks of %zu bytes: %zu bytes of records for %zu mapped", size, used, mapped);
        for (i = 0; i < count; i++) free(blocks[i]);
        free(blocks);
        malloc_trim(0);
    }
}

/* Threads that come and go use the same records. */
static void *allocates(void *argument) {
    size_t size;
    for (size = 16; size < 4096; size *= 2) free(opaque(malloc(size)));
    return argument;
}

static void threads(void) {
    size_t i, first = 0;
    for (i = 0; i < 10000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, allocates, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
        if (i == 100) first = property("stratalloc.metadata_used_bytes");
    }
    CHECK(property("stratalloc.metadata_used_bytes") <= first + 64 * KIB, "%zu bytes, %zu at first",
          property("stratalloc.metadata_used_bytes"), first);
}

static const struct test_case cases[] = {
    {"direct_blocks", direct_blocks},
    {"direct_blocks_at_once", direct_blocks_at_once},
    {"broken_huge_pages", broken_huge_pages},
    {"guarded_blocks", guarded_blocks},
    {"share_of_records", share_of_records},
    {"threads", threads},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
