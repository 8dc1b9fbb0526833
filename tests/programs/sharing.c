/* What a process does that has forked, while its child shares its pages (C5.3): how many are copied, when it
 * stops caring, and that nothing else changes. */
#include "check.h"
#include "blocks.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BLOCKS (48 * 1024)
#define REPLACED 4000
#define WORKERS 4

static struct block *blocks[BLOCKS];
static uint64_t state = 11;

static struct block *make(uint64_t *random) {
    return make_sized(random, 48 + next_random(random) % 1937);
}

static void fill_heap(void) {
    size_t i;
    for (i = 0; i < BLOCKS; i++) blocks[i] = make(&state);
}

/* A child that shares our pages until it is killed; with `program` it runs that instead. */
static pid_t start_child(const char *program) {
    pid_t parent = getpid();
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child > 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* It may have ended before. */
    if (getppid() != parent) _exit(0);
    if (program) execlp(program, program, "60", (char *)NULL);
    for (;;) pause();
}

static void end_child(pid_t child) {
    int status;
    CHECK(kill(child, SIGKILL) == 0, "kill");
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
}

/* Whether a block from before the fork is handed out again once it was freed. */
static int reuses(size_t place) {
    struct block *old = blocks[place];
    size_t size = old->size;
    uintptr_t address = (uintptr_t)old;
    check_and_free(old);
    blocks[place] = make_sized(&state, size);
    return (uintptr_t)blocks[place] == address;
}

/* Waits until blocks are handed out again, at most so long. */
static void wait_until_it_ends(int ms) {
    int waited;
    for (waited = 0; !reuses((size_t)waited); waited += 10) {
        CHECK(waited < ms, "still spares shared pages after %d ms", waited);
        usleep(10000);
    }
}

static long copied_by_replacing(void) {
    size_t i;
    long before;
    pid_t child;
    fill_heap();
    child = start_child(NULL);
    before = faults();
    for (i = 0; i < REPLACED; i++) {
        size_t place = next_random(&state) % BLOCKS;
        struct block *block = blocks[place];
        blocks[place] = NULL;
        /* Not checked: that would not copy, either, but take faults of its own. */
        free(block);
    }
    for (i = 0; i < BLOCKS; i++)
        if (!blocks[i]) blocks[i] = make(&state);
    before = faults() - before;
    end_child(child);
    for (i = 0; i < BLOCKS; i++) check_and_free(blocks[i]);
    return before;
}

/* A page takes four of the new ones. Others are copied for records. */
static void few_pages_are_copied(void) {
    long copied = copied_by_replacing();
    CHECK(copied < REPLACED / 2, "%ld pages", copied);
}

static void without_it_many_are(void) {
    long copied = copied_by_replacing();
    CHECK(copied > REPLACED * 3 / 4, "%ld pages", copied);
}

static void it_ends_with_the_child(void) {
    pid_t child;
    int i;
    fill_heap();
    child = start_child(NULL);
    for (i = 0; i < 100; i++) {
        CHECK(!reuses((size_t)i), "a block on a shared page is handed out");
        usleep(10000);
    }
    end_child(child);
    wait_until_it_ends(5000);
}

static void it_ends_when_the_child_runs_another_program(void) {
    pid_t child;
    fill_heap();
    child = start_child("sleep");
    wait_until_it_ends(5000);
    end_child(child);
}

/* Blocks that come and go save nothing: such a thread goes back to the ordinary way. */
static void it_ends_where_it_saves_nothing(void) {
    pid_t child;
    int i;
    fill_heap();
    child = start_child(NULL);
    CHECK(!reuses(0), "not in force");
    for (i = 0; i < 10000; i++) free(opaque(malloc(100)));
    /* The first free of a size that the thread has no room for returns to its span in any case. */
    for (i = 1; !reuses((size_t)i); i++)
        CHECK(i < 500, "still in force after 10,000 frees that save nothing");
    end_child(child);
}

/* What waits on shared pages is bounded: here all of the heap is replaced, three times. */
static void it_ends_at_a_quarter_of_the_heap(void) {
    size_t i, before, after;
    pid_t child;
    fill_heap();
    before = resident_bytes();
    child = start_child(NULL);
    for (i = 0; i < 3 * BLOCKS; i++) {
        size_t place = next_random(&state) % BLOCKS;
        check_and_free(blocks[place]);
        blocks[place] = make(&state);
    }
    after = resident_bytes();
    CHECK(after < before + before * 2 / 5, "%zu bytes became %zu", before, after);
    end_child(child);
}

