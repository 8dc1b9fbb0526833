/* jemalloc's calls with every flag. All of this holds under jemalloc as well, where the same
 * program runs: what the library promises is jemalloc's promise. */
#include "jemalloc.h"

#include <pthread.h>
#include <stdbool.h>

static const size_t sizes[] = {1,    8,     16,    17,    100,    1000,   4096,
                               4097, 30000, 40000, 70000, 300000, 3000000};
#define SIZES (sizeof sizes / sizeof *sizes)

/* Leaves memory behind that is not zero, for all sizes. */
static void soil(void) {
    static void *blocks[SIZES][8];
    size_t s, i;
    for (s = 0; s < SIZES; s++)
        for (i = 0; i < 8; i++) {
            CHECK(blocks[s][i] = malloc(sizes[s]), "%zu", sizes[s]);
            memset(blocks[s][i], 0xEE, sizes[s]);
        }
    for (s = 0; s < SIZES; s++)
        for (i = 0; i < 8; i++) free(blocks[s][i]);
}

static void macros(void) {
    size_t n;
    CHECK(MALLOCX_ZERO == ZERO && MALLOCX_TCACHE_NONE == TCACHE_NONE, "flags");
    for (n = 0; n < 62; n++) {
        CHECK(MALLOCX_LG_ALIGN(n) == LG_ALIGN(n), "2^%zu", n);
        CHECK(MALLOCX_ALIGN((size_t)1 << n) == LG_ALIGN(n), "2^%zu", n);
    }
    CHECK(MALLOCX_TCACHE(5) == TCACHE(5) && MALLOCX_ARENA(3) == ARENA(3), "numbers");
    CHECK(MALLCTL_ARENAS_ALL == 4096 && MALLCTL_ARENAS_DESTROYED == 4097, "all arenas");
}

static void sizes_and_alignments(void) {
    int lg, zero;
    size_t s;
    soil();
    for (lg = 0; lg <= 22; lg++)
        for (s = 0; s < SIZES; s++)
            for (zero = 0; zero <= 1; zero++) {
                int flags = LG_ALIGN(lg) | (zero ? ZERO : 0);
                unsigned char *block = mallocx(sizes[s], flags);
                size_t real;
                CHECK(block && is_aligned(block, (size_t)1 << lg), "%zu at 2^%d", sizes[s], lg);
                real = sallocx(block, flags);
                CHECK(real >= sizes[s] && real == malloc_usable_size(block), "%zu", real);
                CHECK(real == nallocx(sizes[s], flags), "%zu at 2^%d: %zu, announced %zu",
                      sizes[s], lg, real, nallocx(sizes[s], flags));
                if (zero) CHECK(all_zero(block, real), "%zu at 2^%d: not zero", sizes[s], lg);
                memset(block, 0xEE, real);
                if (s % 2)
                    dallocx(block, flags);
                else
                    sdallocx(block, sizes[s], flags);
            }
}

/* What a block had is kept, up to its real size; what it gains is zero where that is asked for.
 */
static void resizing(void) {
    static const int alignments[] = {0, 4, 6, 12, 16, 21};
    size_t from, to, a;
    soil();
    for (a = 0; a < sizeof alignments / sizeof *alignments; a++)
        for (from = 0; from < SIZES; from++)
            for (to = 0; to < SIZES; to++) {
                int flags = LG_ALIGN(alignments[a]) | (to % 2 ? ZERO : 0);
                size_t before, after, kept;
                /* Half of the blocks had another alignment before. */
                unsigned char *block = mallocx(sizes[from], from % 2 ? 0 : flags);
                CHECK(block, "%zu", sizes[from]);
                before = sallocx(block, 0);
                fill(block, before, from);
                block = rallocx(block, sizes[to], flags);
                CHECK(block && is_aligned(block, (size_t)1 << alignments[a]), "%zu at 2^%d",
                      sizes[to], alignments[a]);
                after = sallocx(block, 0);
                CHECK(after >= sizes[to], "%zu for %zu", after, sizes[to]);
                kept = before < sizes[to] ? before : sizes[to];
                CHECK(filled(block, kept, from), "%zu to %zu: content", sizes[from], sizes[to]);
                if ((flags & ZERO) && after > before)
                    CHECK(all_zero(block + before, after - before),
                          "%zu to %zu at 2^%d: not zero", sizes[from], sizes[to], alignments[a]);
                memset(block, 0xEE, after);
                sdallocx(block, sizes[to], flags);
            }
}

