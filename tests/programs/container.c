/* What a container's limits and the pressure for memory do (C1.1, C1.5). But in `lowered` the kernel's files
 * are made up: the variable CONTAINER names the folder that stands in for /sys/fs/cgroup, and the program writes there
 * what the kernel would. The decay time is to be an hour, so that nothing goes back for another reason.
 *
 * The program has a second thread, which sleeps, and so there is the background thread. With the variable CALLS it has
 * none and calls now and then: then its calls look. */
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#define COUNT 200

static char *blocks[COUNT];

static int calls;

static void sleep_ms(long ms) {
    struct timespec time = {0, 100 * 1000000};
    for (; ms > 0; ms -= 100) {
        nanosleep(&time, NULL);
        if (calls) free(opaque(malloc(50)));
    }
}

static void *sleep_for_good(void *argument) {
    pause();
    return argument;
}

/* In one step: who looks meanwhile must not find half of it. */
static void say(const char *name, const char *text) {
    char path[1000], scratch[1010];
    int file;
    CHECK(getenv("CONTAINER"), "CONTAINER names no folder");
    snprintf(path, sizeof path, "%.900s/%.50s", getenv("CONTAINER"), name);
    snprintf(scratch, sizeof scratch, "%s.new", path);
    file = open(scratch, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
    close(file);
    CHECK(rename(scratch, path) == 0, "%s", path);
}

static void say_bytes(const char *name, size_t bytes) {
    char text[32];
    snprintf(text, sizeof text, "%zu\n", bytes);
    say(name, text);
}

/* 200 MiB, of which every `free_every`th MiB is freed. Returns the resident bytes then. */
static size_t burst(size_t free_every) {
    size_t i;
    for (i = 0; i < COUNT; i++) {
        CHECK(blocks[i] = malloc(MIB), "no memory");
        memset(blocks[i], 1, MIB);
    }
    for (i = 0; i < COUNT; i += free_every) free(blocks[i]);
    return resident_bytes();
}

static void expect_return(size_t full, size_t bytes) {
    int waited;
    for (waited = 0; waited < 100; waited++) {
        if (resident_bytes() + bytes <= full) return;
        sleep_ms(100);
    }
    CHECK(0, "%zu of %zu KiB are resident after 10 s", resident_bytes() / KIB, full / KIB);
}

static void expect_none_returned(size_t full, long ms) {
    sleep_ms(ms);
    CHECK(resident_bytes() + 8 * MIB >= full, "%zu of %zu KiB", resident_bytes() / KIB, full / KIB);
}

/* Nothing happens with plenty of room; what is free goes back near the limit. */
static void limit(void) {
    size_t full;
    say_bytes("memory.max", 1024 * MIB);
    say_bytes("memory.current", 300 * MIB);
    full = burst(1);
    expect_none_returned(full, 3000);
    say_bytes("memory.current", 1020 * MIB);
    expect_return(full, 56 * MIB);
    say_bytes("memory.current", 900 * MIB);
}

/* The number in a file of the group, or 0 if there is none. */
static size_t limit_of(const char *name) {
    char path[1000], text[32] = "";
    int file;
    CHECK(getenv("CONTAINER"), "CONTAINER names no folder");
    snprintf(path, sizeof path, "%.900s/%.50s", getenv("CONTAINER"), name);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    CHECK(read(file, text, sizeof text - 1) > 0, "%s", path);
    close(file);
    return strtoull(text, NULL, 10);
}

/* As `limit`, with limits that somebody else wrote before. */
static void given(void) {
    size_t high = limit_of("memory.high"), max = limit_of("memory.max"), full;
    size_t lowest = high && (!max || high < max) ? high : max;
    CHECK(lowest >= 300 * MIB, "the lowest limit is %zu", lowest);
    say_bytes("memory.current", lowest / 2);
    full = burst(1);
    expect_none_returned(full, 3000);
    say_bytes("memory.current", lowest - MIB);
    expect_return(full, 8 * MIB);
    say_bytes("memory.current", lowest / 2);
}

/* As `limit`, but never because of a limit. */
static void nothing(void) {
    size_t full;
    say_bytes("memory.max", 1024 * MIB);
    say_bytes("memory.current", 1020 * MIB);
    full = burst(1);
    expect_none_returned(full, 4000);
}

/* Between two looks the page heap keeps to the room that was left at the last one: 20 MiB, while 60 MiB are
 * taken that fit into none of the holes. */
static void growth(void) {
    size_t full, i;
    char *more[20];
    say_bytes("memory.max", 1024 * MIB);
    say_bytes("memory.current", 940 * MIB);
    full = burst(2);
    expect_none_returned(full, 2500);
    for (i = 0; i < 20; i++) {
        CHECK(more[i] = malloc(3 * MIB), "the container's limit fails no request");
        memset(more[i], 1, 3 * MIB);
        if (resident_bytes() > full) say_bytes("memory.current", 940 * MIB + resident_bytes() - full);
        CHECK(resident_bytes() <= full + 28 * MIB, "%zu KiB", (resident_bytes() - full) / KIB);
    }
}

/* All that is free goes back while tasks wait for memory, whether there is a limit or not. */
static void pressure(void) {
    size_t full = burst(1), total = 1000000, i;
    char text[100];
    for (i = 0; i < 100; i++, total += 20000) {
        snprintf(text, sizeof text, "some avg10=20.00 avg60=9.00 avg300=1.00 total=%zu\n", total);
        say("memory.pressure", text);
        if (resident_bytes() + 150 * MIB <= full) return;
        sleep_ms(100);
    }
    CHECK(0, "%zu of %zu KiB are resident after 10 s", resident_bytes() / KIB, full / KIB);
}

/* As `limit`, in a control group of a true kernel, which starts with more room than the burst takes: its limit is
 * lowered while the program runs. Over it, whoever allocates in the kernel is made to wait, the background thread
 * that reads its files too, for two seconds at a time. */
static void lowered(void) {
    char path[1000];
    size_t full = burst(1);
    int file;
    expect_none_returned(full, 3000);
    CHECK(getenv("CONTAINER"), "CONTAINER names no folder");
    snprintf(path, sizeof path, "%.900s/memory.high", getenv("CONTAINER"));
    file = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(file >= 0 && write(file, "134217728", 9) == 9, "%s", path);
    close(file);
    expect_return(full, 64 * MIB);
}

/* The number of the background thread. */
static long background_thread(void) {
    char path[300], name[32];
    struct dirent *entry;
    long found = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks, "cannot list threads");
    while ((entry = readdir(tasks))) {
        ssize_t length;
        int file;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        length = read(file, name, sizeof name - 1);
        close(file);
        name[length > 0 ? length : 0] = 0;
        if (strcmp(name, "stratalloc\n") == 0) found = atol(entry->d_name);
    }
    closedir(tasks);
    CHECK(found, "no such thread");
    return found;
}

