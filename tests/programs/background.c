/* Memory goes back without being asked in a process with threads (C1.1, C2.2), and the thread that sees to it
 * is no burden: it is there when it is needed and not before, ends when next to nothing is in use, sleeps
 * without waking up while much is, and is not started where it does harm. */
#include "background.h"
#include "filter.h"

#define SLEEPERS 100

static struct burst burst;

static void goes_back_in_silence(int large) {
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 100, large);
    burst_free(&burst);
    wait_for_return(&burst);
}

static void memory_goes_back_in_silence(void) { goes_back_in_silence(SMALL); }
static void large_blocks_go_back_in_silence(void) { goes_back_in_silence(LARGE); }

static void *call_and_wait(void *argument) {
    free(malloc(100));
    return only_wait(argument);
}

/* What was allocated when there was one thread is counted when there are more: the new one calls once. The program's
 * own calls have found before that there is nothing to do. */
static void goes_back_that_is_older_than_the_thread(int large) {
    int turn;
    burst_allocate(&burst, 100, large);
    for (turn = 0; turn < 30; turn++) {
        free(malloc(50));
        sleep_ms(200);
    }
    make_thread(call_and_wait, NULL);
    sleep_ms(100);
    burst_free(&burst);
    wait_for_return(&burst);
}

static void memory_older_than_the_thread_goes_back(void) {
    goes_back_that_is_older_than_the_thread(SMALL);
}
static void large_blocks_older_than_the_thread_go_back(void) {
    goes_back_that_is_older_than_the_thread(LARGE);
}

/* No call of any thread asks for memory any more: `free` alone, called by the program, brings the thread. */
static void goes_back_by_free_alone(int large) {
    burst_allocate(&burst, 100, large);
    make_thread(only_wait, NULL);
    sleep_ms(100);
    burst_free(&burst);
    wait_for_return(&burst);
}

static void memory_goes_back_by_free_alone(void) { goes_back_by_free_alone(SMALL); }
static void large_blocks_go_back_by_free_alone(void) { goes_back_by_free_alone(LARGE); }

/* Where it was freed before there was a second thread, making that thread is the last call. */
static void goes_back_that_was_freed_before_the_thread(int large) {
    burst_allocate(&burst, 100, large);
    burst_free(&burst);
    make_thread(only_wait, NULL);
    wait_for_return(&burst);
}

static void memory_freed_before_the_thread_goes_back(void) {
    goes_back_that_was_freed_before_the_thread(SMALL);
}
static void large_blocks_freed_before_the_thread_go_back(void) {
    goes_back_that_was_freed_before_the_thread(LARGE);
}

/* The thread has gone to sleep, or has ended, when the memory is freed. */
static void goes_back_after_a_long_silence(int large) {
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 100, large);
    sleep_ms(8000);
    burst_free(&burst);
    wait_for_return(&burst);
}

static void memory_goes_back_after_a_long_silence(void) { goes_back_after_a_long_silence(SMALL); }
static void large_blocks_go_back_after_a_long_silence(void) { goes_back_after_a_long_silence(LARGE); }

static void *free_and_wait(void *argument) {
    burst_free(argument);
    return only_wait(NULL);
}

/* Another thread frees than the one that allocated, and falls silent with what its magazines hold. */
static void memory_that_another_thread_frees_goes_back(void) {
    burst_allocate(&burst, 100, SMALL);
    make_thread(free_and_wait, &burst);
    wait_for_return(&burst);
}

/* A process that had threads, all of which have ended, is served all the same. */
static void memory_goes_back_where_threads_were(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, return_at_once, malloc(100)) == 0, "no thread");
    burst_allocate(&burst, 100, SMALL);
    pthread_join(thread, NULL);
    burst_free(&burst);
    wait_for_return(&burst);
}

/* `background=off`: no thread is made; calls take the steps. */
static void without_the_thread_calls_give_back(void) {
    int turn;
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 100, SMALL);
    burst_free(&burst);
    for (turn = 0; turn < 150 && burst_left(&burst) >= may_be_left(); turn++) {
        sleep_ms(200);
        free(malloc(50));
        CHECK(!worker(), "there is a thread");
    }
    CHECK(burst_left(&burst) < may_be_left(), "%zu %% left after 30 s of rare calls", burst_left(&burst));
    CHECK(!worker() && task_count() == 2, "%d threads", task_count());
}

