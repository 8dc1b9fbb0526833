/* Calls malloc and free a known number of times, and nothing else of the allocator's, between a byte on
 * stdin and its end: for tools that count the calls from outside. Prints the numbers, and where the innermost
 * two callers return to, as they should be seen on the stack. */
#include "check.h"

enum { CALLS = 100, FREED = 75, SIZE = 777 };

static void *blocks[CALLS];
static void *returns[2];

/* Frame pointers, which the kernel follows, whatever the compiler is told otherwise. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")
#endif

__attribute__((noinline)) static void *inner(size_t size) {
    void *block = malloc(size);
    returns[0] = __builtin_return_address(0);
    return opaque(block);
}

__attribute__((noinline)) static void *outer(size_t size) {
    void *block = inner(size);
    returns[1] = __builtin_return_address(0);
    return opaque(block);
}

int main(void) {
    char byte, line[100];
    int i, length;
    expect_library();
    dprintf(1, "ready\n");
    CHECK(read(0, &byte, 1) == 1, "nobody says go");
    for (i = 0; i < CALLS; i++) blocks[i] = outer(SIZE);
    for (i = 0; i < FREED; i++) free(blocks[i]);
    /* Not dprintf, which allocates. */
    length = snprintf(line, sizeof line, "%d %d %d %p %p\n", CALLS, FREED, SIZE, returns[0], returns[1]);
    _exit(write(1, line, (size_t)length) != length);
}
