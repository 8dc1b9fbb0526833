/* Threads whose stacks lie whole numbers of gigabytes apart, as stacks of a gigabyte do side by side. One of them forks again
 * and again, the others allocate: none of them is taken for the thread that forks, which passes the locks that it has taken.
 * The blocks of the parent stay as they are, and each child can allocate. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define STACK (512 * KIB)
#define RUN_MS 4000

/* The first stack, and by how many bits of an address the others are apart from it. */
static char *const first = (char *)0x100000000;
static const int bits[] = {33, 34, 36, 37, 38, 40, 42, 44};
enum { OTHERS = sizeof bits / sizeof *bits, SLOTS = 100 };

static atomic_int started, stop;

static void *work(void *argument) {
    static _Thread_local struct {
        void *block;
        size_t size;
        uint64_t seed;
    } slots[SLOTS];
    uint64_t state = (uint64_t)(uintptr_t)argument;
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&stop)) {
        uint64_t choice = next_random(&state);
        size_t i = choice % SLOTS;
        CHECK(filled(slots[i].block, slots[i].size % 40000, slots[i].seed), "a block of %zu changed", slots[i].size);
        free(slots[i].block);
        /* Every second one takes locks. */
        slots[i].size = random_size(&state, 12) + (choice >> 32 & 1) * 40000;
        slots[i].seed = choice;
        CHECK(slots[i].block = malloc(slots[i].size), "no memory");
        fill(slots[i].block, slots[i].size % 40000, choice);
    }
    for (size_t i = 0; i < SLOTS; i++) free(slots[i].block);
    return NULL;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *fork_often(void *argument) {
    uint64_t state = 7;
    int64_t until = now_ms() + RUN_MS;
    while (atomic_load(&started) < OTHERS) usleep(1000);
    while (now_ms() < until) {
        int status, i;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(20);
            for (i = 0; i < 300; i++) free(opaque(malloc(random_size(&state, 17))));
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child's status %#x", (unsigned)status);
    }
    atomic_store(&stop, 1);
    return argument;
}

static pthread_t start_at(char *place, void *(*body)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    char *stack = mmap(place, STACK, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(stack == place, "no stack at %p", (void *)place);
    CHECK(pthread_attr_init(&attributes) == 0, "attributes");
    CHECK(pthread_attr_setstack(&attributes, stack, STACK) == 0, "a stack of one's own");
    CHECK(pthread_create(&thread, &attributes, body, argument) == 0, "a thread");
    return thread;
}

int main(void) {
    pthread_t forking, others[OTHERS];
    expect_library();
    forking = start_at(first, fork_often, NULL);
    for (int i = 0; i < OTHERS; i++) {
        others[i] = start_at(first + ((uintptr_t)1 << bits[i]), work, (void *)(uintptr_t)(i + 1));
    }
    pthread_join(forking, NULL);
    for (int i = 0; i < OTHERS; i++) pthread_join(others[i], NULL);
    return 0;
}
