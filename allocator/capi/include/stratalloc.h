/*
 * stratalloc: a thread-caching memory allocator. The C interface of libstratalloc.so and
 * libstratalloc.a.
 *
 * A program need not include this header: the library defines the names of the C library's
 * allocator, and is used by preloading it, by linking it, or by dlopen. The header documents what
 * each exported function promises, and declares those that no system header does.
 *
 * Using it
 *   preloaded:        LD_PRELOAD=/path/libstratalloc.so program
 *   shared:           cc main.c -L/path -lstratalloc -Wl,-rpath,/path
 *   archive:          cc main.c /path/libstratalloc.a
 *   fully static:     cc -static main.c /path/libstratalloc.a
 *     The archive stands before libc, which the compiler puts last. It defines every allocator
 *     name that another part of libc refers to, so that libc's own allocator stays out. The
 *     linker's warning about `dlopen` can be ignored: it is called only to look for a C++ run-time
 *     library after `operator new` has failed, and that is found without it in a static program.
 *     A static C++ program in which nothing else pulls in std::__throw_bad_alloc (any standard
 *     container does) needs -Wl,-u,_ZSt17__throw_bad_allocv for `operator new` to throw.
 *
 * Rules that hold for every function
 *   Units          Sizes and alignments are in bytes, counts are plain numbers.
 *   Threads        Every function may be called by any thread at any time, and a block may be
 *                  freed by another thread than the one that allocated it. As with every malloc,
 *                  one block must not be freed or reallocated by two threads at once.
 *   Signals, fork  Not async-signal-safe. fork() is safe in a program with many threads: the child
 *                  may go on allocating.
 *   Alignment      Every block is aligned to at least 16 bytes.
 *   Exhaustion     NULL, and errno = ENOMEM. Existing blocks are unharmed, and allocation works
 *                  again after blocks have been freed. Sizes above PTRDIFF_MAX always fail.
 *   errno          Set on failure as said, and left alone by every function that frees.
 *   Misuse         Freeing a block twice, or a pointer that did not come from here, prints one line
 *                  on standard error and aborts where it is detected; detection is not guaranteed.
 *
 * Functions of glibc have glibc's results; where versions differ the comment says which.
 */
#ifndef STRATALLOC_H
#define STRATALLOC_H

#include <malloc.h> /* struct mallinfo, struct mallinfo2, the M_ names of mallopt */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* glibc declares its functions as not throwing, and C++ wants every declaration to agree. */
#ifdef __THROW
#define STRATALLOC_NOTHROW __THROW
#else
#define STRATALLOC_NOTHROW
#endif