static void small_heaps_are_left_alone(void) {
    pid_t child;
    size_t i;
    for (i = 0; i < 1000; i++) blocks[i] = make(&state);
    child = start_child(NULL);
    CHECK(reuses(0), "a freed block is not handed out again");
    end_child(child);
}

/* A block that went home at once carries no mark; that it is freed twice is found all the same. */
static void a_double_free_is_found(void) {
    fill_heap();
    start_child(NULL);
    CHECK(!reuses(0), "not in force");
    free(blocks[1]);
    free(opaque(blocks[1]));
    CHECK(0, "freed twice");
}

/* The same for a block that was freed right before the fork. */
static void a_double_free_across_the_fork_is_found(void) {
    fill_heap();
    free(blocks[1]);
    start_child(NULL);
    free(opaque(blocks[1]));
    CHECK(0, "freed twice");
}

static _Atomic(struct block *) slots[8192];
static atomic_int stop;

static void *work(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        struct block *block = make(&random);
        if (next_random(&random) % 8 == 0) block = realloc(block, sizeof *block + block->size);
        check_and_free(atomic_exchange(&slots[next_random(&random) % 8192], block));
    }
    return NULL;
}

static void check_all_in_child(void) {
    uint64_t random = 5;
    size_t i;
    alarm(60 * slowness());
    for (i = 0; i < 8192; i++) check_and_free(atomic_exchange(&slots[i], NULL));
    for (i = 0; i < BLOCKS; i += 5) {
        check_and_free(blocks[i]);
        blocks[i] = make(&random);
    }
    exit(0);
}

/* Threads that replace blocks, and start and end, while one forks: children of which some live on, some at once
 * run another program, and some use all memory; each verifies all that it inherited. */
static void threads_replace_blocks_and_one_forks(void) {
    pthread_t threads[WORKERS];
    pid_t held = 0;
    uintptr_t i;
    int round, status;
    fill_heap();
    for (round = 0; round < 30; round++) {
        pid_t child;
        if (round % 10 == 0) {
            atomic_store(&stop, 0);
            for (i = 0; i < WORKERS; i++)
                CHECK(!pthread_create(&threads[i], NULL, work, (void *)(i + 1)), "thread");
        }
        if (round % 10 == 1) held = start_child(NULL);
        child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0 && round % 3 == 0) execlp("true", "true", (char *)NULL);
        if (child == 0) check_all_in_child();
        for (i = 0; i < 500; i++) {
            size_t place = next_random(&state) % BLOCKS;
            check_and_free(blocks[place]);
            blocks[place] = make(&state);
        }
        CHECK(waitpid(child, &status, 0) == child, "waitpid");
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        if (round % 10 == 8) end_child(held);
        if (round % 10 == 9) {
            atomic_store(&stop, 1);
            for (i = 0; i < WORKERS; i++) CHECK(!pthread_join(threads[i], NULL), "join");
        }
    }
    for (i = 0; i < 8192; i++) check_and_free(atomic_exchange(&slots[i], NULL));
    for (i = 0; i < BLOCKS; i++) check_and_free(blocks[i]);
}

static const struct test_case cases[] = {
    {"few_pages_are_copied", few_pages_are_copied},
    {"without_it_many_are", without_it_many_are},
    {"it_ends_with_the_child", it_ends_with_the_child},
    {"it_ends_when_the_child_runs_another_program", it_ends_when_the_child_runs_another_program},
    {"it_ends_where_it_saves_nothing", it_ends_where_it_saves_nothing},
    {"it_ends_at_a_quarter_of_the_heap", it_ends_at_a_quarter_of_the_heap},
    {"small_heaps_are_left_alone", small_heaps_are_left_alone},
    {"a_double_free_is_found", a_double_free_is_found},
    {"a_double_free_across_the_fork_is_found", a_double_free_across_the_fork_is_found},
    {"threads_replace_blocks_and_one_forks", threads_replace_blocks_and_one_forks},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
