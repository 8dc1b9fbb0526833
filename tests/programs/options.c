/* What the options do, as a program sees it from outside: resident bytes, mallinfo2, the flags of
 * mappings. The cases print figures as "name number"; what they must be depends on the options that
 * the test sets (tests/tests/options.rs). */
#include <malloc.h>
#include <sys/auxv.h>
#include <time.h>

#include "check.h"

#define COUNT 100

static void *blocks[COUNT];

static void print(const char *name, size_t number) { dprintf(1, "%s %zu\n", name, number); }

/* 100 MiB of blocks far below any threshold of mappings, touched. */
static void fill_100_mib(void) {
    size_t i;
    for (i = 0; i < COUNT; i++) {
        CHECK(blocks[i] = malloc(MIB), "block %zu", i);
        memset(blocks[i], 1, MIB);
    }
}

static void free_100_mib(void) {
    size_t i;
    for (i = 0; i < COUNT; i++) free(blocks[i]);
}

/* A little work on the page heap now and then, for `ms` milliseconds. */
static void work_for(long ms) {
    static const struct timespec pause = {0, 10 * 1000 * 1000};
    for (; ms > 0; ms -= 10) {
        free(opaque(malloc(64 * KIB)));
        nanosleep(&pause, NULL);
    }
}

/* Resident bytes: full, right after everything was freed, and after one more second of work. */
static void decay(void) {
    fill_100_mib();
    print("full", resident_bytes());
    free_100_mib();
    print("freed", resident_bytes());
    work_for(1000);
    print("later", resident_bytes());
    malloc_trim(0);
    print("trimmed", resident_bytes());
}

/* Blocks with a mapping of their own while one of 1 MiB and one of 65 MiB are allocated. */
static void direct(void) {
    void *small, *large;
    CHECK(small = malloc(MIB), "1 MiB");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    memset(small, 2, MIB);
    memset(large, 3, MIB);
    print("hblks", mallinfo2().hblks);
    CHECK(large = realloc(large, 2 * MIB), "shrinking");
    CHECK(((char *)large)[MIB - 1] == 3, "content after shrinking");
    CHECK(large = realloc(large, 80 * MIB), "growing");
    CHECK(((char *)large)[MIB - 1] == 3, "content after growing");
    free(small);
    free(large);
    print("after", mallinfo2().hblks);
}

/* Bytes in thread and transfer caches after 8 MiB of small blocks were freed. As much stays in use: where next to nothing
 * does, caches are emptied. */
static void caches(void) {
    enum { SMALL = 64, MANY = 131072 };
    static void *small[2 * MANY];
    size_t i;
    for (i = 0; i < 2 * MANY; i++) CHECK(small[i] = malloc(SMALL), "%zu", i);
    for (i = 0; i < MANY; i++) free(small[i]);
    print("fsmblks", mallinfo2().fsmblks);
}

/* Whether `flag` is among the VmFlags of the mapping at `address`. */
static int has_flag(const void *address, const char *flag) {
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    int inside = 0, found = 0;
    unsigned long from, to;
    CHECK(maps, "cannot open smaps");
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from <= (uintptr_t)address && (uintptr_t)address < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(maps);
    return found;
}

/* What the kernel was told about a block of the first growth, and one with a mapping. */
static void huge(void) {
    void *small = malloc(100), *large = malloc(65 * MIB);
    CHECK(small && large, "two blocks");
    print("wanted", (size_t)has_flag(small, " hg"));
    print("unwanted", (size_t)has_flag(small, " nh"));
    print("direct_wanted", (size_t)has_flag(large, " hg"));
    print("direct_unwanted", (size_t)has_flag(large, " nh"));
    free(small);
    free(large);
}

/* A pointer into the middle of a block, freed last: only the check at exit sees it. */
static void interior_at_exit(void) {
    static char *some[64];
    size_t i;
    for (i = 0; i < 64; i++) CHECK(some[i] = malloc(400), "%zu", i);
    for (i = 0; i < 8; i++) free(some[i]);
    free(opaque(some[20] + 32));
    exit(0);
}

/* mallopt sets what the options set, and takes it back (C3.2). */
static void mallopt_sets(void) {
    void *large;
    CHECK(mallopt(M_MMAP_MAX, 0) == 1, "no mappings");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 0, "%zu mappings after M_MMAP_MAX = 0", mallinfo2().hblks);
    free(large);
    CHECK(mallopt(M_MMAP_THRESHOLD, 128 * 1024) == 1, "a lower threshold");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 0, "M_MMAP_THRESHOLD must not undo M_MMAP_MAX");
    free(large);
    CHECK(mallopt(M_MMAP_MAX, 65536) == 1, "mappings again");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 1, "%zu mappings", mallinfo2().hblks);
    free(large);
    CHECK(mallopt(M_MMAP_THRESHOLD, 256 * 1024 * 1024) == 1, "a higher threshold");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 0, "M_MMAP_THRESHOLD = 256 MiB");
    free(large);
    CHECK(mallopt(M_MMAP_THRESHOLD, 0) == 1, "the lowest threshold");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 1, "back at 64 MiB");
    CHECK(blocks[0] = malloc(32 * MIB), "32 MiB");
    CHECK(mallinfo2().hblks == 1, "32 MiB have no mapping (C1.2)");
    free(large);
    free(blocks[0]);
    CHECK(mallopt(M_MMAP_THRESHOLD, -1) == 1, "a threshold beyond all blocks");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 0, "no block is as large");
    free(large);
    CHECK(mallopt(M_MMAP_THRESHOLD, 0) == 1, "the lowest threshold again");
    CHECK(mallopt(M_MMAP_MAX, -1) == 1, "fewer than no mappings");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 0, "%zu mappings after M_MMAP_MAX = -1", mallinfo2().hblks);
    free(large);
    CHECK(mallopt(M_MMAP_MAX, 1) == 1, "mappings again");
    CHECK(large = malloc(65 * MIB), "65 MiB");
    CHECK(mallinfo2().hblks == 1, "both taken back");
    free(large);
}

/* The remedy of C2.2, second half: after M_TRIM_THRESHOLD = -1 nothing goes back by itself, and a
 * later threshold brings the decay back. */
static void mallopt_trim(void) {
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1, "never trim");
    decay();
    CHECK(mallopt(M_TRIM_THRESHOLD, 128 * 1024) == 1, "trim again");
    fill_100_mib();
    free_100_mib();
    work_for(3000);
    print("decayed", resident_bytes());
}

/* Whether this process has more rights than its user, and whether options count all the same. */
static void secure(void) {
    print("secure", getauxval(AT_SECURE));
    direct();
}

static const struct test_case cases[] = {
    {"secure", secure},
    {"decay", decay},
    {"direct", direct},
    {"caches", caches},
    {"huge", huge},
    {"interior_at_exit", interior_at_exit},
    {"mallopt_sets", mallopt_sets},
    {"mallopt_trim", mallopt_trim},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
