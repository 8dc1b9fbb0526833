/* As linking.c, for C++: operators, containers and exceptions as well. */
#include "linked.h"

#include <map>
#include <new>
#include <string>
#include <vector>

static void containers() {
    std::map<std::string, std::vector<std::string>> all;
    for (int i = 0; i < 500; i++) all["key " + std::to_string(i % 50)].push_back(std::to_string(i));
    CHECK(all.size() == 50 && all["key 7"].size() == 10, "%zu keys", all.size());
}

/* The operators are ours: what one of them gives is accounted for by us. */
static void operators() {
    struct mallinfo2 before = mallinfo2();
    char *blocks[64];
    for (auto &block : blocks) block = static_cast<char *>(opaque(new char[3000]));
    size_t grown = mallinfo2().uordblks - before.uordblks;
    CHECK(grown >= 64 * 3000, "operator new is not ours: %zu bytes more", grown);
    for (auto &block : blocks) delete[] block;
    struct alignas(256) Wide { char bytes[256]; };
    Wide *wide = static_cast<Wide *>(opaque(new Wide));
    CHECK(is_aligned(wide, 256), "%p", static_cast<void *>(wide));
    delete wide;
}

/* A failing `new` throws, through our frames. */
static void exceptions() {
    try {
        opaque(::operator new(opaque_size(PTRDIFF_MAX)));
        CHECK(false, "no exception");
    } catch (const std::bad_alloc &) {
    }
    CHECK(!::operator new(opaque_size(PTRDIFF_MAX), std::nothrow), "a block of half the world");
}

int main() {
    linked_check();
    containers();
    operators();
    exceptions();
    printf("%s\n", stratalloc_version());
    return 0;
}
