/* The loop whose instructions are counted: one malloc and one free of 16 to 64 bytes per round, and
 * one store, so that the block is used. Argument: how many rounds. */
#include <stdlib.h>

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 1000, i;
    for (i = 0; i < rounds; i++) {
        void *block = malloc(16 + ((size_t)i & 48));
        *(volatile char *)block = 1;
        free(block);
    }
    return 0;
}
