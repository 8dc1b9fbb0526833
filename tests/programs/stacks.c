/* Odd stacks under a tracing allocator: each call of malloc walks its caller's stack, whatever that is. Run
 * with leak_report=trace; the cases pass if nothing crashes or hangs. What they keep, from functions named
 * `kept_...`, goes to the profile that the variable STACKS_PROFILE names. */
#include "check.h"
#include "stratalloc.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

/* Volatile, so that the calls are none that the compiler turns into jumps. */
static void *volatile kept[16];
static size_t kept_count;

static void write_profile(void) {
    const char *path = getenv("STACKS_PROFILE");
    CHECK(!path || stratalloc_write_profile(path) == 0, "no profile");
}

__attribute__((noinline)) static void kept_by_handler(int signal) {
    kept[kept_count++] = malloc(1000 + (size_t)signal);
}

/* The walk leads from a handler on a stack of its own to what was interrupted. (That malloc was not under way
 * then is what the program knows, and POSIX does not.) */
__attribute__((noinline)) static void interrupted(void) {
    raise(SIGUSR1);
    __asm__ volatile("" : : : "memory");
}

static void signal_stack(void) {
    static char room[64 * 1024];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room, .ss_flags = 0};
    struct sigaction action = {.sa_handler = kept_by_handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0, "no handler");
    interrupted();
    CHECK(kept_count == 1, "the handler did not run");
    write_profile();
}

static ucontext_t outside, inside;

__attribute__((noinline)) static void kept_by_coroutine(void) {
    kept[kept_count++] = malloc(2000);
    swapcontext(&inside, &outside);
    kept[kept_count++] = malloc(2000);
}

/* A stack made by hand, with nothing mapped behind its end. */
static void coroutine(void) {
    size_t size = 64 * KIB;
    char *room = mmap(NULL, size + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED && mprotect(room + 4096, size, PROT_READ | PROT_WRITE) == 0, "no stack");
    CHECK(getcontext(&inside) == 0, "no context");
    inside.uc_stack.ss_sp = room + 4096;
    inside.uc_stack.ss_size = size;
    inside.uc_link = &outside;
    makecontext(&inside, kept_by_coroutine, 0);
    swapcontext(&outside, &inside);
    swapcontext(&outside, &inside);
    CHECK(kept_count == 2, "the coroutine did not end");
    write_profile();
}

#ifdef __x86_64__
/* Code made at run time: no tables know it. The frame-pointer register holds what it likes. */
static void run_generated(uint64_t frame_pointer) {
    static const unsigned char code[] = {
        0x55,                               /* push rbp */
        0x48, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rbp, frame_pointer */
        0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rax, malloc */
        0xbf, 0x64, 0, 0, 0,                /* mov edi, 100 */
        0xff, 0xd0,                         /* call rax */
        0x5d,                               /* pop rbp */
        0xc3,                               /* ret */
    };
    void *(*call)(void);
    uint64_t target = (uint64_t)(uintptr_t)malloc;
    unsigned char *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED, "no page");
    memcpy(page, code, sizeof code);
    memcpy(page + 3, &frame_pointer, 8);
    memcpy(page + 13, &target, 8);
    *(void **)&call = page;
    free(call());
    munmap(page, 4096);
}

static void generated_code(void) {
    uint64_t local[2] = {0, 0};
    uint64_t pointers[] = {0, 1, 8, 0x1234567, UINT64_MAX, UINT64_MAX - 7, 0xffff800000000000u,
                           0x7fffffffeff8u, (uint64_t)(uintptr_t)local};
    size_t i;
    /* A frame that names itself as its caller's: a walk that follows it never ends. */
    local[0] = (uint64_t)(uintptr_t)local;
    local[1] = (uint64_t)(uintptr_t)run_generated;
    for (i = 0; i < sizeof pointers / sizeof *pointers; i++) run_generated(pointers[i]);
}
#else
static void generated_code(void) {}
#endif

__attribute__((noinline)) static size_t deep(size_t depth) {
    void *block = depth % 64 ? NULL : malloc(depth);
    size_t below = depth ? deep(depth - 1) : 0;
    free(block);
    return below + 1;
}

static void deep_recursion(void) { CHECK(deep(20000) == 20001, "wrong depth"); }

static volatile int stop;

static void *allocate(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed;
    while (!stop) free(opaque(malloc(random_size(&random, 16))));
    return NULL;
}

/* The walks of other threads go on while the loader holds its locks, and end. */
static void while_libraries_come_and_go(void) {
    pthread_t threads[3];
    size_t i;
    for (i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate, (void *)(i + 1)) == 0, "no thread");
    for (i = 0; i < 60; i++) {
        void *library = dlopen(i % 2 ? "libresolv.so.2" : "libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
        CHECK(library, "%s", dlerror());
        dlclose(library);
    }
    stop = 1;
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

/* A child has the parent's tables, in order, and can go on recording and write them. */
static void while_forking(void) {
    pthread_t threads[3];
    size_t i;
    for (i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate, (void *)(i + 1)) == 0, "no thread");
    for (i = 0; i < 40; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "no child");
        if (child == 0) {
            uint64_t random = i;
            int round;
            for (round = 0; round < 100; round++) free(opaque(malloc(random_size(&random, 16))));
            _exit(stratalloc_write_profile("/dev/null") ? 1 : 0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %d", status);
    }
    stop = 1;
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

/* Every call that changes a block keeps the records right: nothing is left when all is freed. */
static void resizing(void) {
    size_t sizes[] = {10, 100, 90, 5000, 40000, 60000, 3 * MIB, 70 * MIB, 90 * MIB, 1000, 16};
    void *block = NULL;
    size_t i;
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block = opaque(realloc(block, sizes[i]));
        CHECK(block, "no memory");
    }
    kept[0] = block;
    free(opaque(aligned_alloc(4096, 4096)));
    free(opaque(calloc(10, 10)));
    write_profile();
}

static const struct test_case cases[] = {
    {"signal_stack", signal_stack},
    {"coroutine", coroutine},
    {"generated_code", generated_code},
    {"deep_recursion", deep_recursion},
    {"while_libraries_come_and_go", while_libraries_come_and_go},
    {"while_forking", while_forking},
    {"resizing", resizing},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
