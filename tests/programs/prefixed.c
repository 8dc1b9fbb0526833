/* The prefixed library beside the process's own allocator: both are used by four threads and a
 * forked child; neither knows of the other's blocks. */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stratalloc-prefixed.h"

enum { BLOCKS = 2000, ROUNDS = 20 };

static void *work(void *argument) {
    unsigned char mark = (unsigned char)(size_t)argument;
    static _Thread_local unsigned char *ours[BLOCKS], *others[BLOCKS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            size_t size = 1 + (size_t)i * 7 % 4000;
            ours[i] = st_malloc(size);
            others[i] = malloc(size);
            CHECK(ours[i] && others[i], "no memory");
            memset(ours[i], mark, size);
            memset(others[i], ~mark, size);
        }
        for (int i = 0; i < BLOCKS; i++) {
            size_t size = 1 + (size_t)i * 7 % 4000;
            CHECK(ours[i][size - 1] == mark, "ours was written to");
            CHECK(others[i][size - 1] == (unsigned char)~mark, "the other's was written to");
            CHECK(st_malloc_usable_size(ours[i]) >= size, "too small");
            st_free(ours[i]);
            free(others[i]);
        }
    }
    return NULL;
}

int main(void) {
    CHECK(strncmp(st_version(), "stratalloc ", 11) == 0, "version");
    void *block = st_malloc(100), *other = malloc(100);
    /* 2: not ours, 1: ours (gperftools' numbers). */
    CHECK(st_MallocExtension_GetOwnership(block) == 1, "our block is not ours");
    CHECK(st_MallocExtension_GetOwnership(other) == 2, "the other's block is ours");
    CHECK(st_MallocExtension_GetOwnership(strdup("text")) == 2, "strdup's block is ours");
    block = st_realloc(block, 1 << 20);
    st_free(block);
    free(other);
    void *aligned;
    CHECK(st_posix_memalign(&aligned, 4096, 10) == 0 && (size_t)aligned % 4096 == 0, "alignment");
    st_free(aligned);

    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    pid_t child = fork();
    if (child == 0) {
        work((void *)9);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %d", status);
    CHECK(st_mallinfo2().uordblks < 1 << 20, "blocks are left");
    puts("beside");
    return 0;
}
