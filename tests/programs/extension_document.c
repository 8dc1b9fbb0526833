/* The example of the contract's first document (C3.6): 200 blocks of i KiB, the odd ones freed, and
 * the program's own count beside what the allocator reports. Prints what it finds, and checks that
 * both agree within the rounding of size classes. */
#include "check.h"
#include <malloc.h>

#define BLOCKS 200

static size_t counted; /* KiB that the program holds */

static void compare(const char *when) {
    struct mallinfo2 info = mallinfo2();
    size_t reported = info.uordblks + info.hblkhd, own = counted * KIB;
    dprintf(1, "%s: counted %zu, reported %zu (arena %zu, free %zu, %zu mapped blocks of %zu)\n",
            when, own, reported, info.arena, info.fordblks, info.hblks, info.hblkhd);
    malloc_stats();
    CHECK(reported >= own, "%s: %zu reported of %zu", when, reported, own);
    CHECK(reported - own <= own / 8, "%s: %zu reported for %zu", when, reported, own);
    CHECK(info.uordblks + info.fordblks == info.arena, "the arena is not its parts");
}

static void example(void) {
    char *blocks[BLOCKS];
    size_t i;
    for (i = 0; i < BLOCKS; i++) {
        CHECK(blocks[i] = malloc(i * 1024), "block %zu", i);
        counted += i;
    }
    compare("all");
    for (i = 1; i < BLOCKS; i += 2) {
        free(blocks[i]);
        counted -= i;
    }
    compare("after the frees");
    for (i = 0; i < BLOCKS; i += 2) free(blocks[i]);
}

static const struct test_case cases[] = {{"example", example}, {NULL, NULL}};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