/* A block that grows step by step with MALLOCX_ZERO is zero wherever nothing was written. */
static void growth_stays_zero(void) {
    size_t size = 10, step, written = 0;
    unsigned char *block;
    soil();
    CHECK(block = mallocx(size, ZERO), "10");
    for (step = 0; step < 60; step++) {
        size_t real = sallocx(block, 0);
        CHECK(all_zero(block + written, real - written), "step %zu: %zu bytes", step, real);
        memset(block, 1, written = size < real ? size : real);
        size += size / 5 + 1;
        CHECK(block = rallocx(block, size, ZERO), "%zu", size);
    }
    dallocx(block, 0);
}

/* xallocx tells the real size, keeps the content, and does not move. */
static void resizing_in_place(void) {
    size_t from, to, extra;
    soil();
    for (from = 0; from < SIZES; from++)
        for (to = 0; to < SIZES; to++)
            for (extra = 0; extra <= 100000; extra += 50000) {
                unsigned char *block = mallocx(sizes[from], 0);
                size_t before = sallocx(block, 0), after, kept;
                fill(block, before, from);
                after = xallocx(block, sizes[to], extra, ZERO);
                /* jemalloc 5.3 tells the old size of some blocks that it made larger. */
                if (!is_ours() && after == before) after = sallocx(block, 0);
                CHECK(after == sallocx(block, 0) && after == malloc_usable_size(block),
                      "%zu to %zu: %zu, really %zu", sizes[from], sizes[to], after,
                      sallocx(block, 0));
                CHECK(after >= sizes[to] || after == before, "%zu to %zu: became %zu",
                      sizes[from], sizes[to], after);
                kept = before < after ? before : after;
                CHECK(filled(block, kept, from), "%zu to %zu: content", sizes[from], sizes[to]);
                CHECK(all_zero(block + kept, after - kept), "%zu to %zu: not zero", sizes[from],
                      sizes[to]);
                memset(block, 0xEE, after);
                dallocx(block, 0);
            }
}

static void impossible_requests(void) {
    size_t huge = opaque_size(SIZE_MAX), half = opaque_size((size_t)PTRDIFF_MAX + 1), real;
    unsigned char *block = mallocx(1000, 0);
    int lg;
    CHECK(block, "1000");
    fill(block, 1000, 3);
    for (lg = 0; lg <= 40; lg += 8) {
        CHECK(!mallocx(huge, LG_ALIGN(lg)) && !mallocx(half, LG_ALIGN(lg) | ZERO), "2^%d", lg);
        CHECK(!rallocx(block, huge, LG_ALIGN(lg)) && !rallocx(block, half, LG_ALIGN(lg)), "2^%d",
              lg);
        CHECK(nallocx(huge, LG_ALIGN(lg)) == 0 && nallocx(half, LG_ALIGN(lg)) == 0, "2^%d", lg);
    }
    CHECK(!mallocx(1, LG_ALIGN(63)) && !mallocx(half - 1, LG_ALIGN(62)), "alignments");
    CHECK(nallocx(1, LG_ALIGN(63)) == 0 && nallocx(half - 1, LG_ALIGN(62)) == 0, "alignments");
    CHECK(!rallocx(block, 1, LG_ALIGN(63)), "alignments");
    real = sallocx(block, 0);
    CHECK(xallocx(block, half, 0, 0) == real, "in place");
    CHECK(xallocx(block, 1000, huge - 1000, 0) >= 1000, "an extra that is too large");
    CHECK(filled(block, 1000, 3), "the block is as it was");
    sdallocx(block, 1000, 0);
}

