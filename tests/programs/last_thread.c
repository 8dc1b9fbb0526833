/* When the last second thread of a program has ended, the program is one without threads again (`single_threaded.c`):
 * within two seconds it has one thread, its own calls give memory back, and threads that it makes later have the
 * background thread beside them again. Threads may end in any way, and it keeps no process alive. */
#include "background.h"

#include <sys/prctl.h>

static struct burst burst;

static void *use_a_little(void *argument) {
    int i;
    for (i = 0; i < 100; i++) free(opaque(malloc(100 + 1000 * (size_t)i)));
    return argument;
}

/* When the last thread ended; 0: not yet. */
static volatile long ended;

static void join(pthread_t thread) {
    CHECK(pthread_join(thread, NULL) == 0, "cannot wait for a thread");
    ended = now_ms(CLOCK_MONOTONIC);
}

/* Makes a thread that allocates, and waits for its end. */
static void make_and_join(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use_a_little, NULL) == 0, "no thread");
    join(thread);
}

/* As a busy program does for a second. */
static void work(void) {
    int round, i;
    for (round = 0; round < 3; round++) {
        void *blocks[64];
        for (i = 0; i < 64; i++) blocks[i] = memset(malloc(MIB), 1, MIB);
        for (i = 0; i < 64; i++) free(blocks[i]);
        sleep_ms(300);
    }
}

/* Two seconds where the machine has nothing else to do. */
static void expect_one_thread_soon(void) {
    while (!ended) sleep_ms(10);
    while (task_count() > 1 && now_ms(CLOCK_MONOTONIC) < ended + 5000) sleep_ms(10);
    CHECK(task_count() == 1, "%d threads after %ld ms", task_count(), now_ms(CLOCK_MONOTONIC) - ended);
    dprintf(1, "one thread, %ld ms after the last second one ended\n", now_ms(CLOCK_MONOTONIC) - ended);
}

/* Uses memory and frees it all but little; a few calls a second give it back, and no thread comes. */
static void calls_give_back(void) {
    struct burst own = {0};
    int turn;
    burst_allocate(&own, 100, SMALL);
    burst_free(&own);
    for (turn = 0; turn < 150 && burst_left(&own) >= may_be_left(); turn++) {
        sleep_ms(200);
        free(malloc(50));
        CHECK(task_count() == 1, "%d threads", task_count());
    }
    CHECK(burst_left(&own) < may_be_left(), "%zu %% left after 30 s of rare calls", burst_left(&own));
    burst_free_rest(&own);
}

/* Much stays in use, so that the background thread would sleep rather than end. */
static void hold_much(void) { burst_allocate(&burst, 20, SMALL); }

static void a_program_whose_threads_have_ended_keeps_one(void) {
    hold_much();
    make_and_join();
    work();
    expect_one_thread_soon();
    calls_give_back();
    make_and_join();
    work();
    expect_one_thread_soon();
    calls_give_back();
}

/* After so many milliseconds. */
static void *wait_and_end(void *argument) {
    use_a_little(NULL);
    sleep_ms((long)argument);
    return argument;
}

/* The background thread has long gone to sleep when the other one ends. */
static void it_wakes_up_for_the_end_of_the_last_one(void) {
    pthread_t thread;
    hold_much();
    CHECK(pthread_create(&thread, NULL, wait_and_end, (void *)10000) == 0, "no thread");
    work();
    wait_for_worker();
    join(thread);
    expect_one_thread_soon();
}

/* Each where the kernel allows it at all: a child that has not allocated yet tries first. */
static int new_user_namespace(void) { return unshare(CLONE_NEWUSER); }

static int own_mount_namespace(void) {
    int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : setns(fd, CLONE_NEWNS);
}

static int in_child(int (*call)(void)) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) _exit(call() ? errno : 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status), "a child failed: %x", status);
    return WEXITSTATUS(status);
}

static void calls_for_one_thread_work_again(void) {
    int (*const calls[])(void) = {new_user_namespace, own_mount_namespace};
    enum { COUNT = sizeof calls / sizeof *calls };
    int allowed[COUNT], some = 0, i;
    for (i = 0; i < COUNT; i++) allowed[i] = in_child(calls[i]) == 0;
    hold_much();
    make_and_join();
    work();
    make_and_join();
    expect_one_thread_soon();
    for (i = COUNT - 1; i >= 0; i--) {
        if (!allowed[i]) continue;
        CHECK(calls[i]() == 0, "call %d: %s", i, strerror(errno));
        some++;
    }
    CHECK(some, "nothing is allowed here");
}

static void *use_and_wait(void *argument) {
    use_a_little(NULL);
    return only_wait(argument);
}

static void threads_made_again_bring_it_back(void) {
    struct burst more = {0};
    hold_much();
    make_and_join();
    work();
    expect_one_thread_soon();
    make_thread(use_and_wait, NULL);
    burst_allocate(&more, 100, SMALL);
    wait_for_worker();
    burst_free(&more);
    wait_for_return(&more);
}

