// Every form of operator new and delete, the new-handler, and std::bad_alloc thrown through the
// allocator's frames into C++ that cleans up on the way (C3.1).
#include "check.h"
#include <stratalloc.h>

#include <new>
#include <string>
#include <vector>
#include <sys/resource.h>

namespace {

constexpr std::size_t kSizes[] = {0, 1, 8, 16, 100, 1000, 5000, 100000, 300000, 3000000};
const std::size_t kImpossible = PTRDIFF_MAX;

std::size_t impossible() { return opaque_size(kImpossible); }

void check_block(void *block, std::size_t size, std::size_t alignment) {
    CHECK(opaque(block) != nullptr, "no block of %zu", size);
    CHECK(is_aligned(block, alignment), "%zu at %zu: %p", size, alignment, block);
    fill(block, size, size);
    CHECK(filled(block, size, size), "%zu", size);
}

void plain_forms() {
    for (int round = 0; round < amount(50); round++) {
        for (std::size_t size : kSizes) {
            std::size_t natural = size > 8 ? 16 : 8;
            void *blocks[8];
            for (int i = 0; i < 8; i++) {
                blocks[i] = i == 0   ? ::operator new(size)
                            : i == 1 ? ::operator new[](size)
                            : i == 2 ? ::operator new(size, std::nothrow)
                            : i == 3 ? ::operator new[](size, std::nothrow)
                            : i == 4 ? ::operator new(size)
                            : i == 5 ? ::operator new[](size)
                            : i == 6 ? ::operator new(size, std::nothrow)
                                     : ::operator new[](size, std::nothrow);
                check_block(blocks[i], size, natural);
            }
            ::operator delete(blocks[0]);
            ::operator delete[](blocks[1]);
            ::operator delete(blocks[2], std::nothrow);
            ::operator delete[](blocks[3], std::nothrow);
            ::operator delete(blocks[4], size);
            ::operator delete[](blocks[5], size);
            ::operator delete(blocks[6]);
            ::operator delete[](blocks[7]);
        }
    }
}

void aligned_forms() {
    for (std::size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        auto al = std::align_val_t(alignment);
        for (std::size_t size : kSizes) {
            void *blocks[6] = {::operator new(size, al),
                               ::operator new[](size, al),
                               ::operator new(size, al, std::nothrow),
                               ::operator new[](size, al, std::nothrow),
                               ::operator new(size, al),
                               ::operator new[](size, al)};
            for (void *block : blocks) check_block(block, size, alignment);
            ::operator delete(blocks[0], al);
            ::operator delete[](blocks[1], al);
            ::operator delete(blocks[2], al, std::nothrow);
            ::operator delete[](blocks[3], al, std::nothrow);
            ::operator delete(blocks[4], size, al);
            ::operator delete[](blocks[5], size, al);
        }
    }
}

void null_deletes() {
    auto al = std::align_val_t(64);
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::size_t(8));
    ::operator delete[](nullptr, std::size_t(8));
    ::operator delete(nullptr, al);
    ::operator delete[](nullptr, al);
    ::operator delete(nullptr, std::size_t(64), al);
    ::operator delete(nullptr, std::nothrow);
    ::operator delete(nullptr, al, std::nothrow);
}

int cleaned = 0;

struct Cleaner {
    ~Cleaner() { cleaned++; }
};

template <typename Allocate> void expect_bad_alloc(const char *form, Allocate allocate) {
    cleaned = 0;
    bool caught = false;
    try {
        Cleaner cleaner;
        std::string kept(100, 'x');
        CHECK(opaque(allocate()) == nullptr, "%s gave a block", form);
    } catch (const std::bad_alloc &error) {
        caught = error.what() != nullptr;
    }
    CHECK(caught, "%s threw no bad_alloc", form);
    CHECK(cleaned == 1, "%s: %d destructors ran", form, cleaned);
}

