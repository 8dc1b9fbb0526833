/* Calls that tests/tests/traces.rs counts in the trace of this program: on two threads, where one frees what
 * the other allocated, in a forked child, which must not be recorded, and up to an end by _exit. Sizes are
 * from 700001 on, so that nobody else's calls look like them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 700001, BLOCKS = 200 };
static void *volatile passed[BLOCKS];

static void *free_passed(void *unused) {
    (void)unused;
    for (int i = 0; i < BLOCKS; i++)
        free(passed[i]);
    return NULL;
}

int main(int argc, char **argv) {
    for (int i = 0; i < BLOCKS; i++)
        passed[i] = malloc(FIRST);
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_passed, NULL) || pthread_join(thread, NULL))
        return 3;

    void *volatile zeroed = calloc(FIRST + 1, 1);
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, FIRST + 2))
        return 4;
    /* Small ones take other paths. */
    void *volatile small = calloc(37, 3);
    void *small_aligned = NULL;
    if (posix_memalign(&small_aligned, 256, 1003))
        return 5;
    /* In place, then to another place, then beyond what can be had. */
    void *volatile resized = realloc(NULL, FIRST + 3);
    resized = realloc(resized, FIRST + 4);
    resized = realloc(resized, 24 * (size_t)FIRST);
    if (realloc(resized, (size_t)1 << 62) != NULL)
        return 6;

    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < BLOCKS; i++)
            free(malloc(FIRST + 9));
        exit(0);
    }
    int status = 1;
    if (waitpid(child, &status, 0) != child || status != 0)
        return 7;
    free(zeroed);
    free(aligned);
    free(small);
    free(small_aligned);
    free(resized);
    if (argc > 1 && strcmp(argv[1], "_exit") == 0)
        _exit(0);
    return 0;
}
