/* Known amounts from known functions, for the estimates of a sampled profile: `keep` holds 40 MiB in blocks
 * of mixed sizes, `churn` allocates and frees 200 MiB, `keep_large` holds 24 MiB in blocks of 3 MiB. Writes a
 * profile to the file named by the argument; then another thread frees everything, and a second profile goes
 * to the same name with ".end" behind it. */
#include "check.h"
#include "stratalloc.h"

#include <pthread.h>

enum { KEPT = 40 << 20, CHURNED = 200 << 20, MOST = 1 << 20, LARGE = 8 };

static void *blocks[MOST], *large[LARGE];
static size_t count;

__attribute__((noinline)) static void keep(void) {
    uint64_t random = 1;
    size_t held = 0;
    while (held < KEPT) {
        size_t size = 16 + next_random(&random) % 2000;
        CHECK(blocks[count] = malloc(size), "no memory");
        memset(blocks[count++], 1, size);
        held += size;
    }
}

__attribute__((noinline)) static void churn(void) {
    uint64_t random = 2;
    size_t total = 0;
    while (total < CHURNED) {
        size_t size = 16 + next_random(&random) % 400;
        void *block = opaque(malloc(size));
        CHECK(block, "no memory");
        free(block);
        total += size;
    }
}

__attribute__((noinline)) static void keep_large(void) {
    int i;
    for (i = 0; i < LARGE; i++) CHECK(large[i] = malloc(3 * MIB), "no memory");
}

static void *free_all(void *unused) {
    size_t i;
    for (i = 0; i < count; i++) free(blocks[i]);
    for (i = 0; i < LARGE; i++) free(large[i]);
    return unused;
}

int main(int argc, char **argv) {
    static char name[PATH_MAX];
    pthread_t thread;
    CHECK(argc == 2, "no file");
    keep();
    churn();
    keep_large();
    CHECK(stratalloc_write_profile(argv[1]) == 0, "no profile");
    CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    snprintf(name, sizeof name, "%s.end", argv[1]);
    CHECK(stratalloc_write_profile(name) == 0, "no profile");
    return 0;
}
