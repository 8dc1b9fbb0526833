/* Opens plug-ins that have an allocator of their own (plugin.rs), has them work on threads,
 * closes them while threads live that have used them, forks, ends threads, and ends. Arguments:
 * case, and the plug-ins. Whatever `malloc` is here (the C library's, the preloaded or the linked
 * one), each block goes back to the copy that it came from. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

#define MAX_PLUGINS 64
#define THREADS 4

struct plugin {
    void *handle;
    size_t (*work)(size_t);
    void (*keep)(size_t);
    unsigned char *(*make)(size_t);
    void (*drop)(unsigned char *, size_t);
};

static const char **paths;
static int path_count;
static struct plugin plugins[MAX_PLUGINS];

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    CHECK(found, "%s: %s", name, dlerror());
    return found;
}

static void open_plugin(struct plugin *plugin, const char *path) {
    plugin->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(plugin->handle, "%s", dlerror());
    *(void **)&plugin->work = symbol(plugin->handle, "plugin_work");
    *(void **)&plugin->keep = symbol(plugin->handle, "plugin_keep");
    *(void **)&plugin->make = symbol(plugin->handle, "plugin_make");
    *(void **)&plugin->drop = symbol(plugin->handle, "plugin_drop");
}

static void close_plugin(struct plugin *plugin) {
    CHECK(dlclose(plugin->handle) == 0, "%s", dlerror());
}

/* Blocks of this program's own `malloc` and of every plug-in, held at the same time. */
static void work_with_all(size_t seed) {
    unsigned char *texts[MAX_PLUGINS], *own = malloc(5000);
    int i;
    fill(own, 5000, seed);
    for (i = 0; i < path_count; i++) {
        CHECK((texts[i] = plugins[i].make(1000 + seed)) != NULL, "plug-in %d", i);
        fill(texts[i], 1000 + seed, seed + (size_t)i);
    }
    for (i = 0; i < path_count; i++) {
        CHECK(plugins[i].work(seed) == 2000, "plug-in %d", i);
        CHECK(filled(texts[i], 1000 + seed, seed + (size_t)i), "plug-in %d", i);
        plugins[i].drop(texts[i], 1000 + seed);
    }
    CHECK(filled(own, 5000, seed), "seed %zu", seed);
    free(own);
}

static pthread_barrier_t used, closed;
static int keeps;

/* Ends after the plug-ins that it has used were closed. */
static void *outlive(void *seed) {
    int i;
    work_with_all((size_t)seed);
    for (i = 0; keeps && i < path_count; i++) plugins[i].keep((size_t)seed);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL;
}

static void fork_and_work(void) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        /* What is closed may be gone; what remains of it must not be called. */
        free(opaque(malloc(1000)));
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %#x", status);
}

static void one_round(void) {
    pthread_t threads[THREADS];
    uintptr_t i;
    int p;
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&closed, NULL, THREADS + 1);
    for (p = 0; p < path_count; p++) open_plugin(&plugins[p], paths[p]);
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, outlive, (void *)(i + 1)) == 0, "thread");
    work_with_all(77);
    pthread_barrier_wait(&used);
    fork_and_work();
    for (p = 0; p < path_count; p++) close_plugin(&plugins[p]);
    fork_and_work();
    pthread_barrier_wait(&closed);
    for (i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0, "join");
    fork_and_work();
    pthread_barrier_destroy(&used);
    pthread_barrier_destroy(&closed);
}

/* Bytes of address space that this process has. */
static size_t address_space(void) {
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    CHECK(statm && fscanf(statm, "%lu", &pages) == 1, "cannot read /proc/self/statm");
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* 100 rounds must not take more than the first twenty did. */
static void rounds(void) {
    size_t resident = 0, space = 0, i;
    for (i = 0; i < 100; i++) {
        one_round();
        if (i == 20) resident = resident_bytes(), space = address_space();
    }
    CHECK(resident_bytes() < resident + 16 * MIB, "%zu bytes resident, then %zu", resident,
          resident_bytes());
    CHECK(address_space() < space + 256 * MIB, "%zu bytes mapped, then %zu", space,
          address_space());
}

/* A few rounds, and then the process ends while threads still run that have used the plug-ins. */
static void *sleep_on(void *seed) {
    outlive(seed);
    pause();
    return NULL;
}

static void ends_with_threads(void) {
    pthread_t thread;
    int p;
    keeps = 1;
    one_round();
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    for (p = 0; p < path_count; p++) open_plugin(&plugins[p], paths[p]);
    CHECK(pthread_create(&thread, NULL, sleep_on, (void *)5) == 0, "thread");
    pthread_barrier_wait(&used);
    for (p = 0; p < path_count; p++) close_plugin(&plugins[p]);
    pthread_barrier_wait(&closed);
}

/* Opens copy after copy until the room for thread-local storage is used up: the dynamic linker
 * must say so, and all that were opened must work on. */
static void until_no_more(void) {
    void *failed;
    const char *said;
    int count;
    for (count = 0; count < path_count; count++) {
        void *handle = dlopen(paths[count], RTLD_NOW | RTLD_LOCAL);
        if (!handle) break;
        dlclose(handle);
        open_plugin(&plugins[count], paths[count]);
    }
    CHECK(count >= 4 && count < path_count, "%d copies were opened", count);
    failed = dlopen(paths[count], RTLD_NOW | RTLD_LOCAL);
    said = dlerror();
    CHECK(!failed && said && strstr(said, "static TLS"), "%s", said ? said : "no error");
    path_count = count;
    work_with_all(3);
    fork_and_work();
}

int main(int argc, char **argv) {
    CHECK(argc > 2 && argc - 2 <= MAX_PLUGINS, "usage: plugins CASE PLUG-IN...");
    paths = (const char **)argv + 2;
    path_count = argc - 2;
    expect_library();
    if (strcmp(argv[1], "rounds") == 0) rounds();
    else if (strcmp(argv[1], "ends_with_threads") == 0) ends_with_threads();
    else if (strcmp(argv[1], "until_no_more") == 0) until_no_more();
    else CHECK(0, "no case called %s", argv[1]);
    return 0;
}
