/* `fork` while other threads are inside the C library's streams, which allocate under the locks that `fork`
 * takes itself: the list of open streams, and each stream's own. glibc's bug 19431 is of this kind. The child
 * uses the allocator, and streams as far as the C library lets it. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#define RUN_MS 350

static atomic_int stop;
static atomic_long turns;

/* What is written to this stream goes to a function that allocates much, as one that compresses would. */
static ssize_t write_by_allocating(void *cookie, const char *text, size_t length) {
    void *blocks[64];
    int i;
    (void)cookie, (void)text;
    for (i = 0; i < 64; i++) CHECK(blocks[i] = malloc(2000 + (size_t)i * 500), "no memory");
    for (i = 0; i < 64; i++) free(blocks[i]);
    return (ssize_t)length;
}

/* Flushing all streams calls that function with the lock of the list of all streams held. */
static void *flush_all(void *argument) {
    cookie_io_functions_t functions = {.write = write_by_allocating};
    FILE *stream = fopencookie(NULL, "w", functions);
    CHECK(stream, "fopencookie");
    while (!atomic_load(&stop)) {
        fputs("something", stream);
        fflush(NULL);
        turns++;
    }
    fclose(stream);
    return argument;
}

static void *read_lines(void *argument) {
    while (!atomic_load(&stop)) {
        char *line = NULL;
        size_t room = 0;
        FILE *stream = fopen("/proc/self/maps", "r");
        CHECK(stream, "fopen");
        if (argument) {
            while (getdelim(&line, &room, 'p', stream) > 0) turns++;
        } else {
            while (getline(&line, &room, stream) > 0) turns++;
        }
        free(line);
        fclose(stream);
    }
    return NULL;
}

static void *run_commands(void *argument) {
    while (!atomic_load(&stop)) {
        char text[16];
        FILE *stream = popen("echo x", "r");
        CHECK(stream, "popen");
        CHECK(fgets(text, sizeof text, stream) && text[0] == 'x', "what was echoed");
        CHECK(pclose(stream) == 0, "pclose");
        turns++;
    }
    return argument;
}

static void *open_and_close(void *argument) {
    while (!atomic_load(&stop)) {
        FILE *stream = fopen("/dev/null", "w");
        CHECK(stream, "fopen");
        fprintf(stream, "%s", "x");
        fclose(stream);
        turns++;
    }
    return argument;
}

static void *in_memory(void *argument) {
    while (!atomic_load(&stop)) {
        char room[64], *text = NULL;
        size_t length = 0;
        FILE *stream = fmemopen(room, sizeof room, "w+");
        CHECK(stream && fputs("here", stream) >= 0 && fclose(stream) == 0, "fmemopen");
        stream = open_memstream(&text, &length);
        CHECK(stream && fprintf(stream, "%0900d", 1) == 900 && fclose(stream) == 0, "a stream");
        CHECK(length == 900, "%zu", length);
        free(text);
        turns++;
    }
    return argument;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void be_a_child(void) {
    char *text = NULL;
    size_t length = 0, i;
    FILE *stream;
    for (i = 0; i < 500; i++) free(malloc(i * 37 + 1));
    stream = open_memstream(&text, &length);
    CHECK(stream && fputs("child", stream) >= 0 && fclose(stream) == 0, "a stream in the child");
    free(text);
    _exit(0);
}

static void fork_beside(void *(*work)(void *), void *argument, int threads) {
    pthread_t others[4];
    int64_t until = now_ms() + RUN_MS;
    int i, forks = 0;
    for (i = 0; i < threads; i++) {
        CHECK(pthread_create(&others[i], NULL, work, argument) == 0, "a thread");
    }
    while (now_ms() < until) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(10);
            be_a_child();
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "status %#x", status);
        forks++;
    }
    atomic_store(&stop, 1);
    for (i = 0; i < threads; i++) pthread_join(others[i], NULL);
    CHECK(forks > 3 && turns > 3, "%d forks, %ld turns", forks, turns);
}

static void flushing_all(void) {
    fork_beside(flush_all, NULL, 2);
}

static void reading_lines(void) {
    fork_beside(read_lines, NULL, 2);
}

static void reading_up_to_a_character(void) {
    fork_beside(read_lines, &stop, 2);
}

static void running_commands(void) {
    fork_beside(run_commands, NULL, 2);
}

static void opening_and_closing(void) {
    fork_beside(open_and_close, NULL, 2);
}

static void streams_in_memory(void) {
    fork_beside(in_memory, NULL, 2);
}

static const struct test_case cases[] = {
    {"flushing_all", flushing_all},
    {"reading_lines", reading_lines},
    {"reading_up_to_a_character", reading_up_to_a_character},
    {"running_commands", running_commands},
    {"opening_and_closing", opening_and_closing},
    {"streams_in_memory", streams_in_memory},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    return run_cases(cases, argc, argv);
}
