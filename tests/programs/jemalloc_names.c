/* Reads names of mallctl, a line each, and prints how each answers: to reads with room of every
 * size, to writes of a wrong length, to both, to neither. `<n>` in a name is the number of
 * arenas. The output of two allocators can be compared line by line. */
#include "jemalloc.h"

int main(void) {
    static char line[512], name[600];
    unsigned arenas = 0;
    size_t length;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        char *number = strstr(line, "<n>");
        unsigned char out[16] = {0}, in[16] = {0};
        size_t room, right = 0, mib[7], depth = 7;
        int result = -1, error;
        /* jemalloc 5.3 follows a null pointer then. */
        int needs_length = strstr(line, ".create") != NULL;
        line[strcspn(line, "\n")] = 0;
        length = sizeof arenas;
        CHECK(mallctl("arenas.narenas", &arenas, &length, NULL, 0) == 0, "arenas");
        if (number)
            snprintf(name, sizeof name, "%.*s%u%s", (int)(number - line), line, arenas,
                     number + 3);
        else
            snprintf(name, sizeof name, "%s", line);
        printf("%s: numbers %d", line, mallctlnametomib(name, mib, &depth));
        printf(" depth %zu", depth);
        /* Read, with the room that its type needs. */
        for (room = 1; room <= 8 && result != 0; room *= 2) {
            length = room;
            result = mallctl(name, out, &length, NULL, 0);
            if (result == 0) right = room;
        }
        printf(" read %d size %zu", result, right);
        length = 3;
        error = mallctl(name, out, &length, NULL, 0);
        printf(" odd room %d %zu", error, length);
        if (!needs_length) printf(" odd write %d", mallctl(name, NULL, NULL, in, 3));
        length = 3;
        printf(" both odd %d", mallctl(name, out, &length, in, 3));
        length = right;
        printf(" odd write with read %d", mallctl(name, out, &length, in, 3));
        if (!needs_length) {
            printf(" no pointer %d", mallctl(name, NULL, NULL, NULL, 8));
            printf(" neither %d", mallctl(name, NULL, NULL, NULL, 0));
        }
        length = 4;
        printf(" no pointer with read %d\n", mallctl(name, out, &length, NULL, 8));
    }
    return 0;
}
