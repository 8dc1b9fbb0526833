/* gperftools' controls by their C names, and jemalloc's mallctl (C1.5, C3.7): written against the
 * headers as any program for those libraries would be. Figures are read one after the other;
 * nothing allocates in between, so they are of one moment. */
#include "check.h"
#include <gperftools/malloc_extension_c.h>
#include <pthread.h>
#include <stdbool.h>
#include <stratalloc.h>

#define MANY 20000

static void *blocks[MANY];

static size_t property(const char *name) {
    size_t value = 0;
    CHECK(MallocExtension_GetNumericProperty(name, &value) == 1, "no property %s", name);
    return value;
}

static const char *const tiers[] = {
    "generic.current_allocated_bytes",    "tcmalloc.thread_cache_free_bytes",
    "tcmalloc.transfer_cache_free_bytes", "tcmalloc.central_cache_free_bytes",
    "stratalloc.span_tail_bytes",         "tcmalloc.pageheap_free_bytes",
    "tcmalloc.pageheap_unmapped_bytes",
};

/* The figures of the text that GetStats gives: `label = number`. */
static size_t stats_line(const char *text, const char *label) {
    const char *line = strstr(text, label);
    size_t value;
    CHECK(line && sscanf(line + strlen(label), " = %zu", &value) == 1, "%s in\n%s", label, text);
    return value;
}

/* Every view of the same moment tells the same, and the tiers are what was taken from the system.
 * */
static void expect_sums(void) {
    static const char *const labels[] = {"in use ",      "thread caches ", "transfer caches ",
                                         "central lists ", "span tails ",    "page heap ",
                                         "released "};
    static char text[4096];
    struct mallinfo2 info = mallinfo2();
    size_t sum = 0, printed = 0, i;
    for (i = 0; i < sizeof tiers / sizeof *tiers; i++) sum += property(tiers[i]);
    CHECK(sum == property("generic.heap_size"), "%zu in tiers, %zu from the system", sum,
          property("generic.heap_size"));
    CHECK(info.uordblks + info.fordblks == info.arena, "%zu + %zu is not %zu", info.uordblks,
          info.fordblks, info.arena);
    CHECK(info.uordblks + info.hblkhd == property(tiers[0]), "mallinfo2 and the property differ");
    CHECK(info.arena + info.hblkhd == property("generic.physical_memory_used"), "resident");
    MallocExtension_GetStats(text, sizeof text);
    for (i = 0; i < sizeof labels / sizeof *labels; i++) {
        const char *line = strstr(text, labels[i]);
        const char *number = line ? strchr(line, '=') : NULL;
        CHECK(number, "no line %s in\n%s", labels[i], text);
        printed += strtoull(number + 1, NULL, 10);
    }
    CHECK(printed == stats_line(text, "mapped          "), "%zu in\n%s", printed, text);
    CHECK(printed == sum, "%zu printed, %zu by properties", printed, sum);
}

static void figures_add_up(void) {
    uint64_t random = 7;
    size_t i, round;
    expect_sums();
    for (round = 0; round < 3; round++) {
        for (i = 0; i < MANY; i++) CHECK(blocks[i] = malloc(random_size(&random, 13)), "%zu", i);
        expect_sums();
        for (i = round % 2; i < MANY; i += 2) free(blocks[i]), blocks[i] = NULL;
        expect_sums();
        free(blocks[0]);
        CHECK(blocks[0] = malloc(100 * MIB), "100 MiB");
        expect_sums();
        for (i = 0; i < MANY; i++) free(blocks[i]), blocks[i] = NULL;
        MallocExtension_ReleaseFreeMemory();
        expect_sums();
        CHECK(property("tcmalloc.pageheap_free_bytes") == 0, "free pages after a release");
    }
}

