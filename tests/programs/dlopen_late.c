/* Opens the library in the middle of a process that runs on another allocator, uses it from
 * threads that were there before and from new ones, and closes it while they live: their exit must
 * not run code that is gone. */
#define USE_DLOPEN
#include "api.h"

#include <pthread.h>

#define THREADS 4

static pthread_barrier_t opened, used, closed;

static void use_both(uint64_t seed) {
    unsigned char *ours[200], *systems[200];
    size_t i;
    for (i = 0; i < 200; i++) {
        size_t size = random_size(&seed, 18);
        CHECK((ours[i] = api.malloc(size)) && (systems[i] = malloc(size)), "%zu", size);
        fill(ours[i], size, i);
        fill(systems[i], size, i);
        CHECK(filled(ours[i], size, i), "block %zu", i);
    }
    for (i = 0; i < 200; i++) {
        api.free(ours[i]);
        free(systems[i]);
    }
}

static void *live(void *argument) {
    pthread_barrier_wait(&opened);
    use_both((uint64_t)(uintptr_t)argument);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS], late;
    uintptr_t i;
    pthread_barrier_init(&opened, NULL, THREADS + 1);
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&closed, NULL, THREADS + 1);
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, live, (void *)i) == 0, "thread");
    free(opaque(malloc(1000)));
    load_api();
    pthread_barrier_wait(&opened);
    use_both(99);
    pthread_barrier_wait(&used);
    dlclose(library_handle);
    pthread_barrier_wait(&closed);
    for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
    load_api();
    use_both(100);
    pthread_barrier_destroy(&opened);
    pthread_barrier_init(&opened, NULL, 1);
    pthread_barrier_destroy(&used);
    pthread_barrier_init(&used, NULL, 1);
    pthread_barrier_destroy(&closed);
    pthread_barrier_init(&closed, NULL, 1);
    CHECK(pthread_create(&late, NULL, live, (void *)7) == 0, "thread");
    CHECK(pthread_join(late, NULL) == 0, "join");
    return 0;
}
