/* What jemalloc's names do to this heap, and tell of it: settings take effect, figures agree with
 * those under the library's other names, and what cannot be done is refused. */
#include "jemalloc.h"

#include <gperftools/malloc_extension_c.h>
#include <stdbool.h>

static size_t property(const char *name) {
    size_t value = 0;
    CHECK(MallocExtension_GetNumericProperty(name, &value) == 1, "no property %s", name);
    return value;
}

static size_t figure(const char *name) {
    size_t value = 0, length = sizeof value;
    CHECK(mallctl(name, &value, &length, NULL, 0) == 0, "%s", name);
    return value;
}

static int act(const char *name) { return mallctl(name, NULL, NULL, NULL, 0); }

static void decay_times(void) {
    static const char *const names[] = {"arenas.dirty_decay_ms", "arena.0.dirty_decay_ms",
                                        "arena.1.dirty_decay_ms", "arena.4096.dirty_decay_ms"};
    size_t i, length = sizeof(ssize_t);
    ssize_t before, wanted;
    for (i = 0; i < 4; i++) {
        wanted = 1000 + (ssize_t)i;
        CHECK(mallctl(names[i], NULL, NULL, &wanted, sizeof wanted) == 0, "%s", names[i]);
        CHECK((ssize_t)figure("opt.dirty_decay_ms") == wanted, "%s: %zd", names[i], wanted);
        CHECK((ssize_t)figure("stats.arenas.0.dirty_decay_ms") == wanted, "%s", names[i]);
        CHECK(MallocExtension_GetMemoryReleaseRate() == 2000.0 / (double)wanted,
              "the option changed");
        wanted = -1;
        CHECK(mallctl(names[i], &before, &length, &wanted, sizeof wanted) == 0 &&
                  before == 1000 + (ssize_t)i,
              "%zd", before);
        CHECK(MallocExtension_GetMemoryReleaseRate() == 0, "never");
        wanted = -2;
        CHECK(mallctl(names[i], NULL, NULL, &wanted, sizeof wanted) == EFAULT, "no time");
    }
    wanted = 5000;
    CHECK(mallctl("arenas.muzzy_decay_ms", NULL, NULL, &wanted, sizeof wanted) == 0, "muzzy");
    CHECK((ssize_t)figure("arena.0.muzzy_decay_ms") == 5000, "muzzy");
    /* Pages whose time is over go back at once, and what is freed as well. */
    wanted = 0;
    CHECK(mallctl("arenas.dirty_decay_ms", NULL, NULL, &wanted, sizeof wanted) == 0, "at once");
    for (i = 0; i < 2; i++) {
        void *block = mallocx(20 * MIB, ZERO);
        dallocx(memset(block, 1, 20 * MIB), 0);
        CHECK(act("arena.0.decay") == 0, "decay");
        CHECK(figure("stats.arenas.0.pdirty") * figure("arenas.page") < MIB, "%zu dirty pages",
              figure("stats.arenas.0.pdirty"));
    }
}

static void purging(void) {
    static const char *const names[] = {"arena.0.purge", "arena.1.purge", "arena.4096.purge"};
    ssize_t never = -1;
    size_t i;
    CHECK(mallctl("arenas.dirty_decay_ms", NULL, NULL, &never, sizeof never) == 0, "never");
    for (i = 0; i < 3; i++) {
        unsigned char *block = mallocx(20 * MIB, 0);
        size_t resident, retained;
        memset(block, 1, 20 * MIB);
        dallocx(block, 0);
        CHECK(act("arena.0.decay") == 0, "decay");
        CHECK(figure("stats.arenas.0.pdirty") * 4096 >= 20 * MIB, "the time is not over");
        resident = resident_bytes();
        retained = figure("stats.retained");
        CHECK(act(names[i]) == 0, "%s", names[i]);
        CHECK(figure("stats.arenas.0.pdirty") == 0, "%s", names[i]);
        CHECK(resident_bytes() + 19 * MIB < resident, "%s: %zu bytes of %zu", names[i],
              resident_bytes(), resident);
        CHECK(figure("stats.retained") >= retained + 20 * MIB, "retained");
    }
}

static void background_option(void) {
    bool before, wanted = false;
    size_t length = sizeof before, one = 1, two = 2;
    CHECK(mallctl("background_thread", &before, &length, &wanted, sizeof wanted) == 0, "off");
    CHECK(before, "on by default");
    CHECK(mallctl("background_thread", &before, &length, NULL, 0) == 0 && !before, "it is off");
    wanted = true;
    CHECK(mallctl("background_thread", NULL, NULL, &wanted, sizeof wanted) == 0, "on");
    CHECK(mallctl("opt.background_thread", &before, &length, NULL, 0) == 0 && before, "it is on");
    CHECK(mallctl("max_background_threads", NULL, NULL, &one, sizeof one) == 0, "one");
    CHECK(mallctl("max_background_threads", NULL, NULL, &two, sizeof two) == EINVAL, "two");
}