/* Explicit thread caches and arenas: what they give are blocks like all others. */
static void caches_and_arenas(void) {
    unsigned cache, other, arena, found = 99, count, more;
    size_t length = sizeof cache, i;
    char name[64];
    static void *blocks[3000];
    CHECK(mallctl("tcache.create", &cache, &length, NULL, 0) == 0, "a cache");
    CHECK(mallctl("tcache.create", &other, &length, NULL, 0) == 0 && other != cache, "another");
    CHECK(mallctl("arenas.narenas", &count, &length, NULL, 0) == 0 && count > 0, "arenas");
    CHECK(mallctl("arenas.create", &arena, &length, NULL, 0) == 0 && arena > 0, "an arena");
    CHECK(mallctl("arenas.narenas", &more, &length, NULL, 0) == 0 && more > arena, "%u", more);
    for (i = 0; i < 3000; i++) {
        static const int bases[] = {TCACHE_NONE, 0, ZERO};
        int flags = bases[i % 3];
        if (i % 3 == 1) flags |= TCACHE(cache);
        if (i % 2) flags |= ARENA(arena) | TCACHE_NONE;
        CHECK(blocks[i] = mallocx(i + 1, flags), "%zu", i);
        fill(blocks[i], i + 1, i);
    }
    for (i = 0; i < 3000; i++) {
        int flags = i % 2 ? ARENA(arena) | TCACHE_NONE : i % 3 ? TCACHE(cache) : 0;
        CHECK(filled(blocks[i], i + 1, i), "%zu", i);
        if (i % 5 == 0) {
            CHECK(blocks[i] = rallocx(blocks[i], 2 * i + 1, flags), "%zu", i);
            CHECK(filled(blocks[i], i + 1, i), "%zu", i);
        }
        if (i % 4 < 2)
            dallocx(blocks[i], flags);
        else
            sdallocx(blocks[i], i % 5 ? i + 1 : 2 * i + 1, flags);
    }
    blocks[0] = mallocx(100, 0);
    CHECK(mallctl("arenas.lookup", &found, &length, &blocks[0], sizeof blocks[0]) == 0, "lookup");
    CHECK(found < more, "%u", found);
    free(blocks[0]);
    CHECK(mallctl("tcache.flush", NULL, NULL, &cache, sizeof cache) == 0, "flush");
    CHECK(mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache) == 0, "destroy");
    CHECK(mallctl("tcache.destroy", NULL, NULL, &other, sizeof other) == 0, "destroy");
    snprintf(name, sizeof name, "arena.%u.destroy", arena);
    CHECK(mallctl(name, NULL, NULL, NULL, 0) == 0, "%s with nothing in it", name);
    CHECK(mallctl("arenas.create", &other, &length, NULL, 0) == 0, "an arena");
    CHECK(other == arena, "the number %u was free, not %u", arena, other);
    snprintf(name, sizeof name, "arena.%u.destroy", other);
    CHECK(mallctl(name, NULL, NULL, NULL, 0) == 0, "%s", name);
    CHECK(mallctl("arena.0.destroy", NULL, NULL, NULL, 0) == EFAULT, "not to be destroyed");
    CHECK(mallctl("arena.0.reset", NULL, NULL, NULL, 0) == EFAULT, "not to be reset");
}

#define LIVE 300

static void *churn(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    unsigned char *blocks[LIVE] = {0};
    size_t have[LIVE] = {0}, i, round;
    for (round = 0; round < 30000; round++) {
        size_t at = next_random(&state) % LIVE, size = random_size(&state, 13);
        int flags = LG_ALIGN(next_random(&state) % 9) | (next_random(&state) & 1 ? ZERO : 0);
        if (!blocks[at]) {
            CHECK(blocks[at] = mallocx(size, flags), "%zu", size);
        } else if (next_random(&state) & 1) {
            CHECK(filled(blocks[at], have[at], at), "block %zu of %zu bytes", at, have[at]);
            CHECK(blocks[at] = rallocx(blocks[at], size, flags), "%zu", size);
            CHECK(filled(blocks[at], size < have[at] ? size : have[at], at), "%zu to %zu",
                  have[at], size);
        } else {
            CHECK(filled(blocks[at], have[at], at), "block %zu of %zu bytes", at, have[at]);
            dallocx(blocks[at], 0);
            blocks[at] = NULL;
            continue;
        }
        fill(blocks[at], have[at] = size, at);
    }
    for (i = 0; i < LIVE; i++)
        if (blocks[i]) dallocx(blocks[i], 0);
    return NULL;
}

static void threads(void) {
    pthread_t all[4];
    size_t i;
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&all[i], NULL, churn, (void *)(i + 1)) == 0, "thread %zu", i);
    for (i = 0; i < 4; i++) pthread_join(all[i], NULL);
}

/* Half a path gives numbers to which others are added, and numbers of arenas and classes can be
 * replaced. */
