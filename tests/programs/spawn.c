/* Starting other programs in every way, while threads allocate: vfork and posix_spawn run in the
 * parent's memory, system and popen go through fork-like paths of the C library. */
#include "check.h"

#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern char **environ;
static atomic_int stop;

static void *allocate_until_stopped(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    unsigned char *blocks[64] = {0};
    size_t sizes[64] = {0};
    while (!atomic_load(&stop)) {
        size_t i = next_random(&state) % 64;
        if (blocks[i]) CHECK(filled(blocks[i], sizes[i], i), "block %zu", i);
        free(blocks[i]);
        sizes[i] = random_size(&state, 16);
        CHECK(blocks[i] = malloc(sizes[i]), "%zu", sizes[i]);
        fill(blocks[i], sizes[i], i);
    }
    for (size_t i = 0; i < 64; i++) free(blocks[i]);
    return NULL;
}

static void expect_exit(pid_t child) {
    int status = -1;
    CHECK(child > 0, "errno %d", errno);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "status %x", (unsigned)status);
}

int main(void) {
    char *arguments[] = {(char *)"true", NULL};
    pthread_t threads[2];
    uintptr_t t;
    int i;
    expect_library();
    for (t = 0; t < 2; t++)
        CHECK(pthread_create(&threads[t], NULL, allocate_until_stopped, (void *)t) == 0, "thread");
    for (i = 0; i < amount(60); i++) {
        char line[64] = "";
        pid_t child = -1;
        FILE *pipe;
        CHECK(system("true") == 0, "system in round %d", i);
        CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0, "posix_spawn");
        expect_exit(child);
        child = vfork();
        if (child == 0) {
            execvp("true", arguments);
            _exit(99);
        }
        expect_exit(child);
        pipe = popen("echo round", "r");
        CHECK(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "round\n") == 0, "%s", line);
        CHECK(pclose(pipe) == 0, "pclose");
    }
    atomic_store(&stop, 1);
    for (t = 0; t < 2; t++) CHECK(pthread_join(threads[t], NULL) == 0, "join");
    return 0;
}
