/* A signal handler that allocates. POSIX allows that when the signal interrupts code which is not
 * itself in an unsafe function: here a thread that only counts, while others allocate. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#define SIGNALS 1500

static atomic_int handled, stop;
static unsigned char *kept[64];
static size_t kept_sizes[64];

static void on_alarm(int signal) {
    static uint64_t state = 17;
    int i, saved = errno;
    (void)signal;
    for (i = 0; i < 40; i++) {
        size_t slot = next_random(&state) % 64;
        if (kept[slot]) CHECK(filled(kept[slot], kept_sizes[slot], slot), "slot %zu", slot);
        kept_sizes[slot] = random_size(&state, i % 16 ? 13 : 19);
        kept[slot] = realloc(kept[slot], kept_sizes[slot]);
        CHECK(kept[slot], "no memory in the handler");
        fill(kept[slot], kept_sizes[slot], slot);
        free(opaque(calloc(3, 100)));
    }
    atomic_fetch_add(&handled, 1);
    errno = saved;
}

static void *allocate(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) free(opaque(malloc(random_size(&state, 16))));
    return NULL;
}

int main(void) {
    struct sigaction action;
    struct itimerval every = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    volatile unsigned long counter = 0;
    pthread_t threads[2];
    sigset_t alarms;
    uintptr_t i;
    expect_library();
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate, (void *)i) == 0, "thread");
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0, "setitimer");
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    while (atomic_load(&handled) < SIGNALS) counter++;
    setitimer(ITIMER_REAL, &off, NULL);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    atomic_store(&stop, 1);
    for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
    for (i = 0; i < 64; i++) {
        if (kept[i]) CHECK(filled(kept[i], kept_sizes[i], i), "slot %zu at the end", (size_t)i);
        free(kept[i]);
    }
    return 0;
}