static void properties(void) {
    size_t value = 4242, bound = property("tcmalloc.max_total_thread_cache_bytes");
    CHECK(MallocExtension_GetNumericProperty("no.such.thing", &value) == 0 && value == 4242, "got");
    CHECK(MallocExtension_GetNumericProperty(NULL, &value) == 0, "a null name");
    CHECK(MallocExtension_SetNumericProperty("generic.heap_size", 1) == 0, "set what is measured");
    CHECK(MallocExtension_SetNumericProperty("tcmalloc.max_total_thread_cache_bytes", MIB), "set");
    CHECK(property("tcmalloc.max_total_thread_cache_bytes") == MIB, "not as set");
    CHECK(MallocExtension_SetNumericProperty("tcmalloc.max_total_thread_cache_bytes", bound), "");
    CHECK(property("tcmalloc.slack_bytes") == property("tcmalloc.pageheap_free_bytes") +
                                                  property("tcmalloc.pageheap_unmapped_bytes"),
          "slack");
    CHECK(property("tcmalloc.aggressive_memory_decommit") == 0, "by default");
    CHECK(MallocExtension_SetNumericProperty("tcmalloc.aggressive_memory_decommit", 1), "set");
    CHECK(property("tcmalloc.aggressive_memory_decommit") == 1, "not as set");
    CHECK(MallocExtension_SetNumericProperty("tcmalloc.aggressive_memory_decommit", 0), "set");
}

/* Release by itself follows the rate: at 10 and with 0 the same program ends differently. */
static void release_rate(void) {
    size_t start, kept;
    CHECK(MallocExtension_GetMemoryReleaseRate() == 1.0, "%f by default",
          MallocExtension_GetMemoryReleaseRate());
    MallocExtension_SetMemoryReleaseRate(0.0);
    CHECK(MallocExtension_GetMemoryReleaseRate() == 0.0, "never");
    CHECK(blocks[0] = malloc(32 * MIB), "32 MiB");
    memset(blocks[0], 1, 32 * MIB);
    start = resident_bytes();
    free(blocks[0]);
    usleep(600 * 1000);
    free(opaque(malloc(300 * KIB)));
    usleep(600 * 1000);
    free(opaque(malloc(300 * KIB)));
    kept = resident_bytes();
    CHECK(kept + MIB > start, "%zu of %zu left with a rate of 0", kept, start);
    MallocExtension_SetMemoryReleaseRate(10.0);
    CHECK(MallocExtension_GetMemoryReleaseRate() == 10.0, "the most");
    for (int i = 0; i < 20; i++) {
        usleep(50 * 1000);
        free(opaque(malloc(300 * KIB)));
    }
    CHECK(resident_bytes() + 24 * MIB < kept, "%zu of %zu left after a second at a rate of 10",
          resident_bytes(), kept);
    MallocExtension_SetMemoryReleaseRate(1.0);
}

static void histogram(void) {
    int before[kMallocExtensionHistogramSize], after[kMallocExtensionHistogramSize], count, i, all;
    size_t total;
    CHECK(MallocExtension_MallocMemoryStats(&count, &total, before) == 1, "stats");
    for (i = 0; i < 100; i++) {
        blocks[i] = malloc(64);
        blocks[100 + i] = malloc(3000);
        blocks[200 + i] = malloc(100 * KIB);
    }
    blocks[300] = malloc(65 * MIB);
    CHECK(MallocExtension_MallocMemoryStats(NULL, NULL, after) == 1, "stats with nulls");
    CHECK(after[6] - before[6] == 100, "%d of 64 bytes", after[6] - before[6]);
    CHECK(after[11] - before[11] == 100, "%d of 3000 bytes", after[11] - before[11]);
    CHECK(after[16] - before[16] == 100, "%d of 100 KiB", after[16] - before[16]);
    CHECK(after[26] - before[26] == 1, "%d of 65 MiB", after[26] - before[26]);
    blocks[300] = realloc(blocks[300], 200 * MIB);
    blocks[200] = realloc(blocks[200], 40 * KIB);
    CHECK(MallocExtension_MallocMemoryStats(&count, &total, after) == 1, "stats");
    CHECK(after[26] == before[26] && after[27] - before[27] == 1, "after realloc to 200 MiB");
    CHECK(after[16] - before[16] == 99 && after[15] - before[15] == 1, "realloc to 40 KiB");
    for (all = 0, i = 0; i < kMallocExtensionHistogramSize; i++) all += after[i];
    CHECK(all == count && total == property("generic.current_allocated_bytes"), "%d, %d", all,
          count);
    for (i = 0; i <= 300; i++) free(blocks[i]);
    CHECK(MallocExtension_MallocMemoryStats(NULL, NULL, after) == 1, "stats");
    CHECK(memcmp(before, after, sizeof before) == 0, "the histogram did not come back");
}

