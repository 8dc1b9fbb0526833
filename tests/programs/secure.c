/* Says whether the allocator obeyed the environment: run setuid, it must not (see `parameters`). */
#include "check.h"

int main(void) {
    void *block = opaque(malloc(100));
    CHECK(block, "no memory");
    free(block);
    dprintf(1, "%s\n", getuid() == geteuid() ? "plain" : "setuid");
    return 0;
}
