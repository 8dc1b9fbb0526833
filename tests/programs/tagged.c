/* Tags of blocks, by the C interface: every block is sampled (STRATALLOC_SAMPLE_INTERVAL=1), so what the
 * metrics say is exact. Prints the metrics; with an argument writes a profile there first. */
#include "check.h"
#include "stratalloc.h"

#include <pthread.h>

static void *kept[8];

/* Another thread has tags of its own, none at first. */
static void *other(void *unused) {
    unsigned before;
    pthread_setname_np(pthread_self(), "other \"name\"");
    kept[4] = opaque(malloc(5000));
    before = stratalloc_tag_push("outer");
    kept[5] = opaque(malloc(50));
    stratalloc_tag_pop(before);
    return unused;
}

int main(int argc, char **argv) {
    static char text[1 << 16];
    unsigned outer, inner;
    pthread_t thread;
    outer = stratalloc_tag_push("outer");
    kept[0] = opaque(malloc(100));
    inner = stratalloc_tag_push("inner \"one\"");
    kept[1] = opaque(malloc(1000));
    free(opaque(malloc(300)));
    CHECK(pthread_create(&thread, NULL, other, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    stratalloc_tag_pop(inner);
    kept[2] = opaque(malloc(100000));
    inner = stratalloc_tag_push(NULL);
    kept[3] = opaque(malloc(7));
    stratalloc_tag_pop(inner);
    /* Grown where it is or not, it stays the tag's. */
    kept[2] = opaque(realloc(kept[2], 200000));
    stratalloc_tag_pop(outer);
    kept[6] = opaque(malloc(11));
    if (argc > 1) CHECK(stratalloc_write_profile(argv[1]) == 0, "no profile");
    CHECK(stratalloc_metrics(text, sizeof text) < sizeof text, "a long text");
    write(1, text, strlen(text));
    return 0;
}
