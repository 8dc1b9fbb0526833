/* How much of the C library's read-only tables is private memory of this process: none before it
 * first opens a library. Argument: dlopen or dlmopen, which is then called. */
#include "check.h"

/* KiB of `Private_Dirty` in the mapping that has this address. */
static long private_dirty(const void *address) {
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long start, end, at = (unsigned long)address;
    long kib, found = -1;
    int is_in_it = 0;
    CHECK(file, "smaps: %s", strerror(errno));
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_in_it = start <= at && at < end;
        else if (is_in_it && sscanf(line, "Private_Dirty: %ld", &kib) == 1)
            found = kib;
    }
    fclose(file);
    CHECK(found >= 0, "no mapping has %p", address);
    return found;
}

int main(int argc, char **argv) {
    Dl_info c_library;
    struct symbol { unsigned name; } *symbol;
    long before;
    void *handle;
    CHECK(argc == 2, "usage: first_open dlopen|dlmopen");
    expect_library();
    CHECK(dladdr1((void *)getpid, &c_library, (void **)&symbol, RTLD_DL_SYMENT), "getpid");
    before = private_dirty(symbol);
    CHECK(before == 0, "%ld KiB before", before);
    if (strcmp(argv[1], "dlopen") == 0) {
        CHECK((handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD)), "%s", dlerror());
        CHECK(dlsym(handle, "malloc") == dlsym(RTLD_DEFAULT, "malloc"), "another malloc");
    } else {
        CHECK((handle = dlmopen(LM_ID_BASE, "libc.so.6", RTLD_NOW)), "%s", dlerror());
        CHECK(dlsym(handle, "free") == dlsym(RTLD_DEFAULT, "free"), "another free");
    }
    CHECK(private_dirty(symbol) > 0, "nothing after it");
    return 0;
}