/*
 * Declared in <stdlib.h> and <malloc.h>, defined by this library
 *
 * void *malloc(size_t size);
 *   size bytes, not initialised. size 0 gives a block of its own, which must be freed.
 *
 * void *calloc(size_t count, size_t size);
 *   count * size bytes of zeros. ENOMEM if the product overflows.
 *
 * void *realloc(void *block, size_t size);
 *   Changes the size and keeps the content up to the smaller one; the block may move. A NULL block
 *   is malloc(size). Size 0 with a block frees it and returns NULL, errno unchanged. On failure
 *   the old block is untouched and still allocated. The result is aligned like one of malloc, even
 *   if the old block was aligned more strictly.
 *
 * void *reallocarray(void *block, size_t count, size_t size);
 *   realloc(block, count * size); ENOMEM if the product overflows, the old block then untouched.
 *
 * void free(void *block);
 *   Gives the block back; NULL is ignored. Keeps errno.
 *
 * int posix_memalign(void **out, size_t alignment, size_t size);
 *   Stores a block aligned to alignment in *out and returns 0. EINVAL unless alignment is a power
 *   of two and a multiple of sizeof(void *); ENOMEM when memory is exhausted. On failure *out is
 *   untouched. errno is ENOMEM then, and unchanged otherwise.
 *
 * void *aligned_alloc(size_t alignment, size_t size);
 *   EINVAL unless alignment is a power of two: C17, and glibc since 2.38. On an older glibc it is
 *   rounded up, as that one does. size need not be a multiple of alignment.
 *
 * void *memalign(size_t alignment, size_t size);
 *   An alignment that is not a power of two is rounded up to the next one; EINVAL if there is none.
 *
 * void *valloc(size_t size);
 * void *pvalloc(size_t size);
 *   Aligned to the system's page size; pvalloc rounds the size up to whole pages too, 0 to one.
 *
 * size_t malloc_usable_size(void *block);
 *   Bytes that may be used behind block: at least what was asked for. 0 for NULL. Never fails.
 *
 * int malloc_trim(size_t pad);
 *   Gives free memory back to the system, wherever it lies, this thread's cache and the central
 *   lists included, but keeps pad bytes of it resident. 1 if anything was given back, else 0.
 *
 * int mallopt(int name, int value);
 *   What glibc answers: 1, also for a name that nobody knows; 0 only for M_MXFAST outside of 0 to
 *   160. So a program that sets what it sets for glibc finds no failure to end with. Names have the
 *   effects below; the options are described in docs/tuning.md. The environment can set them too,
 *   and mallopt comes after it. errno is unchanged.
 *     M_MMAP_THRESHOLD  From 64 MiB on it becomes the option direct_bytes: blocks of more bytes
 *                       have a mapping of their own. A lower value leaves it at 64 MiB (and brings
 *                       a higher one down to that): smaller blocks are reused while resident when
 *                       freed, and their memory goes back by decay. Negative: beyond all blocks.
 *     M_MMAP_MAX        0 or less: no block has a mapping of its own (direct_bytes = never), until
 *                       a higher value is set. There is no other limit.
 *     M_TRIM_THRESHOLD  -1 or less: free memory is not given back (decay_ms = never) until
 *                       malloc_trim is called, or until a value from 0 on is set, which brings the
 *                       default decay back. Blocks with mappings are unmapped when freed.
 *     M_TOP_PAD         No effect. The heap grows by what it is asked for, rounded up to 2 MiB, or
 *                       by an eighth of itself.
 *     M_MXFAST          No effect. Blocks of up to 32 KiB are always cached by each thread.
 *     M_ARENA_MAX       No effect. All threads share one page heap, so any limit is kept.
 *     M_ARENA_TEST      No effect. The number of arenas never reaches it.
 *     M_CHECK_ACTION    No effect, as in glibc since 2.26: misuse prints one line and aborts.
 *     M_PERTURB         No effect. Blocks are not filled with a pattern; the hardened library can
 *                       clear freed ones (zero_on_free).
 *     M_NLBLKS, M_GRAIN, M_KEEP, and unknown names: no effect, as in glibc.
 *
 * struct mallinfo2 mallinfo2(void);
 *   The state at the moment of the call; arena = uordblks + fordblks, always.
 *     arena     memory for blocks without a mapping of their own, used or free; pages that were
 *               given back to the system, or never touched, do not count
 *     ordblks   free runs of pages in the page heap
 *     smblks    0 (cached objects are counted in bytes only, see fsmblks)
 *     hblks     blocks with a mapping of their own: number
 *     hblkhd    the same: bytes
 *     usmblks   0, as in glibc
 *     fsmblks   free objects in thread caches and transfer caches: bytes
 *     uordblks  blocks handed to the program, rounded up to their size class, without hblkhd
 *     fordblks  free objects (fsmblks and the central lists), tails of spans, free resident pages
 *     keepcost  free resident pages: what malloc_trim(0) can give back at least
 *
 * struct mallinfo mallinfo(void);
 *   The same in int; a value that does not fit is INT_MAX.
 *
 * void malloc_stats(void);
 *   Prints to file descriptor 2: first the lines of glibc ("Arena 0:", "system bytes", "in use
 *   bytes", "Total (incl. mmap):", "max mmap regions", "max mmap bytes"), then the bytes in each
 *   tier; the lines "in use" to "released" add up to "mapped". Does not use stdio or allocate.
 *
 * int malloc_info(int options, FILE *stream);
 *   Writes an XML document to stream: root <malloc version="1">; glibc's elements heap, total,
 *   system, aspace where there is a value for them; then <stratalloc> with a <tier> for each tier,
 *   whose sizes add up to its attribute "mapped". Returns 0; EINVAL, also in errno, if options is
 *   not 0; -1 with the errno of stdio if the stream did not take it all.
 */

/* free under its old SunOS name. */
void cfree(void *block) STRATALLOC_NOTHROW;

/* C23. free for a block of malloc(size), calloc (size = the product) or realloc(..., size). NULL is
 * ignored. The size is not relied upon: realloc may have shortened the block in place. */
void free_sized(void *block, size_t size) STRATALLOC_NOTHROW;