static void pointers(void) {
    static char foreign[64];
    size_t sizes[] = {1, 100, 5000, 100 * KIB, 65 * MIB}, i;
    char local;
    CHECK(MallocExtension_GetOwnership(&local) == MallocExtension_kNotOwned, "the stack");
    CHECK(MallocExtension_GetOwnership(foreign) == MallocExtension_kNotOwned, "the program");
    CHECK(MallocExtension_GetOwnership(NULL) == MallocExtension_kNotOwned, "null");
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = malloc(sizes[i]);
        CHECK(MallocExtension_GetOwnership(block) == MallocExtension_kOwned, "%zu", sizes[i]);
        CHECK(MallocExtension_GetAllocatedSize(block) == malloc_usable_size(block), "size");
        CHECK(MallocExtension_GetAllocatedSize(block) ==
                  MallocExtension_GetEstimatedAllocatedSize(sizes[i]),
              "%zu estimated wrongly", sizes[i]);
        CHECK(MallocExtension_VerifyMallocMemory(block), "%zu", sizes[i]);
        CHECK(MallocExtension_VerifyNewMemory(block), "%zu", sizes[i]);
        CHECK(!MallocExtension_VerifyMallocMemory(block + 16) || sizes[i] < 16, "an inner pointer");
        free(block);
        CHECK(!MallocExtension_VerifyMallocMemory(opaque(block)), "%zu, freed", sizes[i]);
    }
    CHECK(MallocExtension_VerifyArrayNewMemory(NULL), "null");
    CHECK(!MallocExtension_VerifyMallocMemory(foreign), "foreign memory");
    CHECK(MallocExtension_GetAllocatedSize(NULL) == 0, "null");
    CHECK(MallocExtension_GetEstimatedAllocatedSize(opaque_size(SIZE_MAX)) == 0, "too large");
}

static void idle_threads(void) {
    size_t i, cached;
    for (i = 0; i < 1000; i++) blocks[i] = malloc(100);
    for (i = 0; i < 1000; i++) free(blocks[i]);
    cached = MallocExtension_GetThreadCacheSize();
    CHECK(cached > 0, "nothing cached after 1000 frees");
    CHECK(property("tcmalloc.current_total_thread_cache_bytes") >= cached, "one of all");
    MallocExtension_MarkThreadTemporarilyIdle();
    CHECK(MallocExtension_GetThreadCacheSize() == 0, "handed over");
    CHECK(property("tcmalloc.transfer_cache_free_bytes") > 0, "not in the transfer caches");
    MallocExtension_MarkThreadBusy();
    for (i = 0; i < 1000; i++) fill(blocks[i] = malloc(100), 100, i);
    for (i = 0; i < 1000; i++) CHECK(filled(blocks[i], 100, i), "%zu", i);
    for (i = 0; i < 1000; i++) free(blocks[i]);
    CHECK(MallocExtension_VerifyAllMemory(), "after being idle for a little");
    MallocExtension_MarkThreadIdle();
    CHECK(MallocExtension_GetThreadCacheSize() == 0, "given up");
    free(opaque(malloc(100)));
    CHECK(MallocExtension_VerifyAllMemory(), "after being idle");
}

