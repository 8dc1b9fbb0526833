/* Allocates before the C library has started, when options are not known yet: what there is then must serve on when
 * they are. */
#include "check.h"

enum { BLOCKS = 3000 };
static char *blocks[BLOCKS];
static uint64_t state = 1;

static size_t size_of(int i) { return 16 + (size_t)i * 7 % 3000; }

static void fill_early(int argc, char **argv, char **envp) {
    int i;
    (void)argc;
    (void)argv;
    (void)envp;
    CHECK(environ == NULL, "the C library has started");
    for (i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size_of(i));
        CHECK(blocks[i] != NULL, "%d", i);
        memset(blocks[i], i, size_of(i));
    }
    /* So that there is a cache with something in it. */
    for (i = 0; i < BLOCKS; i += 3) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

__attribute__((section(".preinit_array"), used)) static void (*const early)(int, char **, char **) = fill_early;

int main(void) {
    long round;
    int i;
    for (round = 0; round < 200000; round++) {
        i = (int)(next_random(&state) % BLOCKS);
        if (blocks[i] != NULL) {
            size_t at = next_random(&state) % size_of(i);
            CHECK(blocks[i][at] == (char)i, "block %d, byte %zu", i, at);
            free(blocks[i]);
            blocks[i] = NULL;
        } else {
            blocks[i] = malloc(size_of(i));
            CHECK(blocks[i] != NULL, "%d", i);
            memset(blocks[i], i, size_of(i));
        }
    }
    for (i = 0; i < BLOCKS; i++) free(blocks[i]);
    printf("done\n");
    return 0;
}
