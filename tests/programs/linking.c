/* Linked with `libstratalloc.a` by every compiler and linker, statically or not: the allocator in
 * the program must be ours, through the C library's own calls too, with threads and in a forked
 * child. Prints the version. */
#include "linked.h"

int main(void) {
    linked_check();
    printf("%s\n", stratalloc_version());
    return 0;
}
