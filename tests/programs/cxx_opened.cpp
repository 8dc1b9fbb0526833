// A C++ library whose constructor waits for a thread, which uses a form of `new` or `delete` for the
// first time in the process, while `dlopen` holds the dynamic linker's lock. The variable
// OPENED_CASE names the form.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include <pthread.h>

#include "check.h"

namespace {

void *volatile sink;

// A size that the compiler does not see, of a block that cannot be had.
std::size_t too_much() {
    return opaque_size(PTRDIFF_MAX / 2);
}

void new_and_delete() {
    ::operator delete(sink = ::operator new(10));
}

void sized_delete() {
    ::operator delete(sink = ::operator new(10), 10);
}

void arrays() {
    ::operator delete[](sink = ::operator new[](10));
    ::operator delete[](sink = ::operator new[](10), 10);
}

void nothrow() {
    ::operator delete(sink = ::operator new(10, std::nothrow), std::nothrow);
    ::operator delete[](sink = ::operator new[](10, std::nothrow), std::nothrow);
}

void aligned() {
    const auto al = std::align_val_t(64);
    ::operator delete[](sink = ::operator new[](10, al), al);
    ::operator delete(sink = ::operator new(10, al, std::nothrow), 10, al);
}

void nothrow_without_memory() {
    CHECK(!::operator new(too_much(), std::nothrow), "a block");
}

void throwing_without_memory() {
    try {
        sink = ::operator new(too_much());
    } catch (const std::bad_alloc &) {
        return;
    }
    CHECK(false, "a block");
}

void throwing_handler_without_memory() {
    std::set_new_handler([] { throw std::bad_alloc(); });
    nothrow_without_memory();
    throwing_without_memory();
    std::set_new_handler(nullptr);
}

struct {
    const char *name;
    void (*run)();
} const cases[] = {
    {"new_and_delete", new_and_delete},
    {"sized_delete", sized_delete},
    {"arrays", arrays},
    {"nothrow", nothrow},
    {"aligned", aligned},
    {"nothrow_without_memory", nothrow_without_memory},
    {"throwing_without_memory", throwing_without_memory},
    {"throwing_handler_without_memory", throwing_handler_without_memory},
};

void *run(void *name) {
    int ran = 0;
    for (const auto &one : cases) {
        if (std::strcmp((const char *)name, one.name) == 0) {
            one.run();
            ran++;
        }
    }
    CHECK(ran == 1, "no case called %s", (const char *)name);
    return nullptr;
}

struct Opened {
    Opened() {
        pthread_t thread;
        char *name = std::getenv("OPENED_CASE");
        if (!name || std::strcmp(name, "after_opening") == 0) return;
        CHECK(pthread_create(&thread, nullptr, run, name) == 0, "a thread");
        CHECK(pthread_join(thread, nullptr) == 0, "its end");
    }
} opened;

} // namespace

// What `dlerror` has to say is there after the first use of any form, whether or not there is
// memory.
extern "C" void after_opening() {
    for (const auto &one : cases) {
        CHECK(!dlopen("/no/such/library", RTLD_NOW), "a library");
        one.run();
        CHECK(dlerror() != nullptr, "%s took away what dlerror says", one.name);
    }
}
