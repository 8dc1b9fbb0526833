// The class of gperftools as C++ programs use it (C1.5, C3.7); the calls are those that services
// written for gperftools make.
#include "check.h"

#include <gperftools/malloc_extension.h>

#include <memory>
#include <string>
#include <vector>

static void figures() {
    auto text = std::string(2048, '\0');
    size_t in_use = 0, more = 0;
    const char *const name = "generic.current_allocated_bytes";
    CHECK(MallocExtension::instance()->GetNumericProperty(name, &in_use), "in use");
    std::vector<char> held(MIB);
    MallocExtension::instance()->GetNumericProperty(name, &more);
    CHECK(more - in_use >= MIB && more - in_use <= MIB + MIB / 8, "%zu, %zu", in_use, more);
    MallocExtension::instance()->GetStats(&text[0], static_cast<int>(text.size()));
    CHECK(text.find("thread caches") != std::string::npos, "%s", text.c_str());
    int blocks = 0, histogram[kMallocHistogramSize];
    size_t total = 0;
    CHECK(MallocExtension::instance()->MallocMemoryStats(&blocks, &total, histogram), "histogram");
    CHECK(blocks > 0 && total == more && histogram[20] >= 1, "%d, %zu", blocks, total);
    CHECK(!MallocExtension::instance()->GetNumericProperty("no.such.property", &total), "unknown");
    CHECK(MallocExtension::instance()->SetNumericProperty("tcmalloc.max_total_thread_cache_bytes",
                                                          16 * MIB),
          "the bound of the thread caches");
    CHECK(MallocExtension::instance()->VerifyAllMemory(), "damage");
}

static void pointers() {
    MallocExtension *extension = MallocExtension::instance();
    std::unique_ptr<int[]> block(new int[1000]);
    int local = 0;
    CHECK(extension->GetOwnership(block.get()) == MallocExtension::kOwned, "a block");
    CHECK(extension->GetOwnership(&local) == MallocExtension::kNotOwned, "the stack");
    CHECK(extension->GetAllocatedSize(block.get()) >= 4000, "size");
    CHECK(extension->GetEstimatedAllocatedSize(4000) == extension->GetAllocatedSize(block.get()),
          "estimate");
    CHECK(extension->VerifyArrayNewMemory(block.get()), "verify");
    void *plain = opaque(malloc(100));
    CHECK(extension->VerifyMallocMemory(plain) && extension->VerifyNewMemory(nullptr), "verify");
    free(plain);
    extension->MarkThreadTemporarilyIdle();
    extension->MarkThreadBusy();
    extension->MarkThreadIdle();
    CHECK(extension->GetThreadCacheSize() == 0, "idle");
}

static void release() {
    MallocExtension::Initialize();
    MallocExtension::instance()->SetMemoryReleaseRate(2.0);
    CHECK(MallocExtension::instance()->GetMemoryReleaseRate() == 2.0, "rate");
    std::vector<std::unique_ptr<char[]>> blocks;
    size_t total = 0, peak, left;
    uint64_t random = 42;
    MallocExtension::instance()->SetMemoryReleaseRate(0.0);
    while (total < 400 * MIB) {
        size_t size = 16 + next_random(&random) % 1009;
        blocks.emplace_back(new char[size]);
        memset(blocks.back().get(), 1, size);
        total += size;
    }
    peak = resident_bytes();
    for (size_t i = 0; i < blocks.size(); i++)
        if (i % 4096) blocks[i].reset();
    MallocExtension::instance()->ReleaseFreeMemory();
    MallocExtension::instance()->ReleaseToSystem(MIB);
    left = resident_bytes();
    dprintf(1, "%zu MiB at the peak, %zu MiB after the release: %.1f %%\n", peak / MIB, left / MIB,
            100.0 * static_cast<double>(left) / static_cast<double>(peak));
    CHECK(left * 100 < peak * 15, "%zu of %zu bytes are still resident", left, peak);
}

static const struct test_case cases[] = {
    {"figures", figures}, {"pointers", pointers}, {"release", release}, {nullptr, nullptr}};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
