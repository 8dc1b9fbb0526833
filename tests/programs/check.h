/* What all C and C++ test programs share: checks that say where they failed, fill patterns, random
 * numbers, and a table of named cases. A failed check writes one line and ends the process without
 * running exit handlers; nothing in here allocates. */
#ifndef CHECK_H
#define CHECK_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHECK(condition, ...)                                                            \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            dprintf(2, "%s:%d: check failed: %s: ", __FILE__, __LINE__, #condition);     \
            dprintf(2, __VA_ARGS__);                                                     \
            dprintf(2, "\n");                                                            \
            _exit(1);                                                                    \
        }                                                                                \
    } while (0)

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

/* How many times slower an emulator is than a machine: STRATALLOC_EMULATED, which ci/aarch64 sets, or 1. */
static inline unsigned slowness(void) {
    const char *text = getenv("STRATALLOC_EMULATED");
    int times = text ? atoi(text) : 1;
    return times > 1 ? (unsigned)times : 1;
}

/* How often to do what a machine would do `full` times. */
static inline int amount(int full) {
    int reduced = full / (int)slowness();
    return reduced > 1 ? reduced : 1;
}

/* Hides where a pointer comes from and that it escapes, so that no call is optimised away. */
static inline void *opaque(void *pointer) {
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* Hides a size from the compiler's warnings about impossible requests. */
static inline size_t opaque_size(size_t size) {
    __asm__ volatile("" : "+r"(size));
    return size;
}

static inline uint64_t next_random(uint64_t *state) {
    uint64_t x = (*state += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A size in 1..=2^top_bits, every power of two as likely as the next. */
static inline size_t random_size(uint64_t *state, unsigned top_bits) {
    uint64_t r = next_random(state);
    size_t top = (size_t)1 << ((r >> 40) % (top_bits + 1));
    return top == 1 ? 1 : top / 2 + 1 + (size_t)((r & 0xffffffffff) % (top / 2));
}

/* Word `i` of the pattern of a block. It depends on the seed and the place, so that a block which
 * overlaps another, or was moved wrongly, does not match. */
static inline uint64_t pattern_word(uint64_t seed, size_t i) {
    return seed + (uint64_t)i * 0x9e3779b97f4a7c15u;
}

static inline void fill(void *block, size_t size, uint64_t seed) {
    unsigned char *bytes = (unsigned char *)opaque(block);
    size_t i, words = size / 8;
    for (i = 0; i < words; i++) {
        uint64_t word = pattern_word(seed, i);
        memcpy(bytes + i * 8, &word, 8);
    }
    for (i = words * 8; i < size; i++)
        bytes[i] = (unsigned char)(pattern_word(seed, i / 8) >> (8 * (i % 8)));
}

/* Whether the first `size` bytes are still as `fill` left them, however long the block was then. */
static inline int filled(const void *block, size_t size, uint64_t seed) {
    const unsigned char *bytes = (const unsigned char *)block;
    size_t i, words = size / 8;
    uint64_t differing = 0;
    for (i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bytes + i * 8, 8);
        differing |= word ^ pattern_word(seed, i);
    }
    for (i = words * 8; i < size; i++)
        differing |= bytes[i] ^ (unsigned char)(pattern_word(seed, i / 8) >> (8 * (i % 8)));
    return differing == 0;
}

static inline int all_zero(const void *block, size_t size) {
    const unsigned char *bytes = (const unsigned char *)block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline int is_aligned(const void *pointer, size_t alignment) {
    return (uintptr_t)pointer % alignment == 0;
}

/* Resident bytes of this process, by a read that does not allocate. */
static inline size_t resident_bytes(void) {
    char text[256];
    unsigned long total = 0, resident = 0;
    int length, fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "cannot open /proc/self/statm");
    length = (int)read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(length > 0, "cannot read /proc/self/statm");
    text[length] = 0;
    CHECK(sscanf(text, "%lu %lu", &total, &resident) == 2, "odd statm: %s", text);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Page faults of this process so far for which nothing was read. */
static inline size_t faults(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (size_t)usage.ru_minflt;
}

/* Whether the resident bytes became less than `most` more in the life of many threads. An emulator adds some 300 KiB of its
 * own for each thread that ever was, whatever allocates: there nothing can be said. */
static inline int grew_by_less(size_t before, size_t now, size_t most) {
    return slowness() > 1 || now < before + most;
}

/* The number behind `name` in a file of /proc/self, in KiB. Without stdio, which would allocate. */
static inline size_t kib_of(const char *path, const char *name) {
    static char text[8192];
    char *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    CHECK(length > 0, "%s", path);
    close(fd);
    text[length] = 0;
    at = strstr(text, name);
    CHECK(at != NULL, "%s has no %s", path, name);
    return strtoul(at + strlen(name), NULL, 10);
}

/* Number of mappings of this process. */
static inline size_t mappings(void) {
    static char text[1 << 16];
    size_t lines = 0;
    ssize_t length, i;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "maps");
    while ((length = read(fd, text, sizeof text)) > 0)
        for (i = 0; i < length; i++) lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* If STRATALLOC_EXPECT names a file, `malloc` of this process must come from it. */
static inline void expect_library(void) {
    static char wanted[PATH_MAX], actual[PATH_MAX];
    const char *expected = getenv("STRATALLOC_EXPECT");
    Dl_info info;
    if (!expected) return;
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info), "malloc is in no known file");
    CHECK(realpath(expected, wanted) && realpath(info.dli_fname, actual), "no such file");
    CHECK(strcmp(wanted, actual) == 0, "malloc comes from %s, not %s", actual, wanted);
}

/* A program is a list of cases. Without arguments it runs all of them in order; `--list` prints
 * their names; a name runs that one. */
struct test_case {
    const char *name;
    void (*run)(void);
};

static inline int run_cases(const struct test_case *cases, int argc, char **argv) {
    const struct test_case *c;
    int ran = 0;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (c = cases; c->name; c++) dprintf(1, "%s\n", c->name);
        return 0;
    }
    expect_library();
    for (c = cases; c->name; c++) {
        if (argc < 2 || strcmp(argv[1], c->name) == 0) {
            c->run();
            ran++;
        }
    }
    CHECK(ran > 0, "no case called %s", argc < 2 ? "(none)" : argv[1]);
    return 0;
}

#endif
