/* A program that puts threads of its own, or all of them, under a filter of system calls (seccomp) after its start: the
 * allocator starts no thread from there, as the filter may end the process for that, and its own thread, where there
 * is one, makes no call under a filter that was written for the program. A filter that is there from the start, as in
 * a container, keeps nobody from anything. */
#include "background.h"
#include "filter.h"

static struct burst burst;

/* Whether this process can show nothing: under a filter from its start, a further one makes no difference. */
static int is_in_container(void) {
    if (is_filtered()) dprintf(1, "there is a filter already\n");
    return is_filtered();
}

/* Ends the process if the calling thread, or one of all threads, makes a thread. */
static void forbid_threads(unsigned flags) {
    CHECK(filter_calls(THREADS, COUNT_OF(THREADS), SECCOMP_RET_KILL_PROCESS, flags) == 0, "no filter");
}

/* Uses memory and frees it; then a few calls a second give it back. */
static void work_and_give_back(void) {
    int turn;
    burst_allocate(&burst, 100, LARGE);
    burst_free(&burst);
    burst_free_rest(&burst);
    burst_allocate(&burst, 100, SMALL);
    burst_free(&burst);
    for (turn = 0; turn < 150 && burst_left(&burst) >= may_be_left(); turn++) {
        free(malloc(50));
        free(malloc(100 * KIB));
        sleep_ms(200);
    }
    CHECK(burst_left(&burst) < may_be_left(), "%zu %% left: calls do not give back", burst_left(&burst));
    CHECK(!worker(), "there is a thread");
}

static void *work_in_sandbox(void *argument) {
    forbid_threads(0);
    work_and_give_back();
    return argument;
}

static void a_thread_under_a_filter_starts_none(void) {
    pthread_t thread;
    if (is_in_container()) return;
    CHECK(pthread_create(&thread, NULL, work_in_sandbox, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
}

/* As servers do: threads first, and none from then on. */
static void a_process_that_forbids_threads_gets_none(void) {
    if (is_in_container()) return;
    make_thread(only_wait, NULL);
    forbid_threads(SECCOMP_FILTER_FLAG_TSYNC);
    work_and_give_back();
}

static volatile int is_over;

/* Comes to slow paths all the time. */
static void *churn_in_sandbox(void *argument) {
    static void *blocks[256];
    int i;
    forbid_threads(0);
    while (!is_over) {
        for (i = 0; i < 256; i++) blocks[i] = memset(malloc(64 * KIB), 1, 64 * KIB);
        for (i = 0; i < 256; i++) free(blocks[i]);
    }
    return argument;
}

/* However busy the others are. The thread that was made so has no filter, so that the program may put up one for all. */
static void a_thread_without_a_filter_starts_it(void) {
    pthread_t thread;
    int turn;
    char value[128];
    if (is_in_container()) return;
    CHECK(pthread_create(&thread, NULL, churn_in_sandbox, NULL) == 0, "no thread");
    sleep_ms(500);
    CHECK(!worker(), "there is a thread");
    for (turn = 0; turn < 2000 && !worker(); turn++) {
        free(opaque(malloc(300 * KIB)));
        sleep_ms(10);
    }
    wait_for_worker();
    CHECK(status_of(worker(), "Seccomp", value) && value[0] == '0', "the thread is filtered: %s", value);
    is_over = 1;
    pthread_join(thread, NULL);
    CHECK(filter_calls(NULL, 0, SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_TSYNC) == 0, "no filter for all threads");
}

/* `capget` stands for the calls that the program does not know of. */
static void it_makes_no_call_once_a_filter_reaches_it(void) {
    static const int unknown[] = {SYS_capget, SYS_close_range, SYS_clone, SYS_clone3};
    if (is_in_container()) return;
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 50, SMALL);
    wait_for_worker();
    CHECK(filter_calls(unknown, COUNT_OF(unknown), SECCOMP_RET_KILL_PROCESS, SECCOMP_FILTER_FLAG_TSYNC) == 0, "no filter");
    burst_free(&burst);
    burst_free_rest(&burst);
    free(malloc(100 * KIB));
    wait_for_no_worker(10);
    work_and_give_back();
}

static void a_filter_from_the_start_is_no_hindrance(void) {
    static const int unknown[] = {SYS_mincore, SYS_pidfd_getfd};
    if (!is_started_again()) {
        CHECK(filter_calls(unknown, COUNT_OF(unknown), SECCOMP_RET_KILL_PROCESS, 0) == 0, "no filter");
        start_again(__func__);
    }
    CHECK(is_filtered(), "the filter is gone");
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 100, SMALL);
    wait_for_worker();
    burst_free(&burst);
    wait_for_return(&burst);
}

/* Where the process answers `stratalloc-ctl` (`control`), a forked child gets a thread for that by its first call. */
static void a_forked_child_under_a_filter_gets_none(void) {
    int status;
    pid_t child;
    if (is_in_container()) return;
    CHECK(task_count() == 2, "%d threads: nobody answers", task_count());
    child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) {
        int i;
        forbid_threads(0);
        for (i = 0; i < 100; i++) {
            free(opaque(malloc(300 * KIB)));
            free(opaque(malloc(100 + 100 * (size_t)i)));
            sleep_ms(2);
        }
        CHECK(task_count() == 1, "%d threads", task_count());
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %x", status);
}

#define CASE(name) {#name, name}

static const struct test_case CASES[] = {
    CASE(a_thread_under_a_filter_starts_none),
    CASE(a_process_that_forbids_threads_gets_none),
    CASE(a_thread_without_a_filter_starts_it),
    CASE(it_makes_no_call_once_a_filter_reaches_it),
    CASE(a_filter_from_the_start_is_no_hindrance),
    CASE(a_forked_child_under_a_filter_gets_none),
    {NULL, NULL},
};

/* Ends without exit handlers: threads sleep for good. */
int main(int argc, char **argv) { _exit(run_cases(CASES, argc, argv)); }
