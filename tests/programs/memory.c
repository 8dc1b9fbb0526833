/* The library's own memset, memmove, memcmp and strlen against plain loops: every size up to a bound, at
 * every alignment, with sources and targets that overlap, by each of the ways that depend on the processor.
 * Linked with the archive, where their names can be seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern void *stratalloc_memset(void *, int, size_t);
extern void *stratalloc_memmove(void *, const void *, size_t);
extern int stratalloc_memcmp(const void *, const void *, size_t);
extern size_t stratalloc_strlen(const char *);
#ifdef __x86_64__
extern size_t stratalloc_vector_least, stratalloc_string_least;
#else
/* One way only. */
static size_t stratalloc_vector_least, stratalloc_string_least = -1;
#endif

enum { ROOM = 1 << 17, MARGIN = 4096 };

static unsigned char *bytes, *wanted;
static const char *way;

static void fail(const char *what, size_t size, size_t from, size_t to)
{
    fprintf(stderr, "%s (%s): %zu bytes, from %zu to %zu\n", what, way, size, from, to);
    exit(1);
}

static void fill(unsigned char *target)
{
    unsigned state = 12345;
    for (size_t i = 0; i < ROOM; i++) {
        state = state * 1103515245 + 12345;
        target[i] = state >> 16;
    }
}

/* Compares what lies around the part that was written, and the part. */
static void compare(const char *what, size_t size, size_t from, size_t to)
{
    size_t low = to < 128 ? 0 : to - 128;
    for (size_t i = low; i < to + size + 128 && i < ROOM; i++)
        if (bytes[i] != wanted[i])
            fail(what, size, from, to);
}

static void set(size_t size, size_t to)
{
    int byte = (int)(size * 7 + to) | 0x5a00;
    if (stratalloc_memset(bytes + to, byte, size) != bytes + to)
        fail("memset's result", size, 0, to);
    for (size_t i = 0; i < size; i++)
        wanted[to + i] = (unsigned char)byte;
    compare("memset", size, 0, to);
}

static void move(size_t size, size_t from, size_t to)
{
    if (stratalloc_memmove(bytes + to, bytes + from, size) != bytes + to)
        fail("memmove's result", size, from, to);
    if (to <= from)
        for (size_t i = 0; i < size; i++)
            wanted[to + i] = wanted[from + i];
    else
        for (size_t i = size; i-- > 0;)
            wanted[to + i] = wanted[from + i];
    compare("memmove", size, from, to);
}

static void check_size(size_t size)
{
    static const size_t distances[] = {1, 7, 8, 16, 31, 33, 64, 100, 128, 255, 4096};
    size_t step = size < 300 ? 1 : 9;
    for (size_t shift = 0; shift < 64; shift += step)
        set(size, MARGIN + shift);
    fill(bytes);
    memcpy(wanted, bytes, ROOM);
    for (size_t shift = 0; shift < 64; shift += step) {
        /* Apart, and by every distance on either side. */
        if (size < ROOM / 2 - 2 * MARGIN)
            move(size, MARGIN + shift, ROOM / 2 + MARGIN + (shift * 5 & 63));
        for (size_t i = 0; shift < 16 && i < sizeof distances / sizeof *distances; i++) {
            move(size, MARGIN + shift, MARGIN + shift + distances[i]);
            move(size, MARGIN + shift + distances[i], MARGIN + shift);
        }
    }
    move(size, MARGIN, MARGIN);
}

static void check_all(void)
{
    fill(bytes);
    memcpy(wanted, bytes, ROOM);
    for (size_t size = 0; size < 300; size += size < 140 ? 1 : 3)
        check_size(size);
    static const size_t sizes[] = {383, 384, 511, 1024, 4097, 20001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_size(sizes[i]);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* Up to the last byte before a page that nobody may touch. */
static void check_reads(void)
{
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + 2 * 4096, 4096, PROT_NONE))
        exit(2);
    char *end = pages + 2 * 4096, other[256];
    for (size_t length = 0; length < 200; length++) {
        char *text = end - length - 1;
        for (size_t i = 0; i < length; i++)
            text[i] = other[i] = (char)(i % 255 + 1);
        text[length] = other[length] = 0;
        if (stratalloc_strlen(text) != length)
            fail("strlen", length, 0, 0);
        if (stratalloc_memcmp(text, other, length + 1))
            fail("memcmp of equals", length, 0, 0);
        for (size_t i = 0; i <= length; i++) {
            char kept = other[i];
            other[i] = (char)(kept + 128);
            int found = stratalloc_memcmp(text, other, length + 1);
            if (sign(found) != sign((unsigned char)text[i] - (unsigned char)other[i]))
                fail("memcmp", length, i, 0);
            if (stratalloc_memcmp(text, other, i))
                fail("memcmp beyond its size", length, i, 0);
            other[i] = kept;
        }
    }
}

int main(void)
{
    bytes = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return 2;
    wanted = bytes + ROOM;
    size_t vectors = stratalloc_vector_least, strings = stratalloc_string_least;
    way = "16 bytes a move";
    stratalloc_vector_least = stratalloc_string_least = -1;
    check_all();
    way = "as this processor has it";
    stratalloc_vector_least = vectors, stratalloc_string_least = strings;
    check_all();
    if (strings != (size_t)-1) {
        way = "string instructions";
        stratalloc_string_least = 129;
        check_all();
        stratalloc_vector_least = -1;
        check_all();
    }
    check_reads();
    printf("vectors from %zd, strings from %zd\n", (ssize_t)vectors, (ssize_t)strings);
    return 0;
}