static void *churn(void *seed) {
    uint64_t random = (uintptr_t)seed;
    void *mine[256] = {0};
    for (int i = 0; i < 200000; i++) {
        size_t slot = next_random(&random) % 256;
        free(mine[slot]);
        mine[slot] = malloc(random_size(&random, 14));
    }
    for (int i = 0; i < 256; i++) free(mine[i]);
    return NULL;
}

/* Sound while others allocate, and found out when a freed block was written to. */
static void verification(void) {
    pthread_t threads[3];
    size_t i;
    for (i = 0; i < 3; i++) CHECK(!pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), "");
    for (i = 0; i < 50; i++) {
        CHECK(MallocExtension_VerifyAllMemory(), "walk %zu, with other threads running", i);
        MallocExtension_ReleaseToSystem(MIB);
        usleep(1000);
    }
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (i = 0; i < 64; i++) blocks[i] = malloc(48);
    for (i = 0; i < 64; i++) free(blocks[i]);
    CHECK(MallocExtension_VerifyAllMemory(), "nothing was damaged yet");
    memset(opaque(blocks[63]), 'x', 8);
    CHECK(!MallocExtension_VerifyAllMemory(), "a use after free was not found");
    _exit(0);
}

static void control_reads(void) {
    size_t value, length = sizeof value, depth = 2, mib[4];
    uint64_t epoch = 1, first, second;
    unsigned arenas;
    const char *version;
    bool background = true;
    CHECK(blocks[0] = malloc(100 * KIB), "a block");
    CHECK(mallctl("stats.allocated", &value, &length, NULL, 0) == 0, "allocated");
    CHECK(value == property("generic.current_allocated_bytes"), "%zu", value);
    CHECK(mallctl("stats.metadata", &value, &length, NULL, 0) == 0, "metadata");
    CHECK(value == property("stratalloc.metadata_bytes"), "%zu", value);
    CHECK(mallctl("stats.retained", &value, &length, NULL, 0) == 0, "retained");
    CHECK(value >= property("tcmalloc.pageheap_unmapped_bytes"), "%zu", value);
    CHECK(mallctlnametomib("stats.active", mib, &depth) == 0 && depth == 2, "mib of active");
    CHECK(mallctlbymib(mib, depth, &value, &length, NULL, 0) == 0, "active");
    CHECK(value == property("generic.physical_memory_used") -
                       property("tcmalloc.pageheap_free_bytes"), "%zu", value);
    CHECK(mallctl("stats.resident", &value, &length, NULL, 0) == 0, "resident");
    CHECK(value == property("generic.physical_memory_used") +
                       property("stratalloc.metadata_bytes"), "%zu", value);
    CHECK(mallctl("stats.mapped", &value, &length, NULL, 0) == 0 && value > 100 * KIB, "mapped");
    length = sizeof first;
    CHECK(mallctl("epoch", &first, &length, &epoch, sizeof epoch) == 0, "epoch");
    CHECK(mallctl("epoch", &second, &length, &epoch, sizeof epoch) == 0, "epoch");
    CHECK(second == first + 1, "%ju, %ju", (uintmax_t)first, (uintmax_t)second);
    length = sizeof version;
    CHECK(mallctl("version", &version, &length, NULL, 0) == 0, "version");
    CHECK(strcmp(version, stratalloc_version()) == 0, "%s", version);
    length = sizeof arenas;
    CHECK(mallctl("arenas.narenas", &arenas, &length, NULL, 0) == 0 && arenas == 1, "arenas");
    length = sizeof background;
    CHECK(mallctl("background_thread", &background, &length, NULL, 0) == 0, "thread");
    CHECK(background, "there may be a background thread");
    free(blocks[0]);
}

