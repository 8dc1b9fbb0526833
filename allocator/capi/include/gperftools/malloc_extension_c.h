/*
 * The allocator's controls under the C names of gperftools, so that programs written for gperftools
 * compile and link with stratalloc instead. Functions that describe gperftools' own inside (heap
 * samples, thread stacks, lists of its free lists) are not declared here and not in the library.
 *
 * Every function may be called by any thread at any time. None fails, none allocates, none sets
 * errno. Sizes are in bytes.
 */
#ifndef STRATALLOC_MALLOC_EXTENSION_C_H
#define STRATALLOC_MALLOC_EXTENSION_C_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Length of the histogram that MallocExtension_MallocMemoryStats fills. */
#define kMallocExtensionHistogramSize 64

/*
 * Giving memory back to the system
 */

/* Everything that is free: the calling thread's cache, the lists that all threads share, and all
 * free pages, wherever they lie. Caches of other threads keep what they hold. Resident memory
 * falls. */
void MallocExtension_ReleaseFreeMemory(void);

/* Free pages of bytes in all, or all there are. No cache is emptied. */
void MallocExtension_ReleaseToSystem(size_t bytes);

/* How eagerly free pages go back without being asked, from 0 to 10:
 *   0   never;
 *   1   the default: a free page that nobody needs goes back within about 2 seconds;
 *   r   within about 2/r seconds. Rates above 10 count as 10.
 * This is the parameter decay_ms (decay_ms = 2000 / rate) on gperftools' scale. What is not a
 * number changes nothing. */
void MallocExtension_SetMemoryReleaseRate(double rate);
double MallocExtension_GetMemoryReleaseRate(void);

/* Limits on what the process holds, in bytes; SIZE_MAX: none. kind 0 is soft: beyond it free memory
 * goes back at once, and no request fails. kind 1 is hard: beyond it requests fail with ENOMEM, once
 * all that is free went back. These are the parameters soft_limit and hard_limit. Set returns 1, or
 * 0 if the limit is below 1 MiB or there is no such kind. */
int MallocExtension_SetMemoryLimit(size_t bytes, int kind);
size_t MallocExtension_GetMemoryLimit(int kind);

/*
 * Figures
 */

/* Writes the tiers as text into buffer, as malloc_stats() prints them below its first lines:
 * NUL-terminated, cut off after length - 1 bytes; 2048 bytes hold it all. Does nothing if buffer is
 * NULL or length < 1. */
void MallocExtension_GetStats(char *buffer, int length);

/* Stores the value of a property and returns 1; 0 if there is none of that name, *value untouched.
 *
 *   generic.current_allocated_bytes (in_use)
 *       blocks that the program holds, rounded up to their size class
 *   generic.heap_size (mapped)
 *       addresses taken from the system for blocks
 *   generic.physical_memory_used, generic.total_physical_bytes (mapped - page_heap_released)
 *       the same without free pages that hold no memory
 *   tcmalloc.current_total_thread_cache_bytes, tcmalloc.thread_cache_free_bytes (thread_cache_free)
 *       free blocks in the caches of all threads
 *   tcmalloc.transfer_cache_free_bytes (transfer_cache_free)
 *       free blocks on their way between threads
 *   tcmalloc.central_cache_free_bytes (central_free)
 *       free blocks in spans
 *   stratalloc.span_tail_bytes (span_tails)
 *       ends of spans that no block fills
 *   tcmalloc.pageheap_free_bytes (page_heap_free)
 *       free pages that hold memory
 *   tcmalloc.pageheap_unmapped_bytes (page_heap_released)
 *       free pages that hold none: given back, or never touched
 *   tcmalloc.slack_bytes
 *       the sum of the last two
 *   stratalloc.rounding_bytes (internal fragmentation)
 *       what blocks have beyond what was asked for, part of in_use; an estimate
 *   stratalloc.metadata_bytes (metadata)
 *       addresses taken for the allocator's own records
 *   stratalloc.metadata_used_bytes (metadata_used)
 *       what was touched of them, at most
 *   tcmalloc.max_total_thread_cache_bytes
 *       what the caches of all threads may grow to; can be set (parameter thread_cache_total_bytes)
 *   tcmalloc.aggressive_memory_decommit
 *       1 if free pages go back at once, else 0; can be set (parameter decay_ms)
 *
 * In brackets: the field of the Snapshot that Rust programs see.
 *
 * To the byte, at any one moment: generic.heap_size = generic.current_allocated_bytes +
 * tcmalloc.thread_cache_free_bytes + tcmalloc.transfer_cache_free_bytes +
 * tcmalloc.central_cache_free_bytes + stratalloc.span_tail_bytes + tcmalloc.pageheap_free_bytes +
 * tcmalloc.pageheap_unmapped_bytes. */
int MallocExtension_GetNumericProperty(const char *property, size_t *value);

/* Sets a property that can be set and returns 1; else 0. */
int MallocExtension_SetNumericProperty(const char *property, size_t value);

/* Number of blocks the program holds, their bytes (rounded up to size classes), and in histogram[i]
 * the number of blocks of 2^i to 2^(i+1) - 1 bytes. Any pointer may be NULL. Numbers that do not
 * fit an int are INT_MAX. Always 1. */
int MallocExtension_MallocMemoryStats(int *blocks, size_t *total,
                                      int histogram[kMallocExtensionHistogramSize]);

/* Bytes in the calling thread's cache. */
size_t MallocExtension_GetThreadCacheSize(void);

/*
 * Threads that wait
 */

/* For a thread about to wait for long: gives up its whole cache. Any later call makes it a new one.
 * */
void MallocExtension_MarkThreadIdle(void);

/* For a thread about to wait for a little: other threads get what its cache holds; the sizes that
 * the cache had learnt are kept. */
void MallocExtension_MarkThreadTemporarilyIdle(void);

/* For a thread that goes on. Nothing is left to do; here for the sake of the pair. */
void MallocExtension_MarkThreadBusy(void);

/*
 * Questions about sizes and pointers
 */

/* Bytes that malloc(size) would really give; 0 if it would fail. Allocates nothing. */
size_t MallocExtension_GetEstimatedAllocatedSize(size_t size);

/* Bytes that may be used behind block: at least what was asked for; 0 for NULL. block is live and
 * came from this allocator; anything else aborts. */
size_t MallocExtension_GetAllocatedSize(const void *block);

/* Whose memory p names: exact for the start of a live block, and for memory that never was this
 * allocator's. Small blocks are recognised by any pointer into them, large ones by their start.
 * "Unknown" is never the answer. */
typedef enum {
    MallocExtension_kUnknownOwnership = 0,
    MallocExtension_kOwned,
    MallocExtension_kNotOwned
} MallocExtension_Ownership;
MallocExtension_Ownership MallocExtension_GetOwnership(const void *p);

/*
 * Looking for damage
 */

/* 1 if the allocator's records agree with each other: this thread's cache block by block, the
 * shared lists likewise, the bitmaps of spans and pages. Walks all of it: for tests and debugging.
 * */
int MallocExtension_VerifyAllMemory(void);

/* 1 if p is NULL or the start of a block that is not known to be free, else 0. Blocks do not tell
 * which call allocated them, so the three answer alike. A block that was freed by another thread
 * and lies in that thread's cache is not found out. */
int MallocExtension_VerifyNewMemory(const void *p);
int MallocExtension_VerifyArrayNewMemory(const void *p);
int MallocExtension_VerifyMallocMemory(const void *p);

#ifdef __cplusplus
}
#endif

#endif /* STRATALLOC_MALLOC_EXTENSION_C_H */
