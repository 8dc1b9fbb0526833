/* One mistake per run, for memcheck to find in blocks of ours; `clean` has none, and does a bit of everything. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Warray-bounds"

enum { SIZES = 40, ROUNDS = 30 };

static volatile char sink;

static size_t size_of(int i) { return (size_t)i * i * i + 1; }

static void *work(void *unused) {
    char *blocks[SIZES];
    int i, round;
    (void)unused;
    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < SIZES; i++) {
            size_t size = size_of(i);
            blocks[i] = i % 3 == 0 ? calloc(1, size) : i % 3 == 1 ? malloc(size) : aligned_alloc(64, size);
            CHECK(i % 3 != 0 || blocks[i][size - 1] == 0, "calloc clears");
            memset(blocks[i], i, malloc_usable_size(blocks[i]));
        }
        for (i = 0; i < SIZES; i++) {
            blocks[i] = realloc(blocks[i], size_of(i) + 100);
            CHECK(blocks[i][size_of(i) - 1] == i, "realloc keeps what there was");
        }
        for (i = 0; i < SIZES; i++) free(blocks[i]);
    }
    return NULL;
}

static void clean(void) {
    pthread_t threads[3];
    int i;
    work(NULL);
    for (i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0, "thread");
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    malloc_trim(0);
}

static void read_at(size_t size, long offset) {
    char *block = opaque(malloc(size));
    memset(block, 1, size);
    sink = block[offset];
    free(block);
}

static void overflow(void) { read_at(64, 64); }
static void overflow_odd(void) { read_at(61, 61); }
static void overflow_large(void) { read_at(200000, 200000); }
static void underflow(void) {
    void *before = opaque(malloc(64));
    read_at(64, -1);
    free(before);
}

static void use_after_free(void) {
    char *block = opaque(malloc(64));
    memset(block, 1, 64);
    free(block);
    sink = *(char *)opaque(block);
}

static void use_after_long_free(void) {
    char *block = opaque(malloc(64));
    int i;
    memset(block, 1, 64);
    free(block);
    for (i = 0; i < 500; i++) free(opaque(malloc(64)));
    sink = *(char *)opaque(block);
}

static void double_free(void) {
    char *block = opaque(malloc(64));
    free(block);
    free(opaque(block));
}

static void uninitialised(void) {
    char *block = opaque(malloc(64));
    if (block[10] == 7) puts("seven");
    free(block);
}

static void leak(void) {
    int i;
    for (i = 0; i < 20; i++) memset(opaque(malloc(77)), 1, 77);
}

static const struct test_case cases[] = {
    {"clean", clean},
    {"overflow", overflow},
    {"overflow_odd", overflow_odd},
    {"overflow_large", overflow_large},
    {"underflow", underflow},
    {"use_after_free", use_after_free},
    {"use_after_long_free", use_after_long_free},
    {"double_free", double_free},
    {"uninitialised", uninitialised},
    {"leak", leak},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
