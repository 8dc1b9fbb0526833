/* dlerror.c for C++: the first call of an operator looks which forms the program has. One that is linked with `-static-libstdc++`
 * has few that the dynamic linker knows. */
#include "check.h"

#include <new>

int main() {
    int *volatile number = new int(1);
    const char *message = dlerror();
    CHECK(message == nullptr, "after `new`: %s", message);
    delete number;
    number = new (std::nothrow) int[10];
    delete[] number;
    message = dlerror();
    CHECK(message == nullptr, "after other forms: %s", message);
    printf("done\n");
    return 0;
}
