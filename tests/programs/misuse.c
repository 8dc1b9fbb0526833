/* One misuse per run. Prints the address that the report must name, does the deed, and returns from
 * main as if nothing had happened: an allocator that notices late may still do so at exit. With a
 * second argument `thread`, the deed is done on a thread of its own. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/wait.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"

/* The report must name this address. */
static void *announce(void *pointer) {
    dprintf(1, "%p\n", pointer);
    return opaque(pointer);
}

static void double_free_in_a_row(void) {
    void *block = announce(malloc(64));
    free(block);
    free(opaque(block));
}

static void double_free_another_between(void) {
    void *block = announce(malloc(64)), *other = malloc(64);
    free(block);
    free(opaque(other));
    free(opaque(block));
}

/* Runs itself for every size, each in a child; the last one in this process. */
static void double_free_of_each_size(void) {
    static const size_t sizes[] = {16, 24, 33, 100, 1000, 20000, 40000, 100000, 150000, 5000};
    size_t i, last = sizeof sizes / sizeof *sizes - 1;
    for (i = 0; i < last; i++) {
        int ends[2], status;
        pid_t child;
        char report[512] = "";
        CHECK(pipe(ends) == 0, "pipe");
        if ((child = fork()) == 0) {
            void *block = opaque(malloc(sizes[i]));
            dup2(ends[1], 2);
            free(block);
            free(opaque(block));
            exit(0);
        }
        close(ends[1]);
        CHECK(read(ends[0], report, sizeof report - 1) > 0, "no report for %zu bytes", sizes[i]);
        close(ends[0]);
        CHECK(wait4(child, &status, 0, NULL) == child, "wait");
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%zu bytes: %x", sizes[i],
              (unsigned)status);
    }
    void *block = announce(malloc(sizes[last]));
    free(block);
    free(opaque(block));
}

static void double_free_aligned(void) {
    void *block = announce(memalign(256, 300));
    free(block);
    free(opaque(block));
}

static void *free_it(void *block) {
    free(block);
    return NULL;
}

static void double_free_across_threads(void) {
    pthread_t thread;
    void *block = announce(malloc(64));
    CHECK(pthread_create(&thread, NULL, free_it, block) == 0, "thread");
    CHECK(pthread_join(thread, NULL) == 0, "join");
    free(opaque(block));
}

static void double_free_of(size_t size) {
    void *block = malloc(size);
    CHECK(block, "%zu", size);
    memset(block, 1, size);
    announce(block);
    free(block);
    free(opaque(block));
}

static void double_free_large(void) { double_free_of(MIB); }
static void double_free_huge(void) { double_free_of(200 * MIB); }

/* A process with one thread and much free memory: its own calls give that back, after a pause, and its next allocations
 * are made to come to slow paths for it. What is freed meanwhile is in the cache as ever, and must be found there. */
static void double_free_while_diverted(void) {
    enum { BLOCKS = 200000 };
    static void *blocks[BLOCKS];
    int i;
    for (i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(200);
        memset(blocks[i], 1, 200);
    }
    for (i = 0; i < BLOCKS; i++)
        if (i % 100) free(blocks[i]);
    usleep(300000);
    free(opaque(malloc(50)));
    void *block = announce(malloc(64)), *other = malloc(64);
    usleep(300000);
    free(opaque(malloc(50)));
    free(block);
    free(opaque(other));
    free(opaque(block));
}

/* What a freed block holds is written into the block when it is allocated again, until nobody believes it any more. */
static void double_free_after_forged_marks(void) {
    uintptr_t freed[2] = {0, 0};
    int i;
    for (i = 0; i < 5000; i++) {
        void *block = opaque(malloc(64));
        memcpy(block, freed, sizeof freed);
        free(block);
        memcpy(freed, opaque(block), sizeof freed);
    }
    void *block = announce(malloc(64));
    free(block);
    free(opaque(block));
}

static void free_stack(void) {
    char local[256] __attribute__((aligned(16)));
    free(announce(local + 64));
}

static void free_static(void) {
    static char data[256] __attribute__((aligned(16)));
    free(announce(data + 64));
}

static char *foreign_page(void) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED, "mmap");
    return page;
}

static void free_foreign_mapping(void) { free(announce(foreign_page())); }
static void free_wild_address(void) { free(announce((void *)(uintptr_t)0x123456789ab0)); }

static void free_interior(size_t size, size_t offset) {
    char *block = malloc(size);
    memset(block, 0, size);
    free(announce(block + offset));
}

static void free_interior_small_16(void) { free_interior(64, 16); }
static void free_interior_small_8(void) { free_interior(64, 8); }
static void free_interior_large(void) { free_interior(MIB, 4096); }
static void realloc_foreign(void) { free(opaque(realloc(announce(foreign_page()), 100))); }

static void realloc_freed_large(void) {
    void *block = announce(malloc(MIB));
    free(block);
    free(opaque(realloc(opaque(block), 2 * MIB)));
}

static void usable_size_foreign(void) {
    dprintf(1, "%zu\n", malloc_usable_size(announce(foreign_page())));
}

static const struct test_case cases[] = {
    {"double_free_in_a_row", double_free_in_a_row},
    {"double_free_another_between", double_free_another_between},
    {"double_free_of_each_size", double_free_of_each_size},
    {"double_free_aligned", double_free_aligned},
    {"double_free_across_threads", double_free_across_threads},
    {"double_free_large", double_free_large},
    {"double_free_huge", double_free_huge},
    {"double_free_while_diverted", double_free_while_diverted},
    {"double_free_after_forged_marks", double_free_after_forged_marks},
    {"free_stack", free_stack},
    {"free_static", free_static},
    {"free_foreign_mapping", free_foreign_mapping},
    {"free_wild_address", free_wild_address},
    {"free_interior_small_16", free_interior_small_16},
    {"free_interior_small_8", free_interior_small_8},
    {"free_interior_large", free_interior_large},
    {"realloc_foreign", realloc_foreign},
    {"realloc_freed_large", realloc_freed_large},
    {"usable_size_foreign", usable_size_foreign},
    {NULL, NULL},
};

static char **argument_values;

static void *run_on_thread(void *unused) {
    run_cases(cases, 2, argument_values);
    return unused;
}

int main(int argc, char **argv) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    argument_values = argv;
    if (argc == 3) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run_on_thread, NULL) == 0, "thread");
        CHECK(pthread_join(thread, NULL) == 0, "join");
        return 0;
    }
    return run_cases(cases, argc, argv);
}
