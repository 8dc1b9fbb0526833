/* What free memory is worth when it is scattered (C1.1, C1.5): 400 MiB of small blocks of mixed
 * sizes, all freed but one in 4,096. Resident memory afterwards must be under 15 % of the peak.
 * Runs linked and preloaded: gperftools' name is looked up, as a program for either of the two
 * would do. */
#include "check.h"
#include <malloc.h>

#define KEPT_ONE_IN 4096

static void gperftools_release(void) {
    void (*release)(void);
    *(void **)&release = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
    CHECK(release, "no MallocExtension_ReleaseFreeMemory in this process");
    release();
}

static void glibc_release(void) { CHECK(malloc_trim(0) == 1, "it says that nothing was released"); }

static void scattered(void (*release)(void)) {
    size_t room = 4 * MIB, count = 0, total = 0, peak, left, i;
    void **blocks = malloc(room * sizeof *blocks);
    uint64_t random = 42;
    CHECK(blocks, "the table of blocks");
    while (total < 400 * MIB && count < room) {
        size_t size = 16 + next_random(&random) % 1009;
        CHECK(blocks[count] = malloc(size), "block %zu", count);
        memset(blocks[count++], 1, size);
        total += size;
    }
    CHECK(total >= 400 * MIB, "%zu blocks are not enough", count);
    peak = resident_bytes();
    for (i = 0; i < count; i++)
        if (i % KEPT_ONE_IN) free(blocks[i]);
    release();
    left = resident_bytes();
    dprintf(1, "%zu MiB at the peak, %zu MiB after the release: %.1f %%\n", peak / MIB, left / MIB,
            100.0 * (double)left / (double)peak);
    CHECK(left * 100 < peak * 15, "%zu of %zu bytes are still resident", left, peak);
}

static void by_malloc_trim(void) { scattered(glibc_release); }
static void by_malloc_extension(void) { scattered(gperftools_release); }

static const struct test_case cases[] = {
    {"by_malloc_trim", by_malloc_trim},
    {"by_malloc_extension", by_malloc_extension},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
