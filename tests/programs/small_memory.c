/* Prints how much memory a program holds, in KiB, for a test that compares two allocators. The first argument says
 * what the program does. */
#include "check.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

/* A figure of /proc/self/smaps_rollup. */
static long rollup(const char *name) { return (long)kib_of("/proc/self/smaps_rollup", name); }

/* What a program has that allocates as little as `true` or `echo`. */
static long small(void) {
    size_t i;
    for (i = 1; i <= 8; i++) memset(opaque(malloc(i * 60)), 1, i * 60);
    return rollup("Anonymous:");
}

/* Blocks at multiples of 64 KiB. */
static long aligned(size_t size) {
    long before = rollup("Rss:");
    int i;
    for (i = 0; i < 5000; i++) {
        void *block = opaque(aligned_alloc(64 * KIB, opaque_size(size)));
        CHECK(block != NULL, "%d", i);
        memset(block, 1, size);
    }
    return rollup("Rss:") - before;
}

/* What is left, right after the last `free`, of a hundred MiB in blocks of one size. */
static long freed(size_t size) {
    static void *blocks[4096];
    long before = rollup("Rss:");
    size_t i, count = 100 * MIB / size;
    CHECK(count <= 4096, "%zu", count);
    for (i = 0; i < count; i++) memset(blocks[i] = opaque(malloc(size)), 1, size);
    for (i = 0; i < count; i++) free(blocks[i]);
    return rollup("Rss:") - before;
}

/* What is left, right after the last `free`, of `mib` MiB in blocks of 16 to `most` bytes, freed in the order in which
 * they were made, or in any. */
static long freed_small(size_t mib, size_t most, int in_order) {
    static void *blocks[1 << 20];
    uint64_t state = 1;
    size_t i, count = 0, bytes = 0;
    long before = rollup("Rss:");
    while (bytes < mib * MIB) {
        size_t size = 16 + next_random(&state) % (most - 15);
        memset(blocks[count++] = opaque(malloc(opaque_size(size))), 1, size);
        bytes += size;
    }
    for (i = count; !in_order && i > 1; i--) {
        size_t other = next_random(&state) % i;
        void *block = blocks[other];
        blocks[other] = blocks[i - 1];
        blocks[i - 1] = block;
    }
    for (i = 0; i < count; i++) free(blocks[i]);
    return rollup("Rss:") - before - (long)(count * sizeof *blocks / KIB);
}

/* Sixteen zeroed blocks of 1 to 4 MiB at a time, and then others, in which one page of `share` is written to. */
static void zeroed(size_t share) {
    static char *blocks[16];
    uint64_t state = 1;
    size_t i, page;
    for (i = 0; i < 1500; i++) {
        size_t size = MIB + next_random(&state) % (3 * MIB);
        char *block = opaque(calloc(1, opaque_size(size)));
        CHECK(block != NULL, "%zu", i);
        for (page = 0; page + 1 < size / 4096 / share; page++) {
            char *at = block + (page * share + next_random(&state) % share) * 4096;
            CHECK(*at == 0, "%zu", page);
            *at = 1;
        }
        free(blocks[i % 16]);
        blocks[i % 16] = block;
    }
}

/* What they took at most. */
static long zeroed_peak(size_t share) {
    long before = kib_of("/proc/self/status", "VmHWM:");
    zeroed(share);
    return (long)kib_of("/proc/self/status", "VmHWM:") - before;
}

static long zeroed_faults(size_t share) {
    size_t before = faults();
    zeroed(share);
    return (long)(faults() - before);
}

/* How much of this allocator's code is there. */
static long code(void) {
    char line[512];
    int is_ours = 0;
    long kib = 0, found = 0;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL, "smaps");
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3)
            is_ours = strcmp(rights, "r-xp") == 0 && strstr(line, "libstratalloc") != NULL, found |= is_ours;
        else if (is_ours && strncmp(line, "Rss:", 4) == 0) kib += atol(line + 4);
    }
    fclose(maps);
    CHECK(found, "no code of this allocator");
    return kib;
}

/* The same after next to nothing, and after a `fork` as a shell makes. */
static long code_of_small(void) {
    small();
    if (fork() == 0) _exit(0);
    wait(NULL);
    return code();
}

/* The same after a bit of what most programs do. */
static long code_of_most(void) {
    static void *blocks[2000];
    size_t i, round;
    for (round = 0; round < 3; round++) {
        for (i = 0; i < 2000; i++) memset(blocks[i] = opaque(malloc(opaque_size(16 + i * 37 % 3000))), 1, 16);
        for (i = 0; i < 2000; i += 3) blocks[i] = opaque(realloc(blocks[i], opaque_size(100 + i)));
        for (i = 0; i < 2000; i++) free(blocks[i]);
        free(opaque(calloc(1, opaque_size(300000))));
    }
    return code();
}

