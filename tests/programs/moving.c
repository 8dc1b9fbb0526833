/* What of other allocators' calls is served: tests/tests/recipes_moving.rs asks for each name of docs/recipes/moving.md.
 *
 * Reads lines from the standard input: `mallctl NAME` and `property NAME` print 1 if there is one of that name, else 0;
 * `mallopt NAME VALUE` prints what it returned, the decay time then (-1: never), and how many of two blocks, of 65 and
 * 129 MiB, got mappings of their own. */
#include <gperftools/malloc_extension_c.h>

#include "check.h"
#include "stratalloc.h"

static const struct {
    const char *name;
    int number;
} OPTIONS[] = {
    {"M_TRIM_THRESHOLD", M_TRIM_THRESHOLD}, {"M_MMAP_MAX", M_MMAP_MAX},
    {"M_MMAP_THRESHOLD", M_MMAP_THRESHOLD}, {"M_ARENA_MAX", M_ARENA_MAX},
    {"M_TOP_PAD", M_TOP_PAD},               {"M_MXFAST", M_MXFAST},
    {"M_PERTURB", M_PERTURB},               {"M_CHECK_ACTION", M_CHECK_ACTION},
};

static void set(const char *name, int value) {
    size_t i, length = sizeof(ssize_t);
    ssize_t decay;
    for (i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        if (strcmp(OPTIONS[i].name, name) == 0) {
            int result = mallopt(OPTIONS[i].number, value);
            void *first = malloc(65 * MIB), *second = malloc(129 * MIB);
            CHECK(first && second, "no memory");
            CHECK(mallctl("arenas.dirty_decay_ms", &decay, &length, NULL, 0) == 0, "decay");
            printf("%d %zd %zu\n", result, decay, (size_t)mallinfo2().hblks);
            free(first);
            free(second);
            return;
        }
    }
    CHECK(0, "%s is not in the list", name);
}

int main(void) {
    char line[200], name[200];
    int value;
    while (fgets(line, sizeof line, stdin)) {
        size_t property;
        if (sscanf(line, "mallctl %199s", name) == 1) {
            printf("%d\n", mallctl(name, NULL, NULL, NULL, 0) != ENOENT);
        } else if (sscanf(line, "property %199s", name) == 1) {
            printf("%d\n", MallocExtension_GetNumericProperty(name, &property));
        } else {
            CHECK(sscanf(line, "mallopt %199s %d", name, &value) == 2, "%s", line);
            set(name, value);
        }
    }
    return 0;
}
