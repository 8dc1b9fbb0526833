// C++: operator new and the containers come from the library; gperftools' class has the controls.
//
//     c++ containers.cpp -I allocator/capi/include -L target/release -lstratalloc -Wl,-rpath,$PWD/target/release
#include <cstdio>
#include <map>
#include <new>
#include <string>
#include <vector>

#include <gperftools/malloc_extension.h>

int main() {
    std::map<int, std::string> words;
    for (int i = 0; i < 1000; i++)
        words[i] = std::string(100, 'x');

    auto owner = MallocExtension::instance()->GetOwnership(words[0].data());
    std::printf("the string is the library's: %s\n",
                owner == MallocExtension::kOwned ? "yes" : "no");

    try {
        std::vector<char> huge(std::size_t{1} << 60);
        std::printf("2^60 bytes: granted\n");
    } catch (const std::bad_alloc &) {
        std::printf("2^60 bytes: std::bad_alloc\n");
    }

    words.clear();
    MallocExtension::instance()->ReleaseFreeMemory();
    return 0;
}
