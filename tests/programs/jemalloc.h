/* jemalloc's interface for programs that run on jemalloc too, to compare: no library is linked,
 * and whoever is preloaded defines the names. */
#ifndef JEMALLOC_H
#define JEMALLOC_H

#include "check.h"
#include "stratalloc.h"

#pragma weak mallocx
#pragma weak rallocx
#pragma weak xallocx
#pragma weak sallocx
#pragma weak dallocx
#pragma weak sdallocx
#pragma weak nallocx
#pragma weak mallctl
#pragma weak mallctlnametomib
#pragma weak mallctlbymib
#pragma weak malloc_stats_print
#pragma weak malloc_message
#pragma weak stratalloc_version

/* Whether this is stratalloc. */
static inline int is_ours(void) { return stratalloc_version != NULL; }

/* The macros are jemalloc's, written out: those of the header are compared with them. */
#define LG_ALIGN(n) ((int)(n))
#define ZERO 0x40
#define TCACHE(n) ((int)(((n) + 2) << 8))
#define TCACHE_NONE TCACHE(-1)
#define ARENA(n) ((((int)(n)) + 1) << 20)

#endif