/* The most that 48 buffers take that grow side by side by doubling, to 256 bytes to 1 MiB each. */
static long growing(void) {
    static char *buffers[48];
    static size_t lengths[48], capacities[48], limits[48];
    uint64_t state = 1;
    size_t i, step;
    long before = kib_of("/proc/self/status", "VmHWM:");
    for (i = 0; i < 48; i++) limits[i] = (size_t)1 << (8 + next_random(&state) % 13);
    for (step = 0; step < 300000; step++) {
        i = next_random(&state) % 48;
        if (lengths[i] + 1536 > capacities[i]) {
            capacities[i] = capacities[i] * 2 > 1536 ? capacities[i] * 2 : 1536;
            buffers[i] = opaque(realloc(buffers[i], opaque_size(capacities[i])));
        }
        memset(buffers[i] + lengths[i], 1, 1536);
        lengths[i] += 1536;
        if (lengths[i] < limits[i]) continue;
        free(buffers[i]);
        buffers[i] = NULL;
        lengths[i] = capacities[i] = 0;
        limits[i] = (size_t)1 << (8 + next_random(&state) % 13);
    }
    return (long)kib_of("/proc/self/status", "VmHWM:") - before;
}

/* A thread of a pool: for each job it makes 64 blocks of 32 to 4,096 bytes, of which it leaves eight to whoever asked
 * for them. */
struct worker {
    pthread_t thread;
    sem_t job;
    uint64_t state;
    void *reply[8];
};
static sem_t is_done;

static void *work(void *argument) {
    struct worker *worker = argument;
    for (;;) {
        void *blocks[64];
        int i;
        CHECK(sem_wait(&worker->job) == 0, "wait");
        if (worker->state == 0) return NULL;
        for (i = 0; i < 64; i++) {
            size_t size = (size_t)(32 * exp2((double)(next_random(&worker->state) % 7000) / 1000));
            memset(blocks[i] = opaque(malloc(opaque_size(size))), 1, size);
        }
        for (i = 0; i < 64; i++)
            if (i < 8) worker->reply[i] = blocks[i];
            else free(blocks[i]);
        sem_post(&is_done);
    }
}

/* The most that a pool of 128 threads takes, of which one is busy at a time. */
static long idle_pool(void) {
    static struct worker workers[128];
    uint64_t state = 1;
    int i, k;
    long before = kib_of("/proc/self/status", "VmHWM:");
    CHECK(sem_init(&is_done, 0, 0) == 0, "semaphore");
    for (i = 0; i < 128; i++) {
        workers[i].state = (uint64_t)i + 1;
        CHECK(sem_init(&workers[i].job, 0, 0) == 0, "semaphore");
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "thread %d", i);
    }
    for (i = 0; i < 8000; i++) {
        struct worker *worker = &workers[next_random(&state) % 128];
        sem_post(&worker->job);
        CHECK(sem_wait(&is_done) == 0, "wait");
        for (k = 0; k < 8; k++) free(worker->reply[k]);
    }
    for (i = 0; i < 128; i++) {
        workers[i].state = 0;
        sem_post(&workers[i].job);
        pthread_join(workers[i].thread, NULL);
    }
    return (long)kib_of("/proc/self/status", "VmHWM:") - before;
}

int main(int argc, char **argv) {
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    CHECK(argc > 1, "what to do");
    if (strcmp(argv[1], "small") == 0) dprintf(1, "%ld\n", small());
    else if (strcmp(argv[1], "aligned") == 0) dprintf(1, "%ld\n", aligned(size));
    else if (strcmp(argv[1], "freed") == 0) dprintf(1, "%ld\n", freed(size));
    else if (strcmp(argv[1], "freed_small") == 0)
        dprintf(1, "%ld\n", freed_small(size, strtoul(argv[3], NULL, 10), argc > 4));
    else if (strcmp(argv[1], "zeroed_peak") == 0) dprintf(1, "%ld\n", zeroed_peak(size));
    else if (strcmp(argv[1], "zeroed_faults") == 0) dprintf(1, "%ld\n", zeroed_faults(size));
    else if (strcmp(argv[1], "code") == 0) dprintf(1, "%ld\n", code_of_most());
    else if (strcmp(argv[1], "small_code") == 0) dprintf(1, "%ld\n", code_of_small());
    else if (strcmp(argv[1], "growing") == 0) dprintf(1, "%ld\n", growing());
    else if (strcmp(argv[1], "idle_pool") == 0) dprintf(1, "%ld\n", idle_pool());
    else CHECK(0, "%s", argv[1]);
    return 0;
}
