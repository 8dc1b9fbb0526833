/* Says which library serves it: `tests/tests/installing.rs` builds it from an installation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gperftools/malloc_extension_c.h>
#include <stratalloc.h>

int main(void) {
    char *text = strdup("text");
    if (MallocExtension_GetOwnership(text) != MallocExtension_kOwned) return 1;
    free(text);
    puts(stratalloc_version());
    return 0;
}