/* Figures of one moment, under this library's other names and under jemalloc's. */
static void figures_agree(void) {
    static void *blocks[5000];
    size_t i, small, curregs = 0, mib[6], depth = 6, length = sizeof i;
    char name[100];
    for (i = 0; i < 5000; i++) CHECK(blocks[i] = mallocx(1 + i * 13 % 60000, 0), "%zu", i);
    for (i = 0; i < 5000; i += 2) dallocx(blocks[i], 0);
    CHECK(act("arena.0.purge") == 0, "purge");
    small = figure("stats.arenas.0.small.allocated");
    CHECK(figure("stats.allocated") == property("generic.current_allocated_bytes"), "allocated");
    CHECK(figure("stats.allocated") == small + figure("stats.arenas.4096.large.allocated"),
          "small and large");
    CHECK(figure("stats.metadata") == property("stratalloc.metadata_bytes"), "metadata");
    CHECK(figure("stats.active") + property("tcmalloc.pageheap_free_bytes") ==
              property("generic.physical_memory_used"),
          "active");
    CHECK(figure("stats.resident") == figure("stats.active") + figure("stats.metadata") +
                                          figure("stats.arenas.0.pdirty") * figure("arenas.page"),
          "resident");
    CHECK(figure("stats.mapped") + figure("stats.retained") ==
              property("generic.heap_size") + property("stratalloc.metadata_bytes"),
          "all addresses");
    CHECK(figure("stats.allocated") <= figure("stats.active"), "allocated is active");
    CHECK(figure("stats.arenas.0.tcache_bytes") == property("tcmalloc.thread_cache_free_bytes"),
          "cached");
    CHECK(mallctlnametomib("stats.arenas.0.bins.0.curregs", mib, &depth) == 0 && depth == 6,
          "numbers");
    for (i = 0; i < 72; i++) {
        size_t count;
        mib[4] = i;
        snprintf(name, sizeof name, "arenas.bin.%zu.size", i);
        CHECK(mallctlbymib(mib, depth, &count, &length, NULL, 0) == 0, "class %zu", i);
        curregs += count * figure(name);
    }
    CHECK(curregs == small, "%zu by classes, %zu in all", curregs, small);
    for (i = 1; i < 5000; i += 2) dallocx(blocks[i], 0);
}

/* Large blocks shrink where they are, and what they lose goes to others; they grow within 2 MiB.
 */
static void large_blocks_in_place(void) {
    size_t before = figure("stats.allocated"), i;
    unsigned char *block = mallocx(8 * MIB, 0);
    fill(block, 8 * MIB, 1);
    CHECK(xallocx(block, MIB, 9 * MIB, 0) == 8 * MIB, "8 lies between 1 and 10: %zu",
          sallocx(block, 0));
    CHECK(xallocx(block, MIB, 0, 0) == MIB, "shrinks: %zu", sallocx(block, 0));
    CHECK(figure("stats.allocated") == before + MIB, "%zu allocated", figure("stats.allocated"));
    CHECK(xallocx(block, 2 * MIB, 0, ZERO) == 2 * MIB, "grows: %zu", sallocx(block, 0));
    CHECK(filled(block, MIB, 1) && all_zero(block + MIB, MIB), "content");
    CHECK(xallocx(block, 1500 * KIB, MIB, 0) == 2 * MIB, "2 is enough: %zu", sallocx(block, 0));
    CHECK(xallocx(block, 100, 0, 0) == 2 * MIB, "small blocks are elsewhere: %zu",
          sallocx(block, 0));
    CHECK(xallocx(block, 100, 100 * KIB, 0) == 104 * KIB, "shrinks: %zu", sallocx(block, 0));
    CHECK(xallocx(block, 200 * KIB, 8 * MIB, 0) == 200 * KIB, "not all: %zu", sallocx(block, 0));
    CHECK(filled(block, 104 * KIB, 1), "content");
    dallocx(block, 0);
    /* So do blocks with a mapping of their own, as far as that needs no move. */
    block = mallocx(200 * MIB, ZERO);
    CHECK(xallocx(block, 100 * MIB, 0, 0) == 100 * MIB, "shrinks: %zu", sallocx(block, 0));
    CHECK(xallocx(block, 300 * MIB, 0, 0) == 100 * MIB, "would move: %zu", sallocx(block, 0));
    dallocx(block, 0);
    for (i = 1; i <= 32 * KIB; i += 100) {
        block = mallocx(i, 0);
        CHECK(xallocx(block, 64 * KIB, 0, 0) == nallocx(i, 0), "%zu: a class", i);
        dallocx(block, 0);
    }
}