void throwing_forms() {
    auto al = std::align_val_t(128);
    for (int round = 0; round < amount(200); round++) {
        expect_bad_alloc("new", [] { return ::operator new(impossible()); });
        expect_bad_alloc("new[]", [] { return ::operator new[](impossible()); });
        expect_bad_alloc("new aligned", [=] { return ::operator new(impossible(), al); });
        expect_bad_alloc("new[] aligned", [=] { return ::operator new[](impossible(), al); });
        expect_bad_alloc("new T[n]", [] { return new double[opaque_size(SIZE_MAX / 4)]; });
        expect_bad_alloc("vector", [] { return new std::vector<char>(impossible()); });
    }
    CHECK(::operator new(impossible(), std::nothrow) == nullptr, "nothrow");
    CHECK(::operator new[](impossible(), std::nothrow) == nullptr, "nothrow");
    CHECK(::operator new(impossible(), al, std::nothrow) == nullptr, "nothrow");
    CHECK(::operator new[](impossible(), al, std::nothrow) == nullptr, "nothrow");
    delete new std::string(1000, 'y');
}

int handler_calls = 0;

// The handler is called again and again until it gives up or something changes.
void handler_gives_up() {
    if (++handler_calls % 5 == 0) std::set_new_handler(nullptr);
}

void handler_throws_own() {
    handler_calls++;
    throw std::string("from the handler");
}

void handler_throws_bad_alloc() {
    handler_calls++;
    throw std::bad_alloc();
}

void handler_installs_another() {
    handler_calls++;
    std::set_new_handler(handler_throws_bad_alloc);
}

void new_handlers() {
    auto al = std::align_val_t(64);
    handler_calls = 0;
    std::set_new_handler(handler_gives_up);
    expect_bad_alloc("new", [] { return ::operator new(impossible()); });
    CHECK(handler_calls == 5, "%d calls", handler_calls);
    std::set_new_handler(handler_gives_up);
    expect_bad_alloc("new aligned", [=] { return ::operator new(impossible(), al); });
    CHECK(handler_calls == 10, "%d calls", handler_calls);
    std::set_new_handler(handler_gives_up);
    CHECK(::operator new(impossible(), std::nothrow) == nullptr, "nothrow");
    CHECK(handler_calls == 15, "the nothrow form called it %d times", handler_calls);

    handler_calls = 0;
    std::set_new_handler(handler_throws_own);
    try {
        CHECK(opaque(::operator new(impossible())) == nullptr, "a block");
        CHECK(false, "nothing was thrown");
    } catch (const std::string &text) {
        CHECK(text == "from the handler" && handler_calls == 1, "%d calls", handler_calls);
    }

    handler_calls = 0;
    std::set_new_handler(handler_installs_another);
    expect_bad_alloc("new", [] { return ::operator new[](impossible()); });
    CHECK(handler_calls == 2, "%d calls", handler_calls);
    std::set_new_handler(handler_throws_bad_alloc);
    CHECK(::operator new(impossible(), std::nothrow) == nullptr, "the handler threw");
    CHECK(::operator new[](impossible(), al, std::nothrow) == nullptr, "the handler threw");
    CHECK(handler_calls == 4, "%d calls", handler_calls);
    std::set_new_handler(nullptr);
    free(opaque(malloc(impossible() / 2)));
    CHECK(handler_calls == 4, "malloc called the new-handler");
}

void *reserve = nullptr;

void handler_frees_reserve() {
    handler_calls++;
    CHECK(reserve != nullptr, "called again with nothing left to free");
    ::operator delete(reserve);
    reserve = nullptr;
}

// Under a limit of the address space, a handler that frees memory makes the request succeed.
void handler_frees_memory() {
    if (slowness() > 1) {
        puts("left out: the emulator keeps no limit that a process sets itself");
        return;
    }
    rlimit limit{600 * MIB, 600 * MIB};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
    reserve = ::operator new(128 * MIB);
    std::vector<void *> blocks;
    blocks.reserve(1000);
    while (void *block = ::operator new(24 * MIB, std::nothrow)) blocks.push_back(block);
    CHECK(blocks.size() >= 10, "%zu blocks of 24 MiB", blocks.size());
    handler_calls = 0;
    std::set_new_handler(handler_frees_reserve);
    blocks.push_back(::operator new(24 * MIB));
    CHECK(handler_calls == 1 && reserve == nullptr, "%d calls", handler_calls);
    std::set_new_handler(nullptr);
    memset(blocks.back(), 1, 24 * MIB);
    for (void *block : blocks) ::operator delete(block);
}

const test_case cases[] = {
    {"plain_forms", plain_forms},
    {"aligned_forms", aligned_forms},
    {"null_deletes", null_deletes},
    {"throwing_forms", throwing_forms},
    {"new_handlers", new_handlers},
    {"handler_frees_memory", handler_frees_memory},
    {nullptr, nullptr},
};

} // namespace

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