static void control_errors(void) {
    static const char *const unknown[] = {"", ".", "statistics", "stats.", "stats.allocated.x", "epochs",
                                          "arena.2.purge", "arena..purge", "arena.x.purge",
                                          "arena.4095.purge", "arena.99999999999999999999.purge",
                                          "thread.allocated", "opt.prof", "arenas.bin.72.size"};
    size_t value = 0, length, mib[3], depth, i;
    uint32_t small = 0;
    CHECK(blocks[0] = malloc(100 * KIB), "a block");
    for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        depth = 3;
        CHECK(mallctl(unknown[i], NULL, NULL, NULL, 0) == ENOENT, "%s", unknown[i]);
        CHECK(mallctlnametomib(unknown[i], mib, &depth) == ENOENT, "%s", unknown[i]);
    }
    length = sizeof small;
    CHECK(mallctl("stats.allocated", &small, &length, NULL, 0) == EINVAL, "short");
    CHECK(length == sizeof small && small != 0, "what fits is copied");
    CHECK(mallctl("stats.allocated", NULL, NULL, &value, sizeof value) == EPERM, "read-only");
    CHECK(mallctl("epoch", NULL, NULL, &small, sizeof small) == EINVAL, "a short epoch");
    length = sizeof value;
    CHECK(mallctl("thread.tcache.flush", &value, &length, NULL, 0) == EPERM, "no data");
    CHECK(mallctl("arena.0.purge", NULL, NULL, &value, sizeof value) == EPERM, "no data");
    CHECK(mallctl("epoch", NULL, NULL, NULL, 0) == 0, "asking for nothing");
    depth = 1;
    CHECK(mallctlnametomib("stats.active", mib, &depth) == 0 && depth == 1, "the beginning");
    CHECK(mallctl("stats", NULL, NULL, NULL, 0) == ENOENT, "half a path");
    CHECK(mallctlbymib(mib, 1, NULL, NULL, NULL, 0) == ENOENT, "half a path");
    CHECK(mallctlbymib(mib, 99, NULL, NULL, NULL, 0) == ENOENT, "too long a path");
    free(blocks[0]);
}

static void control_actions(void) {
    size_t mib[3], depth = 3, i;
    /* Where next to nothing is in use, what is freed goes back at once. */
    char *in_use = malloc(30 * MIB);
    CHECK(in_use, "30 MiB");
    memset(in_use, 1, 30 * MIB);
    for (i = 0; i < 1000; i++) blocks[i] = malloc(100);
    for (i = 0; i < 1000; i++) free(blocks[i]);
    CHECK(MallocExtension_GetThreadCacheSize() > 0, "nothing cached");
    CHECK(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0, "flush");
    CHECK(MallocExtension_GetThreadCacheSize() == 0, "not flushed");
    for (i = 0; i < 3; i++) {
        CHECK(blocks[0] = malloc(20 * MIB), "20 MiB");
        memset(blocks[0], 1, 20 * MIB);
        free(blocks[0]);
        CHECK(property("tcmalloc.pageheap_free_bytes") >= 20 * MIB, "kept for a decay time");
        if (i == 0) CHECK(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0, "purge");
        if (i == 1) CHECK(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0, "purge all");
        if (i == 2) {
            CHECK(mallctlnametomib("arena.0.purge", mib, &depth) == 0 && depth == 3, "mib");
            mib[1] = 4096;
            CHECK(mallctlbymib(mib, depth, NULL, NULL, NULL, 0) == 0, "purge by numbers");
            mib[1] = 2;
            CHECK(mallctlbymib(mib, depth, NULL, NULL, NULL, 0) == ENOENT, "no such arena");
        }
        CHECK(property("tcmalloc.pageheap_free_bytes") == 0, "%zu: not released", i);
    }
    free(in_use);
}

static const struct test_case cases[] = {
    {"figures_add_up", figures_add_up},   {"properties", properties},
    {"release_rate", release_rate},       {"histogram", histogram},
    {"pointers", pointers},               {"idle_threads", idle_threads},
    {"verification", verification},       {"control_reads", control_reads},
    {"control_errors", control_errors},   {"control_actions", control_actions},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
