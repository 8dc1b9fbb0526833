/* What `realloc` of large blocks leaves behind and asks for: the content stays, what is cut off goes back, and no more
 * pages are faulted in than are touched, whatever the sizes are between which a block goes. */
#include "check.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PAGE 4096

/* Where the kernel's pages are larger than the allocator's, a block that moves is copied: its page tables are not moved. */
static int moves_copy(void) { return sysconf(_SC_PAGESIZE) > 8192; }

static size_t most_resident(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (size_t)usage.ru_maxrss * KIB;
}

/* A word per page that says where the page belongs. */
static void mark(char *block, size_t from, size_t to, uint64_t seed) {
    size_t at;
    for (at = (from + PAGE - 1) / PAGE * PAGE; at + 8 <= to; at += PAGE) {
        uint64_t word = pattern_word(seed, at);
        memcpy(block + at, &word, 8);
    }
}

static void check_marks(const char *block, size_t size, uint64_t seed) {
    size_t at;
    for (at = 0; at + 8 <= size; at += PAGE) {
        uint64_t word;
        memcpy(&word, block + at, 8);
        CHECK(word == pattern_word(seed, at), "%zu of %zu", at, size);
    }
}

static char *resized(char *block, size_t size) {
    CHECK(block = opaque(realloc(block, size)), "%zu", size);
    CHECK(malloc_usable_size(block) >= size, "%zu", size);
    return block;
}

/* The tail of a block that shrinks leaves the process, of one with a mapping of its own at once. */
static void cut_off(void) {
    static char *blocks[20];
    size_t i, before = resident_bytes(), now;
    for (i = 0; i < 20; i++) {
        CHECK(blocks[i] = malloc(100 * MIB), "malloc");
        mark(blocks[i], 0, 100 * MIB, i);
        blocks[i] = resized(blocks[i], 10 * MIB + i * 3 * MIB);
        CHECK(malloc_usable_size(blocks[i]) < 11 * MIB + i * 3 * MIB, "usable");
    }
    now = resident_bytes() - before;
    CHECK(now < (20 * 10 + 190 * 3 + 16) * MIB, "%zu MiB", now / MIB);
    for (i = 0; i < 20; i++) {
        check_marks(blocks[i], 10 * MIB + i * 3 * MIB, i);
        free(blocks[i]);
    }
}

/* A block that is cut within the heap leaves room for others: no new memory is needed for them. */
static void cut_off_in_the_heap(void) {
    char *block = malloc(60 * MIB);
    size_t before, i;
    mark(block, 0, 60 * MIB, 1);
    before = resident_bytes();
    for (i = 59; i >= 1; i--) {
        char *other;
        block = resized(block, i * MIB);
        other = malloc(MIB - 64 * KIB);
        memset(other, 7, MIB - 64 * KIB);
        opaque(other);
    }
    check_marks(block, MIB, 1);
    CHECK(resident_bytes() < before + 8 * MIB, "%zu MiB", (resident_bytes() - before) / MIB);
}

/* Between any two sizes and back, all that is touched is a page: nothing is copied, however often. */
static void to_and_fro(void) {
    static const size_t sizes[][2] = {{1, 3},   {10, 20}, {30, 63},  {40, 90},
                                      {60, 70}, {63, 65}, {90, 300}, {3, 500}};
    size_t i, round;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t less = sizes[i][0] * MIB, more = sizes[i][1] * MIB, before, copied;
        char *block = malloc(less);
        mark(block, 0, less, i);
        before = faults();
        for (round = 0; round < 100; round++) {
            block = resized(block, more);
            block[more - 1] = 1;
            block = resized(block, less);
        }
        /* A page in each round, and what a single move of a short block may copy. */
        copied = moves_copy() ? less / (size_t)sysconf(_SC_PAGESIZE) : 2 * MIB / PAGE;
        CHECK(faults() - before <= 100 + 100 + copied, "%zu to %zu MiB: %zu faults",
              sizes[i][0], sizes[i][1], faults() - before);
        check_marks(block, less, i);
        free(block);
    }
}

/* Vectors side by side, so that each is in the others' way: they grow to 80 MiB for a fault per page and some. */
static void side_by_side(void) {
    enum { COUNT = 4 };
    char *blocks[COUNT];
    size_t i, size = 100 * KIB, before = faults(), least = COUNT * 80 * MIB / PAGE, now, maps = mappings();
    for (i = 0; i < COUNT; i++) CHECK(blocks[i] = malloc(size), "malloc");
    while (size < 80 * MIB) {
        size_t old = size;
        size = size + size / 3 < 80 * MIB ? size + size / 3 : 80 * MIB;
        for (i = 0; i < COUNT; i++) {
            blocks[i] = resized(blocks[i], size);
            mark(blocks[i], old == 100 * KIB ? 0 : old, size, i);
        }
    }
    now = faults() - before;
    CHECK(now <= least + COUNT * 5 * MIB / PAGE, "%zu faults for %zu pages", now, least);
    /* Moves leave some behind, guard pages of the hardened library more; not one for each growth of each. */
    CHECK(mappings() < maps + 400, "%zu mappings", mappings());
    /* What was moved away leaves nothing resident behind: only a copy has both for a moment. */
    CHECK(most_resident() < (COUNT * 80 + 64 + (moves_copy() ? 80 : 0)) * MIB, "%zu MiB", most_resident() / MIB);
    for (i = 0; i < COUNT; i++) {
        check_marks(blocks[i], size, i);
        free(blocks[i]);
    }
}

/* Many sizes in any order, with aligned blocks among them: contents and alignments stay. */
static void at_random(void) {
    enum { COUNT = 12 };
    static struct {
        char *block;
        size_t size;
    } table[COUNT];
    uint64_t state = 42;
    size_t round, i;
    for (round = 0; round < 600; round++) {
        size_t size = 40 * KIB + random_size(&state, 27);
        i = next_random(&state) % COUNT;
        if (!table[i].block) {
            CHECK(table[i].block = memalign(PAGE, size), "%zu", size);
            mark(table[i].block, 0, size, i);
        } else if (next_random(&state) % 8 == 0) {
            free(table[i].block);
            table[i].block = NULL;
            continue;
        } else {
            table[i].block = resized(table[i].block, size);
            check_marks(table[i].block, size < table[i].size ? size : table[i].size, i);
            mark(table[i].block, 0, size, i);
        }
        table[i].size = size;
    }
    for (i = 0; i < COUNT; i++) free(table[i].block);
    CHECK(mappings() < 400, "%zu mappings", mappings());
}

/* A child shares what was moved, and sees its own. */
static void in_a_child(void) {
    char *block = malloc(30 * MIB), *wall = malloc(2 * MIB);
    int status;
    pid_t child;
    mark(block, 0, 30 * MIB, 3);
    opaque(wall);
    block = resized(block, 50 * MIB);
    mark(block, 30 * MIB, 50 * MIB, 3);
    child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        block = resized(block, 100 * MIB);
        check_marks(block, 50 * MIB, 3);
        mark(block, 0, 100 * MIB, 4);
        block = resized(block, 45 * MIB);
        check_marks(block, 45 * MIB, 4);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "%d", status);
    block = resized(block, 80 * MIB);
    check_marks(block, 50 * MIB, 3);
    free(block);
}

static const struct test_case cases[] = {
    {"cut_off", cut_off},
    {"cut_off_in_the_heap", cut_off_in_the_heap},
    {"to_and_fro", to_and_fro},
    {"side_by_side", side_by_side},
    {"at_random", at_random},
    {"in_a_child", in_a_child},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    return run_cases(cases, argc, argv);
}
