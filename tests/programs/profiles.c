/* Writes every kind of profile in every form into the folder that the argument names: of 2,000 blocks before
 * the base and 2,000 after it, 1,000 of which, older ones, are freed again. Says which calls are refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stratalloc.h"

static void *kept[4000];

__attribute__((noinline)) static void *open_session(void)
{
    return memset(malloc(1000), 1, 1000);
}

__attribute__((noinline)) static void before_the_base(void)
{
    for (int i = 0; i < 2000; i++)
        kept[i] = open_session();
}

__attribute__((noinline)) static void after_the_base(void)
{
    for (int i = 2000; i < 4000; i++)
        kept[i] = open_session();
}

int main(int count, char **arguments)
{
    static const char *kinds[] = {"heap", "allocations", "peak", "growth", "lifetimes"};
    static const char *formats[] = {"pb.gz", "folded", "json"};
    const char *folder = count > 1 ? arguments[1] : ".";
    char path[4096];
    before_the_base();
    stratalloc_profile_mark_base();
    after_the_base();
    for (int i = 0; i < 1000; i++) {
        free(kept[i]);
        kept[i] = NULL;
    }
    for (int kind = 0; kind < 5; kind++)
        for (int format = 0; format < 3; format++) {
            snprintf(path, sizeof path, "%s/%s.%s", folder, kinds[kind], formats[format]);
            int error = stratalloc_profile_write(kind, format, path);
            if (error != 0) {
                printf("%s: %s\n", path, strerror(error));
                return 1;
            }
        }
    if (stratalloc_profile_write(5, 0, path) != EINVAL || stratalloc_profile_write(-1, 0, path) != EINVAL
        || stratalloc_profile_write(0, 3, path) != EINVAL || stratalloc_profile_write(0, 0, NULL) != EINVAL
        || stratalloc_profile_write(0, 0, "/no/such/folder/x") != EIO
        || stratalloc_profile_write_fd(0, 0, -1) != EIO || stratalloc_profile_write_fd(9, 0, 1) != EINVAL)
        return 1;
    /* The descriptor stays open. */
    fflush(stdout);
    if (stratalloc_profile_write_fd(STRATALLOC_PROFILE_GROWTH, STRATALLOC_FORMAT_FOLDED, 1) != 0)
        return 1;
    return puts("end") < 0;
}
