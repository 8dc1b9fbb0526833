/* Memory goes back without being asked (C1.1, C2.2), and the thread that sees to it is no burden: it has
 * a name and no signals, ends when it is not needed, keeps no process alive, and comes back in a forked
 * child. */
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define BLOCKS (600 * 1000)
#define KEEP_EVERY 8192
#define SLEEPERS 100

static void *blocks[BLOCKS];

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* The number of the allocator's thread; 0 if there is none. */
static long background_thread(void) {
    char path[300], name[32];
    long found = 0;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks, "cannot list threads");
    while ((entry = readdir(tasks))) {
        ssize_t length;
        int fd;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        length = read(fd, name, sizeof name - 1);
        close(fd);
        name[length > 0 ? length : 0] = 0;
        if (strcmp(name, "stratalloc\n") == 0) found = atol(entry->d_name);
    }
    closedir(tasks);
    return found;
}

/* Allocates about 100 MiB of blocks, and frees all but few. Returns the resident bytes at the peak. */
static size_t burst(void) {
    uint64_t state = 7;
    size_t i, peak;
    for (i = 0; i < BLOCKS; i++) {
        size_t size = 64 + next_random(&state) % 256;
        blocks[i] = malloc(size);
        CHECK(blocks[i], "no memory");
        memset(blocks[i], 1, size);
    }
    peak = resident_bytes();
    for (i = 0; i < BLOCKS; i++)
        if (i % KEEP_EVERY) free(blocks[i]);
    return peak;
}

static void free_rest(void) {
    size_t i;
    for (i = 0; i < BLOCKS; i += KEEP_EVERY) free(blocks[i]);
}

/* Waits without a call of the allocator until at most `share` percent of `peak` are resident. */
static void wait_for_return(size_t before, size_t peak, unsigned share) {
    int waited;
    for (waited = 0; waited < 100; waited++) {
        size_t now = resident_bytes();
        if (now < before + (peak - before) / 100 * share) return;
        sleep_ms(100);
    }
    CHECK(0, "%zu KiB of %zu resident after 10 s of silence", resident_bytes() / KIB, peak / KIB);
}

static void memory_goes_back_in_silence(void) {
    size_t before = resident_bytes();
    size_t peak = burst();
    wait_for_return(before, peak, 10);
    free_rest();
}

static void the_thread_is_discreet_and_ends(void) {
    char path[64], line[256];
    unsigned long long blocked = 0;
    int waited;
    FILE *status;
    long thread;
    burst();
    for (waited = 0; waited < 50 && !(thread = background_thread()); waited++) sleep_ms(20);
    CHECK(thread, "no such thread");
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", thread);
    status = fopen(path, "r");
    CHECK(status, "cannot open %s", path);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1) break;
    fclose(status);
    /* All but SIGKILL and SIGSTOP, which nobody can block. */
    CHECK((blocked | 0x40100) == ~0ull, "signals %llx", blocked);
    free_rest();
    /* Once: a call that comes later, such as those that look, may have it look again whether there is work. */
    for (waited = 0; waited < 300 && (thread = background_thread()); waited++) sleep_ms(100);
    CHECK(!thread, "the thread stays for nothing");
}

static void a_forked_child_has_its_own(void) {
    int status;
    pid_t child;
    burst();
    child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) {
        size_t before, peak;
        CHECK(!background_thread(), "a thread survived the fork");
        free_rest();
        before = resident_bytes() / 2;
        peak = burst();
        wait_for_return(before, peak, 50);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %x", status);
    free_rest();
}

static pthread_barrier_t all_done;

static void *work_and_sleep(void *argument) {
    uint64_t state = (uint64_t)(uintptr_t)argument;
    enum { COUNT = 2000 };
    void *mine[COUNT];
    size_t i;
    for (i = 0; i < COUNT; i++) {
        size_t size = 16 + next_random(&state) % 1008;
        mine[i] = malloc(size);
        memset(mine[i], 1, size);
    }
    for (i = 0; i < COUNT; i++) free(mine[i]);
    pthread_barrier_wait(&all_done);
    pause();
    return NULL;
}

static void *only_sleep(void *argument) {
    char stack[20 * 1024];
    memset(stack, 1, sizeof stack);
    opaque(stack);
    pthread_barrier_wait(&all_done);
    pause();
    return argument;
}

static size_t resident_with(void *(*body)(void *), long wait_ms) {
    size_t before = resident_bytes();
    pthread_attr_t attributes;
    long i;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * KIB);
    pthread_barrier_init(&all_done, NULL, SLEEPERS + 1);
    for (i = 1; i <= SLEEPERS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, body, (void *)i) == 0, "no thread");
    }
    pthread_barrier_wait(&all_done);
    sleep_ms(wait_ms);
    return resident_bytes() - before;
}

/* Ends the process, since its threads sleep for good. */
static void sleeping_threads_hold_next_to_nothing(void) {
    size_t bare = resident_with(only_sleep, 100);
    size_t worked = resident_with(work_and_sleep, 8000);
    size_t each = worked > bare ? (worked - bare) / SLEEPERS : 0;
    CHECK(each < 32 * KIB, "%zu bytes for each sleeping thread", each);
    _exit(0);
}

/* The process must end with its last thread that the program knows of. */
static void the_thread_keeps_no_process_alive(void) {
    burst();
    CHECK(background_thread() || (sleep_ms(200), background_thread()), "no such thread");
    alarm(5);
    pthread_exit(NULL);
}

static void without_it_nothing_is_started(void) {
    burst();
    sleep_ms(1000);
    CHECK(!background_thread(), "there is a thread");
    free_rest();
}

static const struct test_case CASES[] = {
    {"memory_goes_back_in_silence", memory_goes_back_in_silence},
    {"the_thread_is_discreet_and_ends", the_thread_is_discreet_and_ends},
    {"a_forked_child_has_its_own", a_forked_child_has_its_own},
    {"sleeping_threads_hold_next_to_nothing", sleeping_threads_hold_next_to_nothing},
    {"the_thread_keeps_no_process_alive", the_thread_keeps_no_process_alive},
    {"without_it_nothing_is_started", without_it_nothing_is_started},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(CASES, argc, argv); }
