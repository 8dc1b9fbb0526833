/* Prints how much memory a program holds, in KiB, for a test that compares two allocators. The first argument says
 * what the program does. */
#include "check.h"

/* A figure of /proc/self/smaps_rollup. */
static long rollup(const char *name) { return (long)kib_of("/proc/self/smaps_rollup", name); }

/* What a program has that allocates as little as `true` or `echo`. */
static long small(void) {
    size_t i;
    for (i = 1; i <= 8; i++) memset(opaque(malloc(i * 60)), 1, i * 60);
    return rollup("Anonymous:");
}

/* Blocks at multiples of 64 KiB. */
static long aligned(size_t size) {
    long before = rollup("Rss:");
    int i;
    for (i = 0; i < 5000; i++) {
        void *block = opaque(aligned_alloc(64 * KIB, opaque_size(size)));
        CHECK(block != NULL, "%d", i);
        memset(block, 1, size);
    }
    return rollup("Rss:") - before;
}

/* What is left, right after the last `free`, of a hundred MiB in blocks of one size. */
static long freed(size_t size) {
    static void *blocks[4096];
    long before = rollup("Rss:");
    size_t i, count = 100 * MIB / size;
    CHECK(count <= 4096, "%zu", count);
    for (i = 0; i < count; i++) memset(blocks[i] = opaque(malloc(size)), 1, size);
    for (i = 0; i < count; i++) free(blocks[i]);
    return rollup("Rss:") - before;
}

int main(int argc, char **argv) {
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    CHECK(argc > 1, "what to do");
    if (strcmp(argv[1], "small") == 0) dprintf(1, "%ld\n", small());
    else if (strcmp(argv[1], "aligned") == 0) dprintf(1, "%ld\n", aligned(size));
    else if (strcmp(argv[1], "freed") == 0) dprintf(1, "%ld\n", freed(size));
    else CHECK(0, "%s", argv[1]);
    return 0;
}