/* What cannot be granted is refused, and nothing else happens. */
static void refusals(void) {
    unsigned arena, one = 1, zero = 0;
    bool off = false, on = true, then;
    ssize_t time = 77, before = (ssize_t)figure("opt.dirty_decay_ms");
    const char *word = "primary", *disabled = "disabled", *unknown = "tertiary";
    void *hooks = &arena, *block, *stranger = &arena;
    size_t length = sizeof arena, size;
    CHECK(mallctl("arenas.create", &arena, &length, NULL, 0) == 0 && arena == 1, "an arena");
    block = mallocx(100, ARENA(arena));
    CHECK(act("arena.1.destroy") == EFAULT && act("arena.1.reset") == EFAULT, "a block is in it");
    CHECK(mallctl("arena.1.dirty_decay_ms", NULL, NULL, &time, sizeof time) == EFAULT,
          "the heap's time");
    CHECK((ssize_t)figure("opt.dirty_decay_ms") == before, "the heap's time has not changed");
    CHECK(mallctl("stats.arenas.1.mapped", &size, &length, NULL, 0) == ENOENT,
          "nothing is known of it");
    CHECK(mallctl("thread.arena", NULL, NULL, &one, sizeof one) == EPERM, "arenas of threads");
    CHECK(mallctl("thread.arena", NULL, NULL, &zero, sizeof zero) == 0, "the heap");
    dallocx(block, ARENA(arena));
    CHECK(act("arena.1.reset") == 0 && act("arena.1.purge") == 0 && act("arena.1.destroy") == 0,
          "empty");
    CHECK(act("arena.1.destroy") == EFAULT, "destroyed");
    CHECK(mallctl("arenas.create", &arena, &length, &hooks, sizeof hooks) == EPERM, "hooks");
    CHECK(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off) == EPERM, "no cache");
    length = sizeof then;
    CHECK(mallctl("thread.tcache.enabled", &then, &length, &on, sizeof on) == 0 && then,
          "a cache");
    CHECK(mallctl("arena.0.dss", NULL, NULL, &word, sizeof word) == EFAULT, "sbrk");
    CHECK(mallctl("arena.0.dss", NULL, NULL, &disabled, sizeof disabled) == 0, "no sbrk");
    CHECK(mallctl("arena.0.dss", NULL, NULL, &unknown, sizeof unknown) == EINVAL, "no word");
    length = sizeof arena;
    CHECK(mallctl("arenas.lookup", &arena, &length, &stranger, sizeof stranger) == EINVAL,
          "no block");
    one = 4000;
    CHECK(mallctl("tcache.destroy", NULL, NULL, &one, sizeof one) == EFAULT, "no such cache");
}

static char printed[200000];

static void take(void *passed, const char *piece) {
    CHECK(passed == printed, "what was passed");
    CHECK(strlen(printed) + strlen(piece) < sizeof printed, "room");
    strcat(printed, piece);
}

static size_t printed_number(const char *before) {
    const char *found = strstr(printed, before);
    CHECK(found, "no %s in\n%s", before, printed);
    return strtoull(found + strlen(before), NULL, 10);
}

/* The text has jemalloc's frame and the figures that mallctl gives; both ways of taking it. */
static void printed_text(void) {
    static const char *const lines[] = {"\nVersion: \"stratalloc ", "\n  config.stats: true\n",
                                        "\n  opt.narenas: 1\n",     "\nArenas: 1\n",
                                        "\narenas[0]:\n",           "\nbins: "};
    const char *end = "--- End jemalloc statistics ---\n";
    void *block = mallocx(123456, 0);
    size_t i;
    malloc_stats_print(take, printed, "");
    CHECK(strncmp(printed, "___ Begin jemalloc statistics ___\n", 34) == 0, "%s", printed);
    CHECK(strcmp(printed + strlen(printed) - strlen(end), end) == 0, "%s", printed);
    for (i = 0; i < sizeof lines / sizeof *lines; i++)
        CHECK(strstr(printed, lines[i]), "no %s in\n%s", lines[i], printed);
    CHECK(printed_number("\nAllocated: ") == figure("stats.allocated"), "allocated");
    CHECK(printed_number(", active: ") == figure("stats.active"), "active");
    CHECK(printed_number(", resident: ") == figure("stats.resident"), "resident");
    CHECK(printed_number("\nlarge:") == figure("stats.arenas.0.large.allocated"), "large");
    *printed = 0;
    malloc_message = take;
    malloc_stats_print(NULL, printed, "gab");
    CHECK(printed_number("\nAllocated: ") == figure("stats.allocated"), "by malloc_message");
    CHECK(
        !strstr(printed, "config.") && !strstr(printed, "arenas[0]") && !strstr(printed, "bins:"),
        "%s", printed);
    CHECK(strstr(printed, "\nMerged arenas stats:\n"), "%s", printed);
    dallocx(block, 0);
}

/* For who looks at the JSON: a program with a block of 100,000 bytes. */
static void print_statistics(void) {
    void *block = mallocx(100000, 0);
    const char *options = getenv("PRINT_OPTIONS");
    malloc_stats_print(NULL, NULL, options ? options : "J");
    dallocx(block, 0);
}

static const struct test_case cases[] = {
    {"decay_times", decay_times},
    {"purging", purging},
    {"background_option", background_option},
    {"figures_agree", figures_agree},
    {"large_blocks_in_place", large_blocks_in_place},
    {"refusals", refusals},
    {"printed_text", printed_text},
    {"print_statistics", print_statistics},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