/* C23. free for a block of aligned_alloc(alignment, size). NULL is ignored. Both numbers are hints,
 * as for operator delete below. */
void free_aligned_sized(void *block, size_t alignment, size_t size) STRATALLOC_NOTHROW;

/* macOS's name of malloc_usable_size. */
size_t malloc_size(const void *block) STRATALLOC_NOTHROW;

/* macOS. Bytes that malloc(size) would really give; size itself if it cannot be served. */
size_t malloc_good_size(size_t size) STRATALLOC_NOTHROW;

/* The names under which glibc knows the same functions internally. */
void *__libc_malloc(size_t size) STRATALLOC_NOTHROW;
void *__libc_calloc(size_t count, size_t size) STRATALLOC_NOTHROW;
void *__libc_realloc(void *block, size_t size) STRATALLOC_NOTHROW;
void __libc_free(void *block) STRATALLOC_NOTHROW;
void __libc_cfree(void *block) STRATALLOC_NOTHROW;
void *__libc_memalign(size_t alignment, size_t size) STRATALLOC_NOTHROW;
void *__libc_valloc(size_t size) STRATALLOC_NOTHROW;
void *__libc_pvalloc(size_t size) STRATALLOC_NOTHROW;
int __posix_memalign(void **out, size_t alignment, size_t size) STRATALLOC_NOTHROW;

/* gperftools' MallocExtension, in C and C++: see gperftools/malloc_extension_c.h and
 * gperftools/malloc_extension.h beside this file. */

/*
 * jemalloc's names. A program that was linked with libjemalloc gets all of them from here. Types,
 * results and error numbers are those of jemalloc 5.3. docs/c-api.md says what each name of mallctl
 * gives. errno is left alone.
 *
 * flags of the calls below, to be combined with |:
 *   MALLOCX_LG_ALIGN(n)  aligned to 2 to the power of n
 *   MALLOCX_ALIGN(a)     aligned to a, a power of two
 *   MALLOCX_ZERO         what the block gains is zero, up to its real size
 *   MALLOCX_TCACHE(i), MALLOCX_TCACHE_NONE, MALLOCX_ARENA(i)
 *                        accepted; every block comes from the calling thread's cache and the one
 *                        heap. Blocks of an arena that the program created are counted by it.
 */
#ifndef MALLOCX_ZERO
#define MALLOCX_LG_ALIGN(n) ((int)(n))
#define MALLOCX_ALIGN(a) ((int)__builtin_ctzll((unsigned long long)(a)))
#define MALLOCX_ZERO 0x40
#define MALLOCX_TCACHE(i) ((int)(((i) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(i) ((int)(((unsigned)(i) + 1) << 20))
#define MALLCTL_ARENAS_ALL 4096
#define MALLCTL_ARENAS_DESTROYED 4097
#endif

/* size bytes; NULL if they cannot be had. */
void *mallocx(size_t size, int flags) STRATALLOC_NOTHROW;

/* The block with size bytes, which may have moved; NULL if they cannot be had, the old block then
 * untouched. The content is kept up to the smaller of the old real size and size. */
void *rallocx(void *block, size_t size, int flags) STRATALLOC_NOTHROW;

/* Resizes a block without moving it, to size + extra bytes or, if that cannot be done, to size.
 * Returns its real size afterwards, whatever came of it: less than size if nothing did. Blocks of
 * up to 32 KiB keep the size of their class. */
size_t xallocx(void *block, size_t size, size_t extra, int flags) STRATALLOC_NOTHROW;

/* The real size of a block, as malloc_usable_size. */
size_t sallocx(const void *block, int flags) STRATALLOC_NOTHROW;

/* Frees the block. NULL is ignored. */
void dallocx(void *block, int flags) STRATALLOC_NOTHROW;

/* The same for a block for which size bytes (or any number up to its real size) at the flags'
 * alignment were asked. */
void sdallocx(void *block, size_t size, int flags) STRATALLOC_NOTHROW;

/* The real size that mallocx(size, flags) would give; 0 if it cannot be served. */
size_t nallocx(size_t size, int flags) STRATALLOC_NOTHROW;

/* Reads, writes or triggers what name says. Returns 0 or an error number:
 *   ENOENT  there is no such name, or nothing that could be told
 *   EINVAL  *old_length or new_length is not the size of the type; of a value that is read, what
 *           fits was copied, and *old_length says how much
 *   EPERM   data for what is read-only, write-only or has none; or a wish that is not granted
 *   EFAULT  a value that is not admitted, or an arena that this cannot be done to
 *   EAGAIN  no more arenas */
