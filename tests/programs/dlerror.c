/* The message of `dlerror` is the program's: neither the library's start nor its calls leave one. */
#include "check.h"

#ifndef LOOKUPS_IN_VAIN
#define LOOKUPS_IN_VAIN 0
#endif

int main(void) {
    const char *message = dlerror();
    CHECK(LOOKUPS_IN_VAIN == 0, "%d lookups", LOOKUPS_IN_VAIN);
    CHECK(message == NULL, "at the start: %s", message);
    free(opaque(malloc(100)));
    free(opaque(realloc(opaque(calloc(10, 10000)), 10)));
    message = dlerror();
    CHECK(message == NULL, "after a few calls: %s", message);
    /* That of a lookup in vain would have been there. */
    CHECK(dlsym(RTLD_DEFAULT, "no_such_function") == NULL && dlerror() != NULL, "there are no messages");
    printf("done\n");
    return 0;
}
