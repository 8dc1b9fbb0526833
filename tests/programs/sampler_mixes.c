/* What a sampled profile says against what was allocated: eleven mixes, each a way into the allocator.
 *
 *     sampler_mixes MIX ROUNDS FILE
 *
 * allocates the mix ROUNDS times, writes a profile to FILE each time and reads the sums in it. It
 * prints a line for each round: bytes that the mix allocated, the same by the profile, bytes that it
 * held at the end, the same by the profile, and the variance of the latter in theory. Run with
 * STRATALLOC_SAMPLE_INTERVAL, in bytes. `--list` prints the mixes. Nothing else allocates. */
#include "check.h"
#include "stratalloc.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

enum { MOST = 1 << 17 };

/* What a process knows of its mix. Threads of a mix follow each other, so there is no lock. */
static struct {
    void *block;
    size_t size;
} kept[MOST];
static size_t count;
static double allocated;
static uint64_t state = 1;
static double interval;
/* Bytes that may be outstanding when all was freed: what the C library keeps for threads. */
static double kept_by_libc;
static const char *path;

static void keep(void *block, size_t size) {
    CHECK(block != NULL && count < MOST, "no memory");
    kept[count].block = block;
    kept[count++].size = size;
    allocated += (double)size;
}

static void drop(void *block, size_t size) {
    CHECK(opaque(block) != NULL, "no memory");
    allocated += (double)size;
    free(block);
}

static size_t up_to(size_t most) { return 1 + next_random(&state) % most; }

/* Magazines in all their states: some blocks live, more come and go. */
static void small(void) {
    for (int i = 0; i < 40000; i++) {
        size_t size = up_to(512);
        keep(malloc(size), size);
        size = up_to(512);
        drop(malloc(size), size);
    }
}

/* Each power of two up to 32 KiB as often as the next. */
static void all_classes(void) {
    for (int i = 0; i < 8000; i++) {
        size_t size = random_size(&state, 15);
        keep(malloc(size), size);
        size = random_size(&state, 15);
        drop(malloc(size), size);
    }
}

static void large(void) {
    for (int i = 0; i < 300; i++) {
        size_t size = 33 * KIB + up_to(2 * MIB);
        keep(malloc(size), size);
        size = 33 * KIB + up_to(2 * MIB);
        drop(malloc(size), size);
    }
}

