/* The example of clause C6.3: a thread computes Fibonacci numbers, and each step allocates the room for its
 * result with calloc(1024, 8). As it stands nobody frees it; compiled with -DFIXED, or run with the argument
 * "fixed", each step's room is freed once its number was used. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 2000, NUMBERS = 1024 };

static int fixed;

__attribute__((noinline)) long long *fibonacci(const long long *before, const long long *last)
{
    long long *room = calloc(NUMBERS, sizeof *room);
    if (room == NULL)
        abort();
    room[0] = (long long)((unsigned long long)*before + (unsigned long long)*last);
    return room;
}

__attribute__((noinline)) void *child(void *unused)
{
    long long before = 0, last = 1;
    for (int step = 0; step < STEPS; step++) {
        long long *next = fibonacci(&before, &last);
        before = last;
        last = *next;
        if (fixed)
            free(next);
    }
    printf("%lld\n", last);
    return unused;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    fixed = count > 1 && strcmp(arguments[1], "fixed") == 0;
#ifdef FIXED
    fixed = 1;
#endif
    if (pthread_create(&thread, NULL, child, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return 1;
    return 0;
}
