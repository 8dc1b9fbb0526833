/*
 * stratalloc beside another allocator: the C interface of libstratalloc-prefixed.so and
 * libstratalloc-prefixed.a.
 *
 * This library takes nothing over. malloc, free, operator new and what the C library allocates stay
 * what they are; what is declared here has the name of stratalloc.h behind st_, or instead of
 * stratalloc_, and keeps the promises that are written there. A block goes back to the allocator
 * that it came from: st_free for what st_malloc and its kin returned, free for everything else,
 * also for what strdup or getline returned.
 *
 *   cc main.c -lstratalloc-prefixed
 */
#ifndef STRATALLOC_PREFIXED_H
#define STRATALLOC_PREFIXED_H

#include <malloc.h> /* struct mallinfo, struct mallinfo2 */
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ISO C and its neighbours */
void *st_malloc(size_t size);
void *st_calloc(size_t count, size_t size);
void *st_realloc(void *block, size_t size);
void *st_reallocarray(void *block, size_t count, size_t size);
void st_free(void *block);
void st_cfree(void *block);
void st_free_sized(void *block, size_t size);
void st_free_aligned_sized(void *block, size_t alignment, size_t size);

/* Aligned blocks */
void *st_aligned_alloc(size_t alignment, size_t size);
void *st_memalign(size_t alignment, size_t size);
int st_posix_memalign(void **out, size_t alignment, size_t size);
void *st_valloc(size_t size);
void *st_pvalloc(size_t size);

/* Sizes */
size_t st_malloc_usable_size(void *block);
size_t st_malloc_size(const void *block);
size_t st_malloc_good_size(size_t size);

/* Control and statistics, of this allocator alone. struct mallinfo2 is glibc's, since 2.33. */
int st_malloc_trim(size_t pad);
int st_mallopt(int name, int value);
struct mallinfo st_mallinfo(void);
struct mallinfo2 st_mallinfo2(void);
void st_malloc_stats(void);
int st_malloc_info(int options, FILE *stream);
const char *st_version(void);
int st_write_profile(const char *path);
int st_profile_write(int kind, int format, const char *path);
int st_profile_write_fd(int kind, int format, int fd);
void st_profile_mark_base(void);
unsigned st_tag_push(const char *name);
void st_tag_pop(unsigned before);
size_t st_metrics(char *buffer, size_t length);

/* gperftools' MallocExtension: see gperftools/malloc_extension_c.h. The answers of
 * st_MallocExtension_GetOwnership: 0 unknown, 1 ours, 2 not ours. */
void st_MallocExtension_ReleaseFreeMemory(void);
void st_MallocExtension_ReleaseToSystem(size_t bytes);
void st_MallocExtension_SetMemoryReleaseRate(double rate);
double st_MallocExtension_GetMemoryReleaseRate(void);
int st_MallocExtension_SetMemoryLimit(size_t bytes, int kind);
size_t st_MallocExtension_GetMemoryLimit(int kind);
void st_MallocExtension_GetStats(char *buffer, int length);
int st_MallocExtension_GetNumericProperty(const char *property, size_t *value);
int st_MallocExtension_SetNumericProperty(const char *property, size_t value);
int st_MallocExtension_MallocMemoryStats(int *blocks, size_t *total, int histogram[64]);
size_t st_MallocExtension_GetThreadCacheSize(void);
void st_MallocExtension_MarkThreadIdle(void);
void st_MallocExtension_MarkThreadTemporarilyIdle(void);
void st_MallocExtension_MarkThreadBusy(void);
size_t st_MallocExtension_GetEstimatedAllocatedSize(size_t size);
size_t st_MallocExtension_GetAllocatedSize(const void *block);
int st_MallocExtension_GetOwnership(const void *p);
int st_MallocExtension_VerifyAllMemory(void);
int st_MallocExtension_VerifyNewMemory(const void *p);
int st_MallocExtension_VerifyArrayNewMemory(const void *p);
int st_MallocExtension_VerifyMallocMemory(const void *p);

/* jemalloc's names; the flags are those of stratalloc.h (MALLOCX_ALIGN and so on) */
void *st_mallocx(size_t size, int flags);
void *st_rallocx(void *block, size_t size, int flags);
size_t st_xallocx(void *block, size_t size, size_t extra, int flags);
size_t st_sallocx(const void *block, int flags);
void st_dallocx(void *block, int flags);
void st_sdallocx(void *block, size_t size, int flags);
size_t st_nallocx(size_t size, int flags);
int st_mallctl(const char *name, void *old, size_t *old_length, void *new_, size_t new_length);
int st_mallctlnametomib(const char *name, size_t *mib, size_t *depth);
int st_mallctlbymib(const size_t *mib, size_t depth, void *old, size_t *old_length, void *new_,
                    size_t new_length);
void st_malloc_stats_print(void (*write)(void *passed, const char *piece), void *passed,
                           const char *options);
extern void (*st_malloc_message)(void *passed, const char *piece);

#ifdef __cplusplus
}
#endif

#endif /* STRATALLOC_PREFIXED_H */
