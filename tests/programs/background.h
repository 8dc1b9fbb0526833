/* What the programs share that look at when memory goes back, and at the thread that sees to it: threads and
 * their state as /proc tells, bursts of blocks, and waiting. Nothing in here calls the allocator but the
 * bursts: a test of silence must be silent. */
#ifndef BACKGROUND_H
#define BACKGROUND_H

#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Every one of so many blocks is kept when a burst is freed. */
#define KEEP_EVERY 8192

static inline void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) && errno == EINTR) continue;
}

static inline long now_ms(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Reads a file to `text`, which has room for `size` bytes. Returns whether it exists. */
static inline int read_file(const char *path, char *text, size_t size) {
    ssize_t length = 0, got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    while ((size_t)length < size - 1 && (got = read(fd, text + length, size - 1 - (size_t)length)) > 0)
        length += got;
    close(fd);
    text[length] = 0;
    return length > 0 || strstr(path, "timers");
}

/* The threads of the process, at most `most`. Returns how many there are. */
static inline int tasks(long *numbers, int most) {
    char entries[4096];
    int count = 0, fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long length;
    CHECK(fd >= 0, "cannot list threads");
    while ((length = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        long at;
        for (at = 0; at < length;) {
            struct dirent64 *entry = (struct dirent64 *)(entries + at);
            if (entry->d_name[0] != '.' && count++ < most) numbers[count - 1] = atol(entry->d_name);
            at += entry->d_reclen;
        }
    }
    close(fd);
    return count;
}

static inline int task_count(void) { return tasks(NULL, 0); }

/* The line `name` of a thread's status, without the name. Returns whether the thread exists. */
static inline int status_of(long thread, const char *name, char value[128]) {
    char path[64], text[4096], wanted[64], *line, *end;
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", thread);
    if (!read_file(path, text, sizeof text)) return 0;
    snprintf(wanted, sizeof wanted, "\n%s:\t", name);
    line = strstr(text, wanted);
    CHECK(line, "no line %s in %s", name, path);
    line += strlen(wanted);
    end = strchr(line, '\n');
    snprintf(value, 128, "%.*s", end ? (int)(end - line) : 100, line);
    return 1;
}

static inline unsigned long long status_mask(long thread, const char *name) {
    char value[128];
    CHECK(status_of(thread, name, value), "thread %ld is gone", thread);
    return strtoull(value, NULL, 16);
}

/* The thread that has the allocator's name; 0: there is none. */
static inline long worker(void) {
    long numbers[256];
    int i, count = tasks(numbers, 256);
    CHECK(count <= 256, "%d threads", count);
    for (i = 0; i < count; i++) {
        char path[64], name[32];
        snprintf(path, sizeof path, "/proc/self/task/%ld/comm", numbers[i]);
        if (read_file(path, name, sizeof name) && strcmp(name, "stratalloc\n") == 0) return numbers[i];
    }
    return 0;
}

/* Waits for the background thread, which is made by the burst before this, but has its name a little later. */
static inline long wait_for_worker(void) {
    long thread = 0;
    int waited;
    for (waited = 0; waited < 500 && !(thread = worker()); waited++) sleep_ms(10);
    CHECK(thread, "no such thread");
    return thread;
}

/* Waits until the background thread is gone. */
static inline void wait_for_no_worker(int seconds) {
    int waited;
    for (waited = 0; waited < seconds * 10 && worker(); waited++) sleep_ms(100);
    CHECK(!worker(), "the thread stays for nothing");
}

/* A burst of blocks, and the resident bytes before it and at its peak. */
struct burst {
    void **blocks;
    size_t count, before, peak;
};

/* Small blocks, and those of 1 MiB. */
enum { SMALL, LARGE };

/* Allocates `mib` MiB. `before` may be set: where the process has freed memory, that is resident. */
static inline void burst_allocate(struct burst *burst, size_t mib, int large) {
    static __thread uint64_t state = 7;
    size_t i, bytes;
    burst->count = large ? mib : mib * MIB / 192;
    bytes = burst->count * sizeof(void *);
    /* Not from the allocator: the list is no part of what goes back. */
    burst->blocks = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(burst->blocks != MAP_FAILED, "no memory");
    if (!burst->before) burst->before = resident_bytes();
    for (i = 0; i < burst->count; i++) {
        size_t size = large ? MIB : 64 + next_random(&state) % 256;
        burst->blocks[i] = malloc(size);
        CHECK(burst->blocks[i], "no memory");
        memset(burst->blocks[i], 1, size);
    }
    burst->peak = resident_bytes();
    CHECK(burst->peak > burst->before + mib * MIB / 2, "a burst of %zu bytes", burst->peak - burst->before);
}

/* Frees all but few of the blocks. */
static inline void burst_free(struct burst *burst) {
    size_t i;
    for (i = 0; i < burst->count; i++)
        if (i % KEEP_EVERY) free(burst->blocks[i]);
}

static inline void burst_free_rest(struct burst *burst) {
    size_t i;
    for (i = 0; i < burst->count; i += KEEP_EVERY) free(burst->blocks[i]);
    munmap(burst->blocks, burst->count * sizeof(void *));
}

/* Percent of what the burst took that is still resident. */
static inline size_t burst_left(const struct burst *burst) {
    size_t now = resident_bytes();
    return now > burst->before ? (now - burst->before) * 100 / (burst->peak - burst->before) : 0;
}

/* Less than so many percent of a burst may be left after 10 s: 10, or what the test of the hardened library says, whose
 * map of live blocks stays. */
static inline size_t may_be_left(void) {
    const char *percent = getenv("STRATALLOC_MAY_BE_LEFT");
    return percent ? strtoul(percent, NULL, 10) : 10;
}

/* Waits for at most 10 s, without a call of the allocator, until that is so. */
static inline void wait_for_return(const struct burst *burst) {
    long begun = now_ms(CLOCK_MONOTONIC);
    while (burst_left(burst) >= may_be_left()) {
        CHECK(now_ms(CLOCK_MONOTONIC) < begun + 10000, "%zu %% of %zu MiB left after 10 s of silence",
              burst_left(burst), (burst->peak - burst->before) / MIB);
        sleep_ms(50);
    }
}

static inline void *return_at_once(void *argument) { return argument; }

/* A thread that calls nothing, so that the process has one. */
static inline void *only_wait(void *argument) {
    for (;;) pause();
    return argument;
}

static inline void make_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0, "no thread");
    pthread_detach(thread);
}

#endif