/* What is freed right after the last one has ended goes back though no call comes any more: it is given back before the
 * background thread ends. So much is in use that `free` does not give back by itself. */
static void what_is_idle_goes_back_before_it_ends(void) {
    struct burst kept = {0}, freed = {0};
    pthread_t thread;
    burst_allocate(&kept, 100, LARGE);
    CHECK(pthread_create(&thread, NULL, wait_and_end, (void *)10000) == 0, "no thread");
    burst_allocate(&freed, 50, LARGE);
    wait_for_worker();
    join(thread);
    burst_free(&freed);
    burst_free_rest(&freed);
    wait_for_return(&freed);
    expect_one_thread_soon();
}

/* `decay_ms=60s`: not what is to stay. */
static void what_is_to_stay_for_longer_stays(void) {
    struct burst freed = {0};
    pthread_t thread;
    hold_much();
    CHECK(pthread_create(&thread, NULL, wait_and_end, (void *)1000) == 0, "no thread");
    burst_allocate(&freed, 50, LARGE);
    wait_for_worker();
    burst_free(&freed);
    burst_free_rest(&freed);
    join(thread);
    expect_one_thread_soon();
    CHECK(burst_left(&freed) > 50, "%zu %% left", burst_left(&freed));
}

/* One that makes threads all the time has the same background thread throughout. */
static void a_program_that_makes_threads_all_the_time_keeps_it(void) {
    long thread, begun;
    hold_much();
    make_thread(use_a_little, NULL);
    work();
    for (begun = now_ms(CLOCK_MONOTONIC); !worker() && now_ms(CLOCK_MONOTONIC) < begun + 10000;) {
        make_and_join();
        free(opaque(malloc(MIB)));
    }
    thread = wait_for_worker();
    for (begun = now_ms(CLOCK_MONOTONIC); now_ms(CLOCK_MONOTONIC) < begun + 3000;) {
        make_and_join();
        free(opaque(malloc(MIB)));
        sleep_ms(5);
    }
    CHECK(worker() == thread, "thread %ld, not %ld", worker(), thread);
    expect_one_thread_soon();
}

/* By the system call alone: nobody hears of it. */
static void *leave_by_the_kernel(void *argument) {
    use_a_little(NULL);
    sleep_ms(1000);
    ended = now_ms(CLOCK_MONOTONIC);
    syscall(SYS_exit, 0);
    return argument;
}

/* Found when the background thread comes to look, as it does while the program calls. */
static void an_end_that_nobody_hears_of_is_found(void) {
    struct burst more = {0};
    hold_much();
    make_thread(leave_by_the_kernel, NULL);
    burst_allocate(&more, 50, SMALL);
    wait_for_worker();
    burst_free(&more);
    expect_one_thread_soon();
    calls_give_back();
}

/* Where the last thread ends like that, the process does. Who runs it compares when. */
static void the_last_end_that_nobody_hears_of_ends_the_process(void) {
    struct burst more = {0};
    hold_much();
    make_thread(leave_by_the_kernel, NULL);
    burst_allocate(&more, 50, SMALL);
    wait_for_worker();
    burst_free(&more);
    dprintf(2, "%ld\n", now_ms(CLOCK_MONOTONIC));
    syscall(SYS_exit, 0);
}

/* A child that is made behind the C library's back finds no lock that a thread holds which it does not have, and gives
 * back by its calls. */
static void a_child_by_the_kernel_alone_is_sound(void) {
    int round;
    hold_much();
    make_and_join();
    work();
    expect_one_thread_soon();
    for (round = 0; round < 2; round++) {
        int status;
        long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        CHECK(child >= 0, "no child");
        if (child == 0) {
            calls_give_back();
            _exit(0);
        }
        CHECK(waitpid((pid_t)child, &status, 0) == child && status == 0, "the child failed: %x", status);
    }
}

#define CASE(name) {#name, name}

static const struct test_case CASES[] = {
    CASE(a_program_whose_threads_have_ended_keeps_one),
    CASE(it_wakes_up_for_the_end_of_the_last_one),
    CASE(calls_for_one_thread_work_again),
    CASE(threads_made_again_bring_it_back),
    CASE(what_is_idle_goes_back_before_it_ends),
    CASE(what_is_to_stay_for_longer_stays),
    CASE(a_program_that_makes_threads_all_the_time_keeps_it),
    CASE(an_end_that_nobody_hears_of_is_found),
    CASE(the_last_end_that_nobody_hears_of_ends_the_process),
    CASE(a_child_by_the_kernel_alone_is_sound),
    {NULL, NULL},
};

/* Ends without exit handlers: threads sleep for good. */
int main(int argc, char **argv) { _exit(run_cases(CASES, argc, argv)); }
