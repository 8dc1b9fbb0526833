/* dlerror.c on a C library that claims to be glibc 2.31, and that does not have the function which tells what the processor
 * has. It counts lookups in vain: a later one that succeeds would remove the message. */
static int lookups_in_vain;
#define LOOKUPS_IN_VAIN lookups_in_vain
#include "dlerror.c"

const char *gnu_get_libc_version(void) { return "2.31"; }

void *dlsym(void *restrict handle, const char *restrict name) {
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
    static void *(*real)(void *, const char *);
    size_t i;
    void *found;
    for (i = 0; real == NULL && i < sizeof versions / sizeof *versions; i++)
        real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    CHECK(real != NULL, "no dlsym");
    found = real(handle, strcmp(name, "__x86_get_cpuid_feature_leaf") ? name : "no_such_function");
    lookups_in_vain += found == NULL;
    return found;
}