/* The thread neither opens files among the program's nor keeps any of them open. */
static void files(void) {
    char path[100];
    int pipes[2], reached;
    CHECK(pipe(pipes) == 0, "pipe");
    burst(1);
    sleep_ms(2000);
    close(pipes[1]);
    CHECK(read(pipes[0], path, 1) == 0, "the pipe has another writer");
    for (reached = 0; reached <= 2; reached++) {
        snprintf(path, sizeof path, "/proc/self/task/%ld/fd/%d", background_thread(), reached);
        CHECK(access(path, F_OK) != 0, "the thread has descriptor %d", reached);
    }
}

/* Misuse that the thread finds ends the process with the usual line. */
static void misuse(void) {
    static const size_t sizes[] = {512, 1024, 2048, 3072, 4096, 8192};
    static char *many[6][200];
    size_t class, i;
    for (class = 0; class < 6; class ++) {
        for (i = 0; i < 200; i++) CHECK(many[class][i] = malloc(sizes[class]), "no memory");
        for (i = 0; i < 190; i++) free(many[class][i]);
        for (i = 0; i < 4; i++) many[class][i] = malloc(sizes[class]);
    }
    burst(1);
    free(opaque(many[1][199] + 64));
    sleep_ms(10000);
    _exit(0);
}

static const struct test_case CASES[] = {
    {"limit", limit},   {"given", given},     {"nothing", nothing}, {"growth", growth}, {"pressure", pressure},
    {"files", files},   {"misuse", misuse},   {"lowered", lowered},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    pthread_t thread;
    calls = getenv("CALLS") != NULL;
    if (!calls) CHECK(pthread_create(&thread, NULL, sleep_for_good, NULL) == 0, "no thread");
    return run_cases(CASES, argc, argv);
}
