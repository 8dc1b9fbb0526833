/* A C program that opens C++ libraries (cxx_opened.cpp), and with the first of them C++'s run-time
 * library. Arguments: the libraries. What they have to do they do while they are opened;
 * `after_opening`, if one has it, is called then. */
#include "check.h"

int main(int argc, char **argv) {
    expect_library();
    alarm(20 * slowness());
    for (int i = 1; i < argc; i++) {
        void (*after_opening)(void);
        void *handle = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        CHECK(handle, "%s", dlerror());
        *(void **)&after_opening = dlsym(handle, "after_opening");
        if (after_opening) after_opening();
    }
    return 0;
}
