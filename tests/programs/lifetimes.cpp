// Allocation outside of main: constructors before it, destructors and exit handlers after it,
// thread_local destructors. Prints one line per event; the caller knows the order.
#include "check.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

void say(const std::string &line) {
    std::string whole = line + "\n";
    CHECK(write(1, whole.data(), whole.size()) == ssize_t(whole.size()), "write");
}

// Allocates all kinds of blocks, and finds out if one of them is damaged.
struct Holder {
    explicit Holder(const char *name_) : name(name_) {
        for (unsigned i = 0; i < 200; i++) {
            std::size_t size = (i * 37) % 5000 + (i % 50 == 0 ? 600000 : 1);
            blocks.push_back(std::make_unique<unsigned char[]>(size));
            sizes.push_back(size);
            fill(blocks.back().get(), size, i);
        }
        say(name + " made");
    }
    ~Holder() {
        for (unsigned i = 0; i < 200; i++)
            CHECK(filled(blocks[i].get(), sizes[i], i), "%s, block %u", name.c_str(), i);
        blocks.clear();
        std::vector<std::string> more(100, std::string(1000, 'z'));
        say(name + " gone");
    }
    std::string name;
    std::vector<std::unique_ptr<unsigned char[]>> blocks;
    std::vector<std::size_t> sizes;
};

void *from_constructor;
void *from_main;

__attribute__((constructor(101))) void earliest() {
    from_constructor = malloc(1000);
    fill(from_constructor, 1000, 1);
    free(realloc(malloc(10), 100000));
    free(aligned_alloc(4096, 8192));
}

__attribute__((destructor(101))) void latest() {
    CHECK(filled(from_constructor, 1000, 1), "the block of the first constructor");
    free(from_constructor);
    CHECK(filled(from_main, 300000, 2), "a block of main");
    free(from_main);
    for (int i = 0; i < 1000; i++) free(opaque(calloc(1, size_t(i) * 7)));
    static const char line[] = "last destructor\n";
    CHECK(write(1, line, sizeof line - 1) > 0, "write");
}

Holder early __attribute__((init_priority(150)))("early static");
Holder plain("static");
thread_local std::unique_ptr<Holder> per_thread;

void at_exit() {
    Holder holder("in exit handler");
}

void on_thread(const char *name) {
    per_thread = std::make_unique<Holder>(name);
}

} // namespace

int main() {
    expect_library();
    say("main begins");
    atexit(at_exit);
    std::thread(on_thread, "first thread's").join();
    std::thread([] {
        on_thread("second thread's");
        std::thread(on_thread, "inner thread's").join();
    }).join();
    on_thread("main thread's");
    from_main = malloc(300000);
    fill(from_main, 300000, 2);
    say("main ends");
    return 0;
}
