/* A process that ends while a thread waits for input from a stream, and so holds the stream's lock.
 * `exit` does not wait for that. What the program has written and not flushed comes out, and a leak
 * is left. */
#include "check.h"

#include <pthread.h>

static void *read_for_ever(void *stream) {
    fgetc(stream);
    return NULL;
}

int main(void) {
    int ends[2];
    pthread_t thread;
    FILE *stream;
    expect_library();
    CHECK(pipe(ends) == 0 && (stream = fdopen(ends[0], "r")), "a stream");
    CHECK(pthread_create(&thread, NULL, read_for_ever, stream) == 0, "a thread");
    while (ftrylockfile(stream) == 0) {
        funlockfile(stream);
        usleep(1000);
    }
    opaque(malloc(1000));
    printf("end");
    return 3;
}