/* `background=on`: a process without threads has one, too. */
static void asked_for_it_is_there_without_threads(void) {
    int calls;
    burst_allocate(&burst, 100, SMALL);
    /* It is started by a call once a step is due, however soon the burst is over. */
    for (calls = 0; calls < 500 && !worker(); calls++) {
        free(opaque(malloc(300 * KIB)));
        sleep_ms(10);
    }
    wait_for_worker();
    CHECK(task_count() == 2, "%d threads", task_count());
    burst_free(&burst);
    wait_for_return(&burst);
}

static void *fill_magazines_and_wait(void *argument) {
    void *blocks[400];
    size_t size;
    for (size = 64; size < 8192; size *= 2) {
        int i, round, count = size > 1024 ? 40 : 400;
        for (round = 0; round < 10; round++) {
            for (i = 0; i < count; i++) blocks[i] = malloc(size);
            for (i = 0; i < count; i++) free(blocks[i]);
        }
    }
    return only_wait(argument);
}

static void ends(void) {
    int i;
    for (i = 0; i < 8; i++) make_thread(fill_magazines_and_wait, NULL);
    burst_allocate(&burst, 100, SMALL);
    wait_for_worker();
    burst_free(&burst);
    burst_free_rest(&burst);
    burst_allocate(&burst, 64, LARGE);
    burst_free(&burst);
    burst_free_rest(&burst);
    free(malloc(100));
    wait_for_no_worker(30);
    sleep_ms(1000);
    CHECK(!worker(), "it comes back for nothing");
}

static void the_thread_ends(void) { ends(); }

/* As in a container that refuses `membarrier`: under a filter from the start. */
static void the_thread_ends_without_membarrier(void) {
    static const int refused[] = {SYS_membarrier};
    if (!is_started_again()) {
        CHECK(filter_calls(refused, COUNT_OF(refused), SECCOMP_RET_ERRNO | EPERM, 0) == 0, "no filter");
        start_again(__func__);
    }
    ends();
}

static long wake_ups(long thread) {
    char value[128];
    CHECK(status_of(thread, "voluntary_ctxt_switches", value), "the thread ended");
    return atol(value);
}

/* While much is in use the thread stays, asleep, and is there again when memory is freed. */
static void the_thread_sleeps_while_much_is_in_use(void) {
    struct burst more = {0};
    long thread, before = -1, begun, silent_since = 0;
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 100, SMALL);
    burst_allocate(&more, 50, SMALL);
    thread = wait_for_worker();
    burst_free(&more);
    begun = now_ms(CLOCK_MONOTONIC);
    for (;;) {
        long now = now_ms(CLOCK_MONOTONIC), count = wake_ups(thread);
        if (count != before) silent_since = now;
        before = count;
        if (now - silent_since >= 5000) break;
        CHECK(now - begun < 40000, "the thread still wakes up after 40 s: %ld times", count);
        sleep_ms(100);
    }
    CHECK(burst_left(&more) < may_be_left(), "it sleeps and leaves %zu %%", burst_left(&more));
    burst_free(&burst);
    wait_for_return(&burst);
    CHECK(worker() != thread || wake_ups(thread) != before, "memory went back, but by whom?");
}

/* A child has no thread before it makes one of its own. */
static void a_forked_child_has_its_own(void) {
    int status;
    pid_t child;
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 50, SMALL);
    wait_for_worker();
    child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) {
        struct burst own = {.before = burst.before};
        CHECK(task_count() == 1, "%d threads survived the fork", task_count());
        burst_free(&burst);
        burst_allocate(&own, 50, SMALL);
        sleep_ms(100);
        burst_free(&own);
        free(malloc(100));
        sleep_ms(500);
        CHECK(task_count() == 1, "%d threads in a child that made none", task_count());
        make_thread(call_and_wait, NULL);
        burst_free_rest(&own);
        burst_allocate(&own, 50, SMALL);
        wait_for_worker();
        burst_free(&own);
        wait_for_return(&own);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %x", status);
    CHECK(worker(), "the parent lost its thread");
    burst_free(&burst);
    wait_for_return(&burst);
}

/* What a child does that must not start a thread: more than the process has done so far. Allocates no large
 * stack: the child may share the parent's. */