int mallctl(const char *name, void *old, size_t *old_length, void *new_, size_t new_length)
    STRATALLOC_NOTHROW;

/* The same in two steps, for names used often: mallctlnametomib gives the name, or the beginning of
 * one, as at most *depth numbers and sets *depth to how many these are. Numbers in a name, of
 * arenas and size classes, stand for themselves and may be replaced. */
int mallctlnametomib(const char *name, size_t *mib, size_t *depth) STRATALLOC_NOTHROW;
int mallctlbymib(const size_t *mib, size_t depth, void *old, size_t *old_length, void *new_,
                 size_t new_length) STRATALLOC_NOTHROW;

/* Prints the state of this moment, in pieces, to write(passed, piece); without write to
 * malloc_message(passed, piece); without that to standard error. options is NULL or a string of
 * letters: J for JSON; g, m, a and b leave out general information, the sum of all arenas, each
 * arena, each size class. Allocates nothing. */
void malloc_stats_print(void (*write)(void *passed, const char *piece), void *passed,
                        const char *options) STRATALLOC_NOTHROW;

/* Set by the program, or NULL. */
extern void (*malloc_message)(void *passed, const char *piece);

/* Writes who holds memory to the file `path` (%p in it stands for the process's number), over what was
 * there: every outstanding block, or a sample, by the stack that allocated it. `stratalloc-ctl report`
 * turns the file into a report, a pprof profile or a flame graph. 0, or an error number: ENOTSUP if the
 * process was started with neither the option leak_report nor sample_interval, EIO if the file cannot be
 * written. Allocates nothing. */
int stratalloc_write_profile(const char *path) STRATALLOC_NOTHROW;

/* What a profile counts: what is live; what was allocated since the start; what was live when all stacks
 * together held most; what is live less what was at the last stratalloc_profile_mark_base (may be
 * negative); freed blocks by how long they lived. */
#define STRATALLOC_PROFILE_HEAP 0
#define STRATALLOC_PROFILE_ALLOCATIONS 1
#define STRATALLOC_PROFILE_PEAK 2
#define STRATALLOC_PROFILE_GROWTH 3
#define STRATALLOC_PROFILE_LIFETIMES 4

/* How it is written: as pprof reads it, with build-ids; a line per stack, for flame graphs; JSON. */
#define STRATALLOC_FORMAT_PPROF 0
#define STRATALLOC_FORMAT_FOLDED 1
#define STRATALLOC_FORMAT_JSON 2

/* Writes a profile to the file `path` (%p in it stands for the process's number), over what was there; it is
 * made for its owner alone. No tool and no socket is needed. 0, or an error number: EINVAL if an argument is
 * none of the above or `path` is NULL, ENOTSUP if the process was started with neither the option
 * leak_report nor sample_interval, EIO if the file cannot be written or there is no memory for what is needed
 * meanwhile. Takes nothing from the heap. Thread-safe. */
int stratalloc_profile_write(int kind, int format, const char *path) STRATALLOC_NOTHROW;

/* The same to an open file descriptor, which stays the caller's. */
int stratalloc_profile_write_fd(int kind, int format, int fd) STRATALLOC_NOTHROW;

/* Makes what is live now the base of later profiles of growth; before the first call that is the start. There
 * is one base in a process. Thread-safe. */
void stratalloc_profile_mark_base(void) STRATALLOC_NOTHROW;

/* Makes `name` the tag of what the calling thread allocates: a heap profile, and the metrics, tell of the
 * blocks of each tag, as far as they are sampled. NULL: none. Returns a number for stratalloc_tag_pop,
 * which brings the tag back that there was before; calls nest as scopes do. Names are UTF-8, and cut off
 * at 47 bytes; there are up to 1,024 of them. Thread-safe, but not to be called by signal handlers.
 * Allocates nothing, and costs blocks that are not sampled nothing. */
unsigned stratalloc_tag_push(const char *name) STRATALLOC_NOTHROW;
void stratalloc_tag_pop(unsigned before) STRATALLOC_NOTHROW;

/* Writes the figures of this moment as OpenMetrics text, NUL-terminated, cut off at `length` bytes.
 * Returns the length of the whole text, without the NUL, as snprintf does; 16 KiB are enough in most
 * processes. Allocates nothing. */
