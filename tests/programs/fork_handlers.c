/* `fork` handlers of the program's own that use the allocator: registered before anything else ran, from a
 * constructor, and from `main` before and after the first block; in a process with one thread, and beside
 * threads that allocate. And handlers that take a lock under which other threads allocate. The program's
 * prepare handlers must run before the allocator's, whose locks they would wait for otherwise.
 *
 * Arguments: where to register (preinit, constructor, early, late), what the handlers do (use, lock), and how
 * many threads allocate meanwhile. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define KEPT 300
#define FORKS 10

static struct {
    unsigned char *block;
    size_t size;
    uint64_t seed;
} kept[KEPT];
static uint64_t state = 11;
static int runs[3], order[3];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *shared_block;
static atomic_int stop;
static const char *place = "", *what = "";

/* Every kind of call, on blocks that outlive the handler. */
static void use(int who) {
    int i;
    void *other;
    for (i = 0; i < KEPT; i++) {
        size_t size = random_size(&state, i % 50 ? 13 : 22);
        if (kept[i].block) {
            CHECK(filled(kept[i].block, kept[i].size, kept[i].seed), "handler %d, block %d", who, i);
        }
        switch (next_random(&state) % 4) {
        case 0:
            kept[i].block = realloc(kept[i].block, size);
            break;
        case 1:
            free(kept[i].block);
            kept[i].block = calloc(1, size);
            CHECK(kept[i].block && all_zero(kept[i].block, size), "%zu bytes", size);
            break;
        case 2:
            free(kept[i].block);
            kept[i].block = memalign(64, size);
            break;
        default:
            free(kept[i].block);
            kept[i].block = malloc(size);
        }
        CHECK(kept[i].block, "handler %d: no memory for %zu", who, size);
        kept[i].size = size;
        kept[i].seed = next_random(&state);
        fill(kept[i].block, size, kept[i].seed);
    }
    CHECK(other = malloc(40 * MIB), "40 MiB");
    memset(other, 1, 100);
    free(other);
    if (runs[who] % 4 == 0) malloc_trim(0);
    runs[who]++;
}

static void prepare(void) {
    if (*what == 'l') pthread_mutex_lock(&mutex);
    use(0);
    order[0]++;
}

static void in_parent(void) {
    use(1);
    if (*what == 'l') pthread_mutex_unlock(&mutex);
    order[1]++;
}

static void in_child(void) {
    use(2);
    if (*what == 'l') pthread_mutex_unlock(&mutex);
    order[2]++;
}

static void enlist(void) {
    CHECK(pthread_atfork(prepare, in_parent, in_child) == 0, "pthread_atfork");
}

static void before_all(int count, char **arguments, char **environment) {
    (void)environment;
    if (count > 2) {
        place = arguments[1];
        what = arguments[2];
    }
    if (strcmp(place, "preinit") == 0) enlist();
}
__attribute__((section(".preinit_array"), used)) static void (*first)(int, char **, char **) = before_all;

__attribute__((constructor(101))) static void construct(void) {
    if (strcmp(place, "constructor") == 0) enlist();
}

/* Allocates without pause; now and then under the lock that the handlers take. */
static void *work(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        size_t size = random_size(&random, next_random(&random) % 64 ? 14 : 20);
        unsigned char *block = malloc(size);
        CHECK(block, "no memory for %zu", size);
        block[size - 1] = 1;
        if (next_random(&random) % 4 == 0) {
            int i;
            pthread_mutex_lock(&mutex);
            for (i = 0; i < 20; i++) {
                shared_block = realloc(shared_block, random_size(&random, 17));
                CHECK(shared_block, "realloc");
            }
            pthread_mutex_unlock(&mutex);
        }
        free(block);
    }
    return NULL;
}

static void *child_thread(void *argument) {
    int i;
    for (i = 0; i < 2000; i++) free(malloc((size_t)i * 7 + 1));
    return argument;
}

int main(int count, char **arguments) {
    int threads = count > 3 ? atoi(arguments[3]) : 0, i;
    pthread_t others[8];
    CHECK(count == 4 && threads <= 8, "three arguments");
    if (strcmp(place, "early") == 0) enlist();
    expect_library();
    if (strcmp(place, "late") == 0) {
        use(0);
        enlist();
    }
    for (i = 0; i < threads; i++) {
        CHECK(pthread_create(&others[i], NULL, work, (void *)(uintptr_t)(i + 1)) == 0, "a thread");
    }
    for (i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            pthread_t thread;
            CHECK(order[0] == i + 1 && order[2] == 1, "the handlers ran %d, %d", order[0], order[2]);
            use(2);
            CHECK(pthread_create(&thread, NULL, child_thread, NULL) == 0, "a thread");
            CHECK(pthread_join(thread, NULL) == 0, "joining");
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "fork %d: status %#x", i, status);
    }
    CHECK(order[0] == FORKS && order[1] == FORKS, "the handlers ran %d, %d", order[0], order[1]);
    atomic_store(&stop, 1);
    for (i = 0; i < threads; i++) pthread_join(others[i], NULL);
    return 0;
}
