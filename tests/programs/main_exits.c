/* A program whose main thread ends by pthread_exit: it is over, with status 0, when its last thread is,
 * whatever threads the allocator has of its own. With an argument the last thread goes on until stdin ends. */
#include "check.h"

#include <pthread.h>
#include <sys/prctl.h>

static void *short_one(void *unused) {
    free(opaque(malloc(100)));
    return unused;
}

static void *long_one(void *unused) {
    char byte;
    void *kept = opaque(malloc(777));
    dprintf(1, "ready\n");
    while (read(0, &byte, 1) > 0)
        ;
    free(kept);
    return unused;
}

int main(int count, char **arguments) {
    pthread_t thread;
    (void)arguments;
    expect_library();
    CHECK(prctl(PR_GET_DUMPABLE) == 1, "the process is not what it was any more");
    CHECK(pthread_create(&thread, NULL, short_one, NULL) == 0, "no thread");
    CHECK(pthread_join(thread, NULL) == 0, "cannot wait for a thread");
    if (count > 1) CHECK(pthread_create(&thread, NULL, long_one, NULL) == 0, "no thread");
    pthread_exit(NULL);
}