static void numbers_of_paths(void) {
    size_t mib[7], depth, value, length = sizeof value, other[7], i;
    unsigned classes;
    bool initialized;
    depth = 7;
    CHECK(mallctlnametomib("arenas.bin.0.size", mib, &depth) == 0 && depth == 4, "%zu", depth);
    length = sizeof classes;
    CHECK(mallctl("arenas.nbins", &classes, &length, NULL, 0) == 0 && classes > 20, "bins");
    length = sizeof value;
    for (i = 0, other[0] = 0; i < classes; i++, other[0] = value) {
        mib[2] = i;
        CHECK(mallctlbymib(mib, depth, &value, &length, NULL, 0) == 0, "class %zu", i);
        CHECK(value > other[0] && nallocx(value, 0) == value, "class %zu of %zu bytes", i, value);
    }
    /* jemalloc's own limit is one too high. */
    mib[2] = classes + 1;
    CHECK(mallctlbymib(mib, depth, &value, &length, NULL, 0) == ENOENT, "no such class");
    /* The beginning of a path. */
    for (i = 1; i <= 4; i++) {
        static const char *const parts[] = {"", "arenas", "arenas.bin", "arenas.bin.0",
                                            "arenas.bin.0.size"};
        depth = 7;
        mib[2] = 0;
        CHECK(mallctlnametomib(parts[i], other, &depth) == 0 && depth == i, "%s: %zu", parts[i],
              depth);
        CHECK(memcmp(other, mib, i * sizeof *mib) == 0, "%s: other numbers", parts[i]);
        if (i < 4) {
            CHECK(mallctlbymib(other, depth, &value, &length, NULL, 0) == ENOENT, "%s", parts[i]);
            CHECK(mallctl(parts[i], &value, &length, NULL, 0) == ENOENT, "%s", parts[i]);
        }
        depth = i;
        CHECK(mallctlnametomib("arenas.bin.0.size", other, &depth) == 0 && depth == i,
              "room for %zu", i);
        CHECK(memcmp(other, mib, i * sizeof *mib) == 0, "room for %zu: other numbers", i);
    }
    depth = 7;
    CHECK(mallctlnametomib("arena.0.initialized", mib, &depth) == 0 && depth == 3, "arena");
    length = sizeof initialized;
    CHECK(mallctlbymib(mib, depth, &initialized, &length, NULL, 0) == 0 && initialized,
          "arena 0");
    mib[1] = MALLCTL_ARENAS_ALL;
    CHECK(mallctlbymib(mib, depth, &initialized, &length, NULL, 0) == 0 && initialized, "all");
    mib[1] = 3000;
    CHECK(mallctlbymib(mib, depth, &initialized, &length, NULL, 0) == ENOENT, "no such arena");
}

/* Whoever reads figures as Rust's tikv-jemalloc-ctl does: numbers once, then values by them. */
static void figures_by_number(void) {
    static const char *const names[] = {"stats.allocated", "stats.active",   "stats.resident",
                                        "stats.mapped",    "stats.metadata", "stats.retained"};
    size_t mib[6][2], depth = 2, i, round, value[6], length = sizeof *value;
    uint64_t epoch = 1, before, after;
    void *block = mallocx(5 * MIB, ZERO);
    for (i = 0; i < 6; i++)
        CHECK(mallctlnametomib(names[i], mib[i], &depth) == 0, "%s", names[i]);
    for (round = 0; round < 3; round++) {
        length = sizeof before;
        CHECK(mallctl("epoch", &before, &length, NULL, 0) == 0, "epoch");
        CHECK(mallctl("epoch", &after, &length, &epoch, sizeof epoch) == 0 && after == before + 1,
              "epoch");
        for (i = 0; i < 6; i++)
            CHECK(mallctlbymib(mib[i], depth, &value[i], &length, NULL, 0) == 0, "%s", names[i]);
        CHECK(value[0] >= 5 * MIB && value[0] <= value[1] && value[1] <= value[2],
              "%zu allocated, %zu active, %zu resident", value[0], value[1], value[2]);
        CHECK(value[1] % 4096 == 0 && value[4] > 0 && value[3] > 5 * MIB,
              "%zu active, %zu mapped", value[1], value[3]);
    }
    dallocx(block, 0);
}

static char printed[1 << 20];

static void take(void *passed, const char *piece) {
    CHECK(passed == printed, "what was passed");
    CHECK(strlen(printed) + strlen(piece) < sizeof printed, "room");
    strcat(printed, piece);
}

/* Text and JSON begin and end alike, whichever way they are taken. */
static void printing(void) {
    static const char *const frames[][3] = {
        {"", "___ Begin jemalloc statistics ___\n", "--- End jemalloc statistics ---\n"},
        {"J", "{\"jemalloc\":{\"version\":\"", "}}"},
    };
    size_t i, way;
    for (i = 0; i < 2; i++)
        for (way = 0; way < 2; way++) {
            const char *end = frames[i][2];
            *printed = 0;
            malloc_message = way ? take : NULL;
            malloc_stats_print(way ? NULL : take, printed, frames[i][0]);
            CHECK(strncmp(printed, frames[i][1], strlen(frames[i][1])) == 0, "%s", printed);
            CHECK(strlen(printed) > 1000, "%s", printed);
            CHECK(strcmp(printed + strlen(printed) - strlen(end), end) == 0, "%s", printed);
        }
    malloc_message = NULL;
}

static const struct test_case cases[] = {
    {"macros", macros},
    {"sizes_and_alignments", sizes_and_alignments},
    {"resizing", resizing},
    {"growth_stays_zero", growth_stays_zero},
    {"resizing_in_place", resizing_in_place},
    {"impossible_requests", impossible_requests},
    {"caches_and_arenas", caches_and_arenas},
    {"threads", threads},
    {"numbers_of_paths", numbers_of_paths},
    {"figures_by_number", figures_by_number},
    {"printing", printing},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
