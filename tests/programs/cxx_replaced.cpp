// Programs that define some of the operators themselves. The others end in those, as in libstdc++: what one form made, the
// program's own delete gets. Compiled once for each set of replaced forms (`SET`); prints which of them each call reached.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

namespace {

int calls[8];
bool failing;

// A block that ours or libc's free would not take: the program's own header is before it.
void *make(int form, std::size_t size, std::size_t alignment) {
    calls[form]++;
    if (failing) throw std::bad_alloc();
    std::size_t header = alignment > 32 ? alignment : 32;
    char *start = (char *)std::aligned_alloc(header, (size + 2 * header - 1) / header * header + header);
    char *block = start + header;
    ((std::size_t *)block)[-1] = header;
    return block;
}

void drop(int form, void *block) {
    calls[form]++;
    if (block) std::free((char *)block - ((std::size_t *)block)[-1]);
}

void show(const char *what) {
    std::printf("%s:", what);
    for (int &count : calls) {
        std::printf(" %d", count);
        count = 0;
    }
    std::printf("\n");
}

} // namespace

#if SET & 1
void *operator new(std::size_t size) { return make(0, size, 16); }
void operator delete(void *block) noexcept { drop(4, block); }
#endif
#if SET & 2
void *operator new[](std::size_t size) { return make(1, size, 16); }
void operator delete[](void *block) noexcept { drop(5, block); }
#endif
#if SET & 4
void *operator new(std::size_t size, std::align_val_t alignment) { return make(2, size, (std::size_t)alignment); }
void operator delete(void *block, std::align_val_t) noexcept { drop(6, block); }
#endif
#if SET & 8
void *operator new[](std::size_t size, std::align_val_t alignment) { return make(3, size, (std::size_t)alignment); }
void operator delete[](void *block, std::align_val_t) noexcept { drop(7, block); }
#endif

template <class Make, class Drop> void round_trip(const char *what, Make make_block, Drop drop_block) {
    void *block = make_block();
    if (block) *(volatile char *)block = 1;
    drop_block(block);
    show(what);
}

#define ROUND_TRIP(make_block, drop_block) round_trip(#make_block "; " #drop_block, [] { return make_block; }, [](void *p) { drop_block; })

void all_forms() {
    const auto al = std::align_val_t(64);
    (void)al;
    ROUND_TRIP(::operator new(10), ::operator delete(p));
    ROUND_TRIP(::operator new(10), ::operator delete(p, 10));
    ROUND_TRIP(::operator new[](10), ::operator delete[](p));
    ROUND_TRIP(::operator new[](10), ::operator delete[](p, 10));
    ROUND_TRIP(::operator new(10, std::nothrow), ::operator delete(p, std::nothrow));
    ROUND_TRIP(::operator new[](10, std::nothrow), ::operator delete[](p, std::nothrow));
    ROUND_TRIP(::operator new(10, std::align_val_t(64)), ::operator delete(p, std::align_val_t(64)));
    ROUND_TRIP(::operator new(10, std::align_val_t(64)), ::operator delete(p, 10, std::align_val_t(64)));
    ROUND_TRIP(::operator new[](10, std::align_val_t(64)), ::operator delete[](p, std::align_val_t(64)));
    ROUND_TRIP(::operator new[](10, std::align_val_t(64)), ::operator delete[](p, 10, std::align_val_t(64)));
    ROUND_TRIP(::operator new(10, std::align_val_t(64), std::nothrow), ::operator delete(p, std::align_val_t(64), std::nothrow));
    ROUND_TRIP(::operator new[](10, std::align_val_t(64), std::nothrow), ::operator delete[](p, std::align_val_t(64), std::nothrow));
}

template <class Make> void fails(const char *what, Make make_block) {
    const char *result = "a block, or null";
    try {
        if (!make_block()) result = "null";
    } catch (const std::bad_alloc &) {
        result = "bad_alloc";
    }
    std::printf("%s: %s", what, result);
    show("");
}

// What the program's function throws comes through the other forms, and stops at those that do not throw.
void failures() {
    failing = true;
    fails("new[]", [] { return ::operator new[](PTRDIFF_MAX); });
    fails("nothrow", [] { return ::operator new(PTRDIFF_MAX, std::nothrow); });
    fails("nothrow []", [] { return ::operator new[](PTRDIFF_MAX, std::nothrow); });
    fails("aligned []", [] { return ::operator new[](PTRDIFF_MAX / 2, std::align_val_t(64)); });
    fails("aligned nothrow", [] { return ::operator new(PTRDIFF_MAX / 2, std::align_val_t(64), std::nothrow); });
    fails("aligned nothrow []", [] { return ::operator new[](PTRDIFF_MAX / 2, std::align_val_t(64), std::nothrow); });
    failing = false;
}

int main() {
    all_forms();
    std::thread(all_forms).join();
    failures();
    all_forms();
    return 0;
}
