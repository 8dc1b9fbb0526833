// `hot_path.c` for C++. Arguments: how many rounds, and the operation.
#include <cstdlib>
#include <cstring>
#include <new>

int main(int argc, char **argv) {
    long rounds = argc > 1 ? std::atol(argv[1]) : 1000;
    bool sized = argc > 2 && !std::strcmp(argv[2], "sized_delete");
    if (sized) {
        for (long i = 0; i < rounds; i++) {
            std::size_t size = 16 + (static_cast<std::size_t>(i) & 48);
            void *block = ::operator new(size);
            *static_cast<volatile char *>(block) = 1;
            ::operator delete(block, size);
        }
    } else {
        for (long i = 0; i < rounds; i++) {
            void *block = ::operator new(16 + (static_cast<std::size_t>(i) & 48));
            *static_cast<volatile char *>(block) = 1;
            ::operator delete(block);
        }
    }
    return 0;
}