static void in_thread(void (*body)(void)) {
    pthread_t thread;
    void *(*start)(void *) = (void *(*)(void *))(void (*)(void))body;
    CHECK(pthread_create(&thread, NULL, start, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    kept_by_libc = 4 * interval;
}

/* What the C library allocates for a thread, and keeps for the next. */
static void warm_up(void) { free(opaque(malloc(1))); }

/* A thread that never has a cache. */
static void large_alone(void) { in_thread(large); }

static void aligned(void) {
    for (int i = 0; i < 3000; i++) {
        size_t align = (size_t)32 << next_random(&state) % 8, size = up_to(6000);
        void *block;
        CHECK(posix_memalign(&block, align, size) == 0, "no memory");
        keep(block, size);
        size = up_to(300) * 256;
        drop(aligned_alloc(256, size), size);
    }
}

static void zeroed(void) {
    for (int i = 0; i < 3000; i++) {
        size_t size = up_to(4000);
        keep(calloc(size, 1), size);
        if (i % 20 == 0) keep(calloc(100, 1000), 100000);
    }
}

/* Vectors that grow from a few bytes to a mebibyte: by copies, and where they are. */
static void growing(void) {
    for (int i = 0; i < 60; i++) {
        size_t size = up_to(64), most = MIB / 2 + up_to(MIB);
        void *block = NULL;
        for (; size < most; size += size / 2 + 1) {
            CHECK(block = realloc(block, size), "no memory");
            allocated += (double)size;
        }
        size += up_to(4096);
        CHECK(block = realloc(block, size), "no memory");
        keep(block, size);
    }
}

/* Large blocks that become shorter and longer again, and keep most of their pages. */
static void resized(void) {
    for (int i = 0; i < 150; i++) {
        size_t size = 64 * KIB + up_to(512 * KIB);
        void *block = malloc(size);
        allocated += (double)size;
        for (int step = 0; step < 8; step++) {
            size = 64 * KIB + up_to(step % 2 ? 700 * KIB : 200 * KIB);
            CHECK(block = realloc(block, size), "no memory");
            allocated += (double)size;
        }
        allocated -= (double)size;
        keep(block, size);
    }
}

/* One large and a few small blocks: first what needs no cache. */
static void short_life(void) {
    size_t size = 40 * KIB + up_to(100 * KIB);
    keep(malloc(size), size);
    for (int i = 0; i < 20; i++) {
        size = random_size(&state, 12);
        keep(malloc(size), size);
    }
}

static void threads(void) {
    for (int i = 0; i < 150; i++) in_thread(short_life);
}

static pthread_key_t key;

/* Comes back until the last round of destructors, long after the thread's cache was taken down. */
static void at_exit_of_thread(void *left) {
    for (int i = 0; i < 20; i++) {
        size_t size = random_size(&state, 12);
        keep(malloc(size), size);
    }
    keep(malloc(50 * KIB), 50 * KIB);
    if ((uintptr_t)left > 1) pthread_setspecific(key, (void *)((uintptr_t)left - 1));
}

static void ending(void) {
    void *block = malloc(10);
    free(opaque(block));
    pthread_setspecific(key, (void *)3);
}

static void exits(void) {
    if (key == 0) CHECK(pthread_key_create(&key, at_exit_of_thread) == 0, "no key");
    for (int i = 0; i < 60; i++) in_thread(ending);
}

/* The mixture, also of ways; a forked child runs it. */
static void mixed(void) {
    all_classes();
    in_thread(large);
    for (int i = 0; i < 5000; i++) {
        size_t size = up_to(200);
        keep(calloc(size, 1), size);
    }
}

static const struct {
    const char *name;
    void (*body)(void);
} mixes[] = {{"small", small},       {"all classes", all_classes}, {"large, first thread", large},
             {"large, alone", large_alone}, {"aligned", aligned},     {"zeroed", zeroed},
             {"growing", growing},   {"resized", resized},         {"threads", threads},
             {"exits", exits},       {"forked child", mixed}};

/* The sums of all stacks: bytes allocated, and bytes held. */
static void sums(double *total, double *live) {
    static char text[8 * MIB];
    CHECK(stratalloc_write_profile(path) == 0, "no profile");
    int file = open(path, O_RDONLY);
    size_t length = 0;
    for (ssize_t got; (got = read(file, text + length, sizeof text - 1 - length)) > 0;) length += (size_t)got;
    close(file);
    text[length] = 0;
    *total = *live = 0;
    for (char *line = text; (line = strstr(line, "\nstack ")) != NULL;) {
        char *at = line += 7;
        double figures[4];
        for (int i = 0; i < 4; i++) figures[i] = (double)strtoull(at, &at, 10);
        *live += figures[1];
        *total += figures[3];
    }
}

/* 1 - exp(-x), without the library of mathematics. */
static double chance(double x) {
    double term = x / 1024, power = 1 - term + term * term / 2 - term * term * term / 6;
    for (int i = 0; i < 10; i++) power *= power;
    return x > 40 ? 1 : 1 - power;
}

static void one_round(void (*body)(void)) {
    double total, live, total_before, live_before, held = 0, variance = 0;
    sums(&total_before, &live_before);
    allocated = 0;
    body();
    sums(&total, &live);
    for (size_t i = 0; i < count; i++) {
        double p = chance((double)malloc_usable_size(kept[i].block) / interval);
        double size = (double)kept[i].size;
        held += size;
        variance += size * size * (1 - p) / p;
    }
    dprintf(1, "%.0f %.0f %.0f %.0f %.0f\n", allocated, total - total_before, held,
            live - live_before, variance);
    while (count > 0) free(kept[--count].block);
    sums(&total, &live);
    CHECK(live - live_before <= kept_by_libc, "%f bytes outstanding that were freed", live - live_before);
}

int main(int argc, char **argv) {
    size_t mix;
    if (argc == 2) {
        for (mix = 0; mix < sizeof mixes / sizeof *mixes; mix++) puts(mixes[mix].name);
        return 0;
    }
    CHECK(argc == 4, "sampler_mixes MIX ROUNDS FILE");
    for (mix = 0; strcmp(mixes[mix].name, argv[1]) != 0;) CHECK(++mix < sizeof mixes / sizeof *mixes, "no mix");
    path = argv[3];
    interval = atof(getenv("STRATALLOC_SAMPLE_INTERVAL"));
    in_thread(warm_up);
    for (int left = atoi(argv[2]); left > 0; left--) {
        pid_t child = mixes[mix].body == mixed ? fork() : 0;
        int status = 0;
        if (child == 0) one_round(mixes[mix].body);
        if (child == 0 && mixes[mix].body == mixed) _exit(0);
        if (child > 0) CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed");
    }
    return 0;
}
