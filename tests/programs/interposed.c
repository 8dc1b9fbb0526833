/* A program with threads that does with memory what programs do, to be run while every function that the
 * library imports is somebody else's (interposer.c). Prints "done" when it gets to its end. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 400 };

static unsigned rounds = 12;

static void work(unsigned seed)
{
    static _Thread_local char *blocks[BLOCKS];
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        char **place = &blocks[(seed >> 8) % BLOCKS];
        size_t size = (seed >> 16) % 64 ? (seed >> 20) % 900 + 1 : (seed >> 20) % 300000 + 1;
        switch (seed >> 28) {
        case 0:
        case 1:
            free(*place);
            *place = calloc(1, size);
            break;
        case 2:
            *place = realloc(*place, size);
            break;
        case 3:
            free(*place);
            if (posix_memalign((void **)place, 256, size))
                *place = NULL;
            break;
        default:
            free(*place);
            *place = malloc(size);
        }
        if (*place)
            memset(*place, 1, size < 64 ? size : 64);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void *short_life(void *block)
{
    free(block);
    return malloc(1000);
}

static void *thread(void *argument)
{
    for (unsigned round = 0; round < rounds; round++) {
        work((unsigned)(uintptr_t)argument * 7919 + round);
        pthread_t other;
        void *left;
        if (pthread_create(&other, NULL, short_life, malloc(500)) || pthread_join(other, &left))
            abort();
        free(left);
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (round % 4 == 0)
            malloc_trim(0);
        if (round % 5 == 1)
            free(malloc(64 << 20));
        if (round % 6 == 2) {
            pid_t child = fork();
            if (child == 0) {
                work(round);
                _exit(0);
            }
            int status;
            if (child < 0 || waitpid(child, &status, 0) != child || status)
                abort();
        }
        struct mallinfo2 info = mallinfo2();
        if (info.arena == 0)
            abort();
    }
    return NULL;
}

int main(int count, char **arguments)
{
    if (count > 1)
        rounds = (unsigned)atoi(arguments[1]);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, thread, (void *)(i + 1)))
            abort();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    volatile size_t too_much = SIZE_MAX / 2 + 1;
    void *volatile impossible = malloc(too_much);
    if (impossible)
        abort();
    FILE *sink = fopen("/dev/null", "w");
    if (!sink || malloc_info(0, sink))
        abort();
    fclose(sink);
    puts("done");
    return 0;
}