static void work_in_a_child(void) {
    static struct burst own;
    int i;
    own.before = 1;
    burst_allocate(&own, 64, SMALL);
    burst_free(&own);
    for (i = 0; i < 40; i++) {
        free(malloc(300000));
        sleep_ms(2);
    }
    burst_free_rest(&own);
}

/* A child that shares its parent's memory: a thread would be one of the child's, and die with it. */
static void none_starts_in_a_vfork_child(void) {
    static volatile int in_child = -1;
    int round;
    make_thread(only_wait, NULL);
    for (round = 0; round < 5; round++) {
        int status;
        pid_t child = vfork();
        if (child == 0) {
            work_in_a_child();
            in_child = task_count();
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %x", status);
        CHECK(in_child == 1, "%d threads in the child", in_child);
        CHECK(!worker(), "a thread of the child's in the parent");
    }
    /* The parent goes on, with a thread of its own. */
    burst.before = 1;
    burst_allocate(&burst, 100, SMALL);
    wait_for_worker();
    burst_free(&burst);
    wait_for_return(&burst);
}

/* A child that was made behind the C library's back, which still knows the parent's threads. */
static void none_starts_in_a_raw_clone(void) {
    int round;
    make_thread(only_wait, NULL);
    burst_allocate(&burst, 20, SMALL);
    wait_for_worker();
    for (round = 0; round < 5; round++) {
        int status;
        long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        CHECK(child >= 0, "no child");
        if (child == 0) {
            work_in_a_child();
            CHECK(task_count() == 1, "%d threads in the child", task_count());
            _exit(0);
        }
        CHECK(waitpid((pid_t)child, &status, 0) == child && status == 0, "the child failed: %x", status);
    }
    burst_free(&burst);
    wait_for_return(&burst);
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
    return only_wait(NULL);
}

static void *only_sleep(void *argument) {
    char stack[20 * 1024];
    memset(stack, 1, sizeof stack);
    opaque(stack);
    pthread_barrier_wait(&all_done);
    return only_wait(argument);
}

/* What `SLEEPERS` threads hold that have run `body`, as soon as it is less than `goal`, or after `most_ms`. */
static size_t resident_with(void *(*body)(void *), size_t goal, long most_ms) {
    size_t before = resident_bytes();
    long waited;
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
    for (waited = 0; waited < most_ms && resident_bytes() - before >= goal; waited += 100) sleep_ms(100);
    return resident_bytes() - before;
}

static void sleeping_threads_hold_next_to_nothing(void) {
    size_t bare = resident_with(only_sleep, 0, 100);
    /* Eight seconds where the machine has nothing else to do. */
    size_t worked = resident_with(work_and_sleep, bare + SLEEPERS * 30 * KIB, 30000);
    size_t each = worked > bare ? (worked - bare) / SLEEPERS : 0;
    CHECK(each < 32 * KIB, "%zu bytes for each sleeping thread", each);
}

#define CASE(name) {#name, name}

static const struct test_case CASES[] = {
    CASE(memory_goes_back_in_silence),
    CASE(large_blocks_go_back_in_silence),
    CASE(memory_older_than_the_thread_goes_back),
    CASE(large_blocks_older_than_the_thread_go_back),
    CASE(memory_goes_back_by_free_alone),
    CASE(large_blocks_go_back_by_free_alone),
    CASE(memory_freed_before_the_thread_goes_back),
    CASE(large_blocks_freed_before_the_thread_go_back),
    CASE(memory_goes_back_after_a_long_silence),
    CASE(large_blocks_go_back_after_a_long_silence),
    CASE(memory_that_another_thread_frees_goes_back),
    CASE(memory_goes_back_where_threads_were),
    CASE(without_the_thread_calls_give_back),
    CASE(asked_for_it_is_there_without_threads),
    CASE(the_thread_ends),
    CASE(the_thread_ends_without_membarrier),
    CASE(the_thread_sleeps_while_much_is_in_use),
    CASE(a_forked_child_has_its_own),
    CASE(none_starts_in_a_vfork_child),
    CASE(none_starts_in_a_raw_clone),
    CASE(sleeping_threads_hold_next_to_nothing),
    {NULL, NULL},
};

/* Ends without exit handlers: threads sleep for good. */
int main(int argc, char **argv) { _exit(run_cases(CASES, argc, argv)); }
