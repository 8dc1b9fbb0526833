// C++ that is wrong, and that glibc forgives, as its delete is free: sizes told to delete that are not those of new. All is
// as it was written afterwards, and nothing is left in use.
#include "check.h"

#include <dlfcn.h>
#include <malloc.h>

#include <new>
#include <string>
#include <thread>
#include <vector>

// The forms by their names: compilers do not pass what is plainly wrong.
extern "C" {
void delete_sized(void *, size_t) __asm__("_ZdlPvm");
void delete_array_sized(void *, size_t) __asm__("_ZdaPvm");
void delete_sized_aligned(void *, size_t, size_t) __asm__("_ZdlPvmSt11align_val_t");
void delete_array_sized_aligned(void *, size_t, size_t) __asm__("_ZdaPvmSt11align_val_t");
void delete_aligned(void *, size_t) __asm__("_ZdlPvSt11align_val_t");
}

namespace {

using free_sized_function = void (*)(void *, size_t);
using free_aligned_sized_function = void (*)(void *, size_t, size_t);

// Gives `block` back by one of the ways that know its size, with these numbers.
void give_back(size_t way, void *block, size_t size, size_t alignment) {
    static const auto free_sized = (free_sized_function)dlsym(RTLD_DEFAULT, "free_sized");
    static const auto free_aligned_sized = (free_aligned_sized_function)dlsym(RTLD_DEFAULT, "free_aligned_sized");
    switch (way % 7) {
    case 0: return delete_sized(block, size);
    case 1: return delete_array_sized(block, size);
    case 2: return delete_sized_aligned(block, size, alignment);
    case 3: return delete_array_sized_aligned(block, size, alignment);
    case 4: return delete_aligned(block, alignment);
    case 5: return free_sized ? free_sized(block, size) : free(block);
    default: return free_aligned_sized ? free_aligned_sized(block, alignment, size) : free(block);
    }
}

struct Witness {
    unsigned char *bytes;
    size_t size;
    uint64_t seed;
};

// Blocks that must stay as they are.
class Witnesses {
  public:
    ~Witnesses() {
        while (!all_.empty()) drop(0);
    }
    void add(uint64_t *random) {
        size_t size = random_size(random, 12);
        Witness witness{new unsigned char[size], size, next_random(random)};
        fill(witness.bytes, size, witness.seed);
        all_.push_back(witness);
        if (all_.size() > 500) drop(next_random(random) % all_.size());
    }

  private:
    void drop(size_t at) {
        Witness witness = all_[at];
        CHECK(filled(witness.bytes, witness.size, witness.seed), "a block of %zu bytes changed", witness.size);
        delete[] witness.bytes;
        all_[at] = all_.back();
        all_.pop_back();
    }
    std::vector<Witness> all_;
};

void *made(size_t way, size_t size, size_t alignment) {
    switch (way % 5) {
    case 0: return ::operator new(size);
    case 1: return malloc(size);
    case 2: return calloc(1, size);
    case 3: return realloc(malloc(size * 2 + 1), size);
    default: return ::operator new(size, std::align_val_t(alignment));
    }
}

void on_threads(void (*work)(uint64_t)) {
    std::thread first(work, 1), second(work, 2);
    first.join();
    second.join();
    work(3);
}

void any_numbers(uint64_t seed) {
    static const size_t sizes[] = {1, 16, 100, 640, 3000, 32768, 32769, 100000, 3000000};
    static const size_t told[] = {0, 1, 16, 17, 1000, 32768, 32769, 5000000, SIZE_MAX / 2, SIZE_MAX};
    static const size_t alignments[] = {1, 8, 16, 32, 64, 4096, 65536};
    Witnesses witnesses;
    for (size_t round = 0; round < 20000; round++) {
        size_t size = sizes[next_random(&seed) % (round % 50 ? 5 : 9)];
        void *block = made(next_random(&seed) % 5, size, alignments[next_random(&seed) % 7]);
        CHECK(block, "%zu bytes", size);
        memset(block, 1, size);
        give_back(next_random(&seed), block, told[next_random(&seed) % 10], alignments[next_random(&seed) % 7]);
        witnesses.add(&seed);
    }
}

struct Base {
    int number = 1;
};
struct Derived : Base {
    char more[500];
    std::string text = "long enough to have a block of its own";
};
struct alignas(64) Wide {
    char bytes[256];
};
struct Packet {
    int length;
    char data[1];
};

void classes_and_arrays(uint64_t seed) {
    Witnesses witnesses;
    for (size_t round = 0; round < 20000; round++) {
        size_t size = next_random(&seed) % 3000 + 24;
        switch (round % 6) {
        case 0: delete (char *)opaque(new char[size]); break;
        case 1: {
            Derived *object = new Derived;
            object->text.clear();
            object->text.shrink_to_fit();
            delete (Base *)opaque(object);
            break;
        }
        case 2: delete (Packet *)opaque(new char[sizeof(Packet) + size]); break;
        case 3: delete (int *)opaque(new int[size / 4]); break;
        case 4: delete (Base *)opaque(malloc(size)); break;
        default: delete (char *)opaque(new Wide); break;
        }
        witnesses.add(&seed);
    }
}

void settle() { malloc_trim(0); }

// Runs `work` twice: what the first run leaves in use is the library's own, the second adds nothing.
template <void (*work)(uint64_t)> void forgiven() {
    on_threads(work);
    settle();
    size_t before = mallinfo2().uordblks;
    on_threads(work);
    settle();
    size_t after = mallinfo2().uordblks;
    CHECK(after <= before + 64 * KIB, "%zu bytes in use before, %zu after", before, after);
}

const struct test_case cases[] = {
    {"any_numbers", forgiven<any_numbers>},
    {"classes_and_arrays", forgiven<classes_and_arrays>},
    {nullptr, nullptr},
};

} // namespace

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