size_t stratalloc_metrics(char *buffer, size_t length) STRATALLOC_NOTHROW;

/*
 * Heaps with lifetimes: blocks that are freed one by one or all at once. A heap takes its pages from
 * where malloc's come from, and gives all of them back when it is destroyed, in time proportional to
 * its runs of pages, not to its blocks.
 *
 *   Threads   One thread at a time may use a heap, whichever it is: nothing locks. Different heaps
 *             have nothing to do with each other.
 *   fork      The child has copies of all heaps, and may use those that no other thread of its
 *             parent was using.
 *   Misuse    A block belongs to its heap: free, realloc and every other heap print a line and abort,
 *             as does st_heap_free for a block that was freed already. malloc_usable_size knows it.
 *   Errors    NULL with errno = ENOMEM without memory, beyond PTRDIFF_MAX, and beyond the limit.
 */
struct st_heap;

struct st_heap_statistics {
    size_t live;       /* bytes of live blocks, rounded up to their size class or to whole pages */
    size_t live_count; /* live blocks */
    size_t mapped;     /* bytes of pages that the heap has taken, those without blocks included */
    size_t span_count; /* runs of pages that the heap has taken */
    size_t limit;      /* most that mapped may become; SIZE_MAX without a limit */
};

/* A heap whose pages never take more than limit bytes; 0: without a limit. */
struct st_heap *st_heap_new(size_t limit) STRATALLOC_NOTHROW;

/* Frees all blocks of the heap, and the heap. NULL is ignored. */
void st_heap_destroy(struct st_heap *heap) STRATALLOC_NOTHROW;

/* Frees all blocks of the heap, and keeps the pages of those up to 32 KiB for the next blocks. */
void st_heap_reset(struct st_heap *heap) STRATALLOC_NOTHROW;

/* Gives the heap's pages without blocks back. Returns their bytes. */
size_t st_heap_trim(struct st_heap *heap) STRATALLOC_NOTHROW;

/* As malloc, calloc, aligned_alloc (C17's), realloc, free and malloc_usable_size, within a heap. */
void *st_heap_malloc(struct st_heap *heap, size_t size) STRATALLOC_NOTHROW;
void *st_heap_calloc(struct st_heap *heap, size_t count, size_t size) STRATALLOC_NOTHROW;
void *st_heap_aligned_alloc(struct st_heap *heap, size_t alignment, size_t size) STRATALLOC_NOTHROW;
void *st_heap_realloc(struct st_heap *heap, void *block, size_t size) STRATALLOC_NOTHROW;
void st_heap_free(struct st_heap *heap, void *block) STRATALLOC_NOTHROW;
size_t st_heap_usable_size(const struct st_heap *heap, const void *block) STRATALLOC_NOTHROW;

/* Writes what the heap holds to *out, in time proportional to its runs of pages. */
void st_heap_stats(const struct st_heap *heap, struct st_heap_statistics *out) STRATALLOC_NOTHROW;

/* Name and version, for example "stratalloc 0.1.0". Never NULL, not to be freed. Looking this
 * symbol up with dlsym is a way to see whether the library is in the process. */
const char *stratalloc_version(void) STRATALLOC_NOTHROW;

/*
 * C++: every replaceable operator new and operator delete of C++17 is defined, plain and array,
 * nothrow, sized, aligned; all with the semantics of the standard.
 *
 *   The throwing forms call the new-handler and try again until there is none, then throw
 *   std::bad_alloc; what the handler throws passes through. An alignment that is not a power of
 *   two throws std::bad_alloc at once.
 *   The nothrow forms do the same and return a null pointer where those would throw, whatever the
 *   handler throws.
 *   The sizes and alignments that delete is told are hints: a wrong one, as of a class that is
 *   deleted through a base without a virtual destructor, does no harm, as with glibc. The hardened
 *   library aborts, as does a guarded block (guard_sample).
 *   Where the program defines some of them itself, those that the standard derives from others
 *   (new[] from new, sized delete from delete, and so on) end in the program's.
 *   The run-time library (libstdc++, libc++) is looked for when an exception is to be thrown, so
 *   one library serves C and C++. In a process without one, a throwing form that fails prints a
 *   line and aborts: there is nobody who could catch.
 */

#undef STRATALLOC_NOTHROW

#ifdef __cplusplus
}
#endif

#endif /* STRATALLOC_H */
