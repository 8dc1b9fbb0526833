/* Limits on what the allocator holds: resident memory stays below the soft one while free memory can
 * go back for it, and requests fail at the hard one, with ENOMEM, and only until something is freed. */
#include "check.h"

#include <gperftools/malloc_extension_c.h>

#define SOFT 0
#define HARD 1
#define MOST 400000

static void *blocks[MOST];

/* What is above the limit when memory is taken goes back at once, not with the decay. */
static void soft_after_a_burst(void) {
    size_t i, limit = 48 * MIB, before = resident_bytes(), full, after;
    CHECK(MallocExtension_SetMemoryLimit(limit, SOFT) == 1, "set");
    for (i = 0; i < 150; i++) {
        CHECK(blocks[i] = malloc(MIB), "a soft limit fails no request");
        memset(blocks[i], 1, MIB);
    }
    full = resident_bytes() - before;
    CHECK(full >= 140 * MIB, "%zu MiB", full / MIB);
    for (i = 0; i < 150; i++) free(blocks[i]);
    free(opaque(malloc(200 * KIB)));
    after = resident_bytes() - before;
    CHECK(after <= limit + 4 * MIB, "%zu MiB", after / MIB);
}

/* Phases of different sizes, each of which leaves one block in 256: without release every phase adds
 * what it used to what the others left in their spans. */
static void soft(void) {
    static const size_t sizes[] = {200, 1500, 700, 3000, 100, 9000, 450, 5000};
    size_t phase, i, most = 0, kept = 0, limit = 96 * MIB, before = resident_bytes();
    CHECK(MallocExtension_SetMemoryLimit(limit, SOFT) == 1, "set");
    CHECK(MallocExtension_GetMemoryLimit(SOFT) == limit, "get");
    for (phase = 0; phase < sizeof sizes / sizeof *sizes; phase++) {
        size_t count = 64 * MIB / sizes[phase], now;
        if (count > MOST - kept) count = MOST - kept;
        for (i = 0; i < count; i++) {
            CHECK(blocks[kept + i] = malloc(sizes[phase]), "a soft limit fails no request");
            memset(blocks[kept + i], 1, sizes[phase]);
        }
        now = resident_bytes();
        if (now > most) most = now;
        for (i = 0; i < count; i++) {
            void *block = blocks[kept + i];
            if (i % 256 == 0) blocks[kept + i / 256] = block;
            else free(block);
        }
        kept += (count + 255) / 256;
    }
    printf("resident at most: %zu MiB\n", (most - before) / MIB);
    CHECK(most - before <= limit + 4 * MIB, "%zu MiB", (most - before) / MIB);
}

static void hard_of(size_t size) {
    size_t i, count, round, first = 0, limit = 64 * MIB;
    for (round = 0; round < 3; round++) {
        for (count = 0; count < MOST; count++) {
            errno = 0;
            if (!(blocks[count] = malloc(size))) break;
            memset(blocks[count], 1, size);
        }
        CHECK(count < MOST && errno == ENOMEM, "%zu blocks, errno %d", count, errno);
        CHECK(resident_bytes() <= limit + 16 * MIB, "%zu MiB resident", resident_bytes() / MIB);
        CHECK(count * size >= limit / 100 * 80, "%zu bytes usable in blocks of %zu", count * size, size);
        if (round == 0) first = count;
        CHECK(count >= first / 100 * 97, "%zu blocks at first, %zu in round %zu", first, count, round);
        errno = 0;
        CHECK(realloc(blocks[0], opaque_size(128 * MIB)) == NULL && errno == ENOMEM, "realloc");
        CHECK(calloc(1, opaque_size(128 * MIB)) == NULL && errno == ENOMEM, "calloc");
        for (i = 0; i < count; i++) free(blocks[i]);
    }
}

/* Run by its name alone, with the option hard_limit=64MiB. */
static void by_an_option(void) {
    CHECK(MallocExtension_GetMemoryLimit(HARD) == 64 * MIB, "%zu bytes", MallocExtension_GetMemoryLimit(HARD));
    hard_of(1000);
    hard_of(3 * MIB);
}

static void hard(void) {
    CHECK(MallocExtension_SetMemoryLimit(64 * MIB, HARD) == 1, "set");
    hard_of(1000);
    hard_of(200 * KIB);
    hard_of(3 * MIB);
    hard_of(300);
    CHECK(MallocExtension_SetMemoryLimit(SIZE_MAX, HARD) == 1, "off");
    void *block = malloc(opaque_size(128 * MIB));
    CHECK(block, "no limit, no failure");
    free(block);
}

static void arguments(void) {
    CHECK(MallocExtension_GetMemoryLimit(SOFT) == SIZE_MAX, "none by default");
    CHECK(MallocExtension_GetMemoryLimit(HARD) == SIZE_MAX, "none by default");
    CHECK(MallocExtension_SetMemoryLimit(1, HARD) == 0, "too small");
    CHECK(MallocExtension_SetMemoryLimit(64 * MIB, 2) == 0, "no such kind");
    CHECK(MallocExtension_GetMemoryLimit(2) == SIZE_MAX, "no such kind");
}

static const struct test_case cases[] = {
    {"arguments", arguments},
    {"soft_after_a_burst", soft_after_a_burst},
    {"soft", soft},
    {"hard", hard},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "by_an_option") == 0) {
        expect_library();
        by_an_option();
        return 0;
    }
    return run_cases(cases, argc, argv);
}
