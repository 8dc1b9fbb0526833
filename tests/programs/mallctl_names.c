/* Reads names, a line each, and asks for every one of them in every way, with room for an answer that is
 * too small, right and too large: nothing is written past the room. */
#include "check.h"

#include "stratalloc.h"

int main(void) {
    static char line[4096];
    int known = 0;
    while (fgets(line, sizeof line, stdin)) {
        size_t room, mib[8], depth;
        line[strcspn(line, "\n")] = 0;
        for (room = 0; room <= 32; room++) {
            unsigned char out[64];
            size_t length = room;
            int result;
            memset(out, 0xA5, sizeof out);
            result = mallctl(line, out, &length, NULL, 0);
            known += result == 0;
            for (length = room; length < sizeof out; length++)
                CHECK(out[length] == 0xA5, "%s: written past %zu bytes", line, room);
        }
        mallctl(line, NULL, NULL, NULL, 0);
        for (depth = 0; depth <= 8; depth++) {
            size_t count = depth, length = sizeof(uint64_t);
            uint64_t value;
            if (mallctlnametomib(line, mib, &count) != 0) continue;
            CHECK(count <= depth, "%s: %zu levels in %zu", line, count, depth);
            CHECK(mallctlbymib(mib, count, &value, &length, NULL, 0) != EFAULT, "%s", line);
        }
    }
    printf("%d\n", known);
    return 0;
}
