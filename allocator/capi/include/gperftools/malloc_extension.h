/*
 * The allocator's controls as the C++ class of gperftools, so that code written for gperftools
 * compiles unchanged: MallocExtension::instance()->ReleaseFreeMemory(). A header over
 * malloc_extension_c.h, where every function is described; nothing of it is in the library, so it
 * fits any C++ run-time.
 *
 * Left out: heap samples and growth stacks (GetHeapSample, GetHeapGrowthStacks), the list of free
 * lists, address ranges, and replacing the allocator of system memory.
 */
#ifndef STRATALLOC_MALLOC_EXTENSION_H
#define STRATALLOC_MALLOC_EXTENSION_H

#include <stddef.h>

#include "malloc_extension_c.h"

static const int kMallocHistogramSize = kMallocExtensionHistogramSize;

/* There is one instance, and it has no state: all of it is the library's. */
class MallocExtension {
public:
    enum Ownership { kUnknownOwnership = 0, kOwned, kNotOwned };

    /* The one instance; never null. */
    static MallocExtension *instance() {
        static MallocExtension only;
        return &only;
    }

    /* gperftools wants it called in programs that link statically; nothing is left to do. */
    static void Initialize() {}

    void ReleaseFreeMemory() { MallocExtension_ReleaseFreeMemory(); }
    void ReleaseToSystem(size_t bytes) { MallocExtension_ReleaseToSystem(bytes); }
    void SetMemoryReleaseRate(double rate) { MallocExtension_SetMemoryReleaseRate(rate); }
    double GetMemoryReleaseRate() { return MallocExtension_GetMemoryReleaseRate(); }

    void GetStats(char *buffer, int length) { MallocExtension_GetStats(buffer, length); }
    bool GetNumericProperty(const char *property, size_t *value) {
        return MallocExtension_GetNumericProperty(property, value) != 0;
    }
    bool SetNumericProperty(const char *property, size_t value) {
        return MallocExtension_SetNumericProperty(property, value) != 0;
    }
    bool MallocMemoryStats(int *blocks, size_t *total, int histogram[kMallocHistogramSize]) {
        return MallocExtension_MallocMemoryStats(blocks, total, histogram) != 0;
    }
    size_t GetThreadCacheSize() { return MallocExtension_GetThreadCacheSize(); }

    void MarkThreadIdle() { MallocExtension_MarkThreadIdle(); }
    void MarkThreadTemporarilyIdle() { MallocExtension_MarkThreadTemporarilyIdle(); }
    void MarkThreadBusy() { MallocExtension_MarkThreadBusy(); }

    size_t GetEstimatedAllocatedSize(size_t size) {
        return MallocExtension_GetEstimatedAllocatedSize(size);
    }
    size_t GetAllocatedSize(const void *p) { return MallocExtension_GetAllocatedSize(p); }
    Ownership GetOwnership(const void *p) {
        return static_cast<Ownership>(MallocExtension_GetOwnership(p));
    }

    bool VerifyAllMemory() { return MallocExtension_VerifyAllMemory() != 0; }
    bool VerifyNewMemory(const void *p) { return MallocExtension_VerifyNewMemory(p) != 0; }
    bool VerifyArrayNewMemory(const void *p) {
        return MallocExtension_VerifyArrayNewMemory(p) != 0;
    }
    bool VerifyMallocMemory(const void *p) { return MallocExtension_VerifyMallocMemory(p) != 0; }

private:
    MallocExtension() {}
};

#endif /* STRATALLOC_MALLOC_EXTENSION_H */
