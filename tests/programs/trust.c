/* One misuse per run, for the table of SECURITY.md. Says "done" when the misuse passed unnoticed and the
 * program went on for a while. What a mode sees only by chance, because it looks at one side of a block or
 * at some blocks only, is done to many blocks. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Warray-bounds"

enum { BLOCKS = 60 };

void stratalloc_sized_delete(void *, size_t) __asm__("_ZdlPvm") __attribute__((weak));

static volatile char sink;

static void write_byte(void *block, long offset) { *(volatile char *)((char *)opaque(block) + offset) ^= 0x5a; }
static void read_byte(void *block, long offset) { sink = *(volatile char *)((char *)opaque(block) + offset); }

/* What a program does after a mistake: goes on. */
static void go_on(size_t size) {
    void *held[200];
    int i, round;
    for (round = 0; round < 20; round++) {
        for (i = 0; i < 200; i++) {
            held[i] = opaque(malloc(size));
            memset(held[i], 1, size);
        }
        for (i = 0; i < 200; i++) free(held[i]);
    }
}

static void beside(size_t size, long offset, void (*touch)(void *, long)) {
    void *blocks[BLOCKS];
    int i;
    for (i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
        touch(blocks[i], offset);
    }
    for (i = 0; i < BLOCKS; i++) free(blocks[i]);
    go_on(size);
}

static void overflow_write(void) { beside(64, 64, write_byte); }
static void overflow_read(void) { beside(64, 64, read_byte); }
static void underflow_write(void) { beside(64, -1, write_byte); }
static void large_overflow_write(void) { beside(100000, 106496, write_byte); }
static void large_underflow_write(void) { beside(100000, -1, write_byte); }

static void after_free(size_t size, long offset, void (*touch)(void *, long)) {
    void *blocks[BLOCKS];
    int i;
    for (i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
    for (i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        touch(blocks[i], offset);
    }
    go_on(size);
}

static void write_after_free(void) { after_free(64, 0, write_byte); }
static void write_after_free_behind_the_link(void) { after_free(64, 40, write_byte); }
static void read_after_free(void) { after_free(64, 40, read_byte); }

static void double_free(void) {
    void *block = malloc(64);
    free(block);
    free(opaque(block));
    go_on(64);
}


/* The block lies in the cache of a thread that lives on. */
static pthread_barrier_t barrier;
static void *free_and_wait(void *block) {
    void *others[20];
    int i;
    for (i = 0; i < 20; i++) others[i] = opaque(malloc(64));
    for (i = 0; i < 20; i++) free(others[i]);
    free(block);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void double_free_in_another_cache(void) {
    pthread_t thread;
    void *block = malloc(64);
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK(pthread_create(&thread, NULL, free_and_wait, block) == 0, "thread");
    pthread_barrier_wait(&barrier);
    void *others[20];
    int i;
    for (i = 0; i < 20; i++) others[i] = opaque(malloc(64));
    for (i = 0; i < 20; i++) free(others[i]);
    free(opaque(block));
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    go_on(64);
}

static void double_free_after_write(void) {
    void *block = malloc(64), *other = malloc(64);
    free(other);
    free(block);
    memset(opaque(block), 0, 64);
    free(opaque(block));
    go_on(64);
}

static void double_free_large(void) {
    void *block = malloc(1 << 20);
    free(block);
    free(opaque(block));
}

static void free_foreign(void) {
    static char data[256] __attribute__((aligned(16)));
    free(opaque(data + 64));
}

static void free_interior(void) {
    char *block = malloc(64);
    memset(block, 0, 64);
    free(opaque(block + 16));
    go_on(64);
}

static void free_number(void) {
    free(opaque((void *)0xdeadbeefdeadbeef));
}

static void free_tagged(void) {
    uintptr_t block = (uintptr_t)malloc(64);
    free(opaque((void *)(block | (uintptr_t)1 << 60)));
}

static void sized_delete_mismatch(void) {
    void *block = malloc(400);
    stratalloc_sized_delete(opaque(block), 40);
    go_on(40);
}

static void sized_delete_same_class(void) {
    void *block = malloc(62);
    stratalloc_sized_delete(opaque(block), 50);
    go_on(50);
}

static const struct test_case cases[] = {
    {"overflow_write", overflow_write},
    {"overflow_read", overflow_read},
    {"underflow_write", underflow_write},
    {"large_overflow_write", large_overflow_write},
    {"large_underflow_write", large_underflow_write},
    {"write_after_free", write_after_free},
    {"write_after_free_behind_the_link", write_after_free_behind_the_link},
    {"read_after_free", read_after_free},
    {"double_free", double_free},
    {"double_free_in_another_cache", double_free_in_another_cache},
    {"double_free_after_write", double_free_after_write},
    {"double_free_large", double_free_large},
    {"free_foreign", free_foreign},
    {"free_interior", free_interior},
    {"free_number", free_number},
    {"free_tagged", free_tagged},
    {"sized_delete_mismatch", sized_delete_mismatch},
    {"sized_delete_same_class", sized_delete_same_class},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* What is decided at a process's first allocation is decided now. */
    free(opaque(malloc(16)));
    free(opaque(malloc(64)));
    int result = run_cases(cases, argc, argv);
    if (argc == 2 && strcmp(argv[1], "--list") != 0) dprintf(1, "done\n");
    return result;
}
