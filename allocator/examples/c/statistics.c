/* Figures and limits in C. Only the library has to be linked; malloc and free are its own.
 *
 *     cc statistics.c -I allocator/capi/include -L target/release -lstratalloc -Wl,-rpath,$PWD/target/release
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gperftools/malloc_extension_c.h>
#include <stratalloc.h>

int main(void) {
    printf("library: %.10s\n", stratalloc_version());

    char *block = malloc(100);
    if (block == NULL)
        return 1;
    strcpy(block, "hello");
    printf("%s; a request for 100 bytes gets %zu\n", block,
           MallocExtension_GetAllocatedSize(block));

    size_t used = 0;
    MallocExtension_GetNumericProperty("generic.current_allocated_bytes", &used);
    printf("in use, at least what was asked for: %s\n", used >= 100 ? "yes" : "no");
    free(block);

    MallocExtension_SetMemoryLimit((size_t)64 << 20, 1);
    errno = 0;
    void *large = malloc((size_t)128 << 20);
    printf("128 MiB under a limit of 64 MiB: %s\n",
           large == NULL && errno == ENOMEM ? "refused" : "granted");
    free(large);

    MallocExtension_ReleaseFreeMemory();
    return 0;
}
