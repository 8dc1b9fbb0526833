/* Use after free, for the hardened library: one bit of a freed block is changed, and the block leaves the quarantine by the
 * way that the first argument names. Each try is a process of its own; it must end by a report. With `zero` as the second
 * argument (and the option `zero_on_free`) any bit of the block is changed, else one of the first two words. With `late`
 * the block has left the quarantine before, and lies in a magazine. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wuse-after-free"

enum { MOST = 100 };

/* What one try does: so many blocks are freed before the one, and so many after it. */
static size_t size;
static int before, after;
static size_t offset;
static unsigned char bit;
static int late;

static void write_to_freed(void) {
    void *blocks[2 * MOST];
    int i;
    for (i = 0; i < before + after; i++) blocks[i] = opaque(malloc(size));
    char *block = opaque(malloc(size));
    for (i = 0; i < before; i++) free(blocks[i]);
    free(block);
    if (!late) ((volatile unsigned char *)opaque(block))[offset] ^= bit;
    for (; i < before + after; i++) free(blocks[i]);
    if (late) ((volatile unsigned char *)opaque(block))[offset] ^= bit;
}

static pthread_barrier_t barrier;
static void *and_end(void *unused) {
    write_to_freed();
    return unused;
}
static void *and_sleep(void *unused) {
    write_to_freed();
    pthread_barrier_wait(&barrier);
    sleep(60);
    return unused;
}
static void on_thread(void *(*body)(void *)) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, NULL) == 0, "thread");
    if (body == and_end) pthread_join(thread, NULL);
    else pthread_barrier_wait(&barrier);
}

static void use_again(void) {
    int i;
    write_to_freed();
    for (i = 0; i < 3000; i++) {
        void *block = opaque(malloc(size));
        if (i % 3) free(block);
    }
    _exit(0);
}
static void leave(void) { write_to_freed(); exit(0); }
static void trim(void) { write_to_freed(); malloc_trim(0); _exit(0); }
static void thread_ends(void) { on_thread(and_end); malloc_trim(0); _exit(0); }
static void thread_sleeps(void) { on_thread(and_sleep); malloc_trim(0); _exit(0); }

/* The child has the cache of a thread that it does not have. */
static void fork_while_thread_sleeps(void) {
    int i, status;
    on_thread(and_sleep);
    pid_t child = fork();
    if (child == 0) {
        void *blocks[1000];
        for (i = 0; i < 1000; i++) blocks[i] = opaque(malloc(3000));
        for (i = 0; i < 1000; i++) free(blocks[i]);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child, "wait");
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
    _exit(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"use_again", use_again},   {"exit", leave},
    {"trim", trim},             {"thread_ends", thread_ends},
    {"thread_sleeps", thread_sleeps}, {"fork", fork_while_thread_sleeps},
};

static unsigned long state = 1;
static unsigned draw(unsigned below) {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return (unsigned)(state >> 33) % below;
}

/* Whether the process ended by a report. */
static int is_found(void (*run)(void)) {
    char report[300] = "";
    int ends[2], status;
    ssize_t got;
    CHECK(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        run();
    }
    close(ends[1]);
    got = read(ends[0], report, sizeof report - 1);
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child, "wait");
    return got > 0 && strstr(report, "use after free") && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

int main(int argc, char **argv) {
    static const size_t sizes[] = {16, 48, 64, 128, 256, 512, 1024, 1500, 4096, 30000};
    struct rlimit none = {0, 0};
    int any_bit = argc > 2 && !strcmp(argv[2], "zero");
    int tries = 0, missed = 0;
    late = argc > 2 && !strcmp(argv[2], "late");
    size_t s, w;
    setrlimit(RLIMIT_CORE, &none);
    pthread_barrier_init(&barrier, NULL, 2);
    for (w = 0; w < sizeof ways / sizeof *ways && strcmp(ways[w].name, argv[1]); w++) {}
    CHECK(w < sizeof ways / sizeof *ways, "no way called %s", argv[1]);
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size = sizes[s];
        /* Blocks that wait before one is used again: twice that is every place in both generations. */
        int most = size > 1024 ? 8 : size > 128 ? 4096 / (int)size : 32;
        for (before = 0; before <= 2 * most; before++) {
            /* What a sleeping thread has in the magazine that it used last stays with it, written to or not. */
            after = (int)draw((unsigned)(ways[w].run == thread_sleeps ? most : 2 * most + 2));
            /* Small blocks wait in two generations, big ones in one ring. */
            if (late) after = (size > 1024 ? most : 2 * most) + (int)draw(2);
            offset = draw(any_bit ? (unsigned)size : 16);
            bit = (unsigned char)(1 << draw(8));
            tries++;
            if (!is_found(ways[w].run)) {
                missed++;
                printf("missed: %s, %zu bytes, %d freed before, %d after, offset %zu\n", argv[1], size, before,
                       after, offset);
            }
        }
    }
    printf("%d of %d missed\n", missed, tries);
    return missed != 0;
}
