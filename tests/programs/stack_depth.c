/* How much of its caller's stack each call needs (docs/testing.md has the table). Every call of the allocator is made on
 * a stack of its own that was painted before: the lowest byte that has changed says how deep the call went. A page that
 * nobody may touch lies below. Each case is a path, or a family of calls, and prints the most that any of its calls took;
 * more than STACK_DEPTH_LIMIT (2,048 bytes if not set) is a failure.
 *
 * Calls go through pointers from `dlsym`, as the dynamic linker's work at the first call through a table would be
 * measured otherwise. */
#include "stack_depth.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CLASS_TOP (32 * KIB)
#define ROUNDS 3

static void *blocks[1 << 20];

/* Sizes of all classes and in between, the largest small one last. */
static size_t next_size(size_t size) {
    return size < 256 ? size + 16 : size + size / 8;
}

/* Before anything else allocates: keys of the program's own, so that the library's is beyond the first 32, for which
 * each thread has room. For others the C library allocates at a thread's first call. */
__attribute__((constructor(101))) static void use_up_keys(void) {
    const char *wanted = getenv("STACK_DEPTH_KEYS");
    int i, count = wanted ? atoi(wanted) : 0;
    pthread_key_t key;
    for (i = 0; i < count; i++) CHECK(pthread_key_create(&key, NULL) == 0, "no key");
}

/* The process's first call. Built with -DUSE_DLOPEN, this program runs on the system's allocator, so that nothing came
 * before it. */
static void first_call(void) {
    give(get(16));
}

static void *call_first(void *which) {
    switch ((int)(intptr_t)which) {
    case 0: give(get(24)); break;
    case 1: give(call("calloc", 3, 100, 0)); break;
    case 2: give(call("realloc", 0, 5000, 0)); break;
    case 3: give(call("aligned_alloc", 256, 300, 0)); break;
    case 4: give(get(100 * KIB)); break;
    case 5: give(blocks[0]); break;
    case 6: give(call("realloc", (long)blocks[1], 64, 0)); break;
    default: call("malloc_trim", 0, 0, 0);
    }
    return NULL;
}

static void first_call_of_a_thread(void) {
    intptr_t which;
    blocks[0] = get(40);
    blocks[1] = get(40 * KIB);
    for (which = 0; which < 8; which++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, call_first, (void *)which) == 0, "no thread");
        pthread_join(thread, NULL);
    }
}

/* Fills and empties magazines, transfer caches, spans and the page heap, size by size, so that every refill and every
 * flush is met: from the transfer cache, from spans, with fresh spans, with a page heap that grows; and home again. */
static void refill_and_flush(void) {
    size_t size, count, i;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        for (size = 1; size <= CLASS_TOP; size = next_size(size)) {
            count = 4 * MIB / (size + 64);
            for (i = 0; i < count; i++) blocks[i] = get(size);
            /* In an order that empties no span before most are nearly empty, and then in order. */
            for (i = 0; i < count; i++)
                if (i % 7) give(blocks[i]);
            for (i = 0; i < count; i += 7) give(blocks[i]);
        }
    }
}

/* What lies idle inside spans of one class goes back as another one grows. */
static void growth_is_paid_for(void) {
    size_t size, i, count = 24 * MIB / 512, freed = 0;
    for (i = 0; i < count; i++) blocks[i] = get(512);
    for (i = 0; i < count; i++)
        if (i % 64) give(blocks[i]), freed++;
    CHECK(freed > 0, "nothing to give back");
    for (size = 600; size < 8 * KIB; size *= 2)
        for (i = 0; i < 12 * MIB / size; i++) memset(get(size), 1, size);
}

static void large_and_direct(void) {
    static const size_t sizes[] = {33 * KIB, 100 * KIB, MIB, 2 * MIB, 3 * MIB + 1, 16 * MIB, 65 * MIB, 300 * MIB};
    size_t i;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            blocks[2 * i] = get(sizes[i]);
            blocks[2 * i + 1] = call("calloc", 1, sizes[i] < 20 * MIB ? sizes[i] : 64, 0);
        }
        for (i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) give(blocks[i]);
    }
    CHECK(!call("malloc", (long)(SIZE_MAX / 2 + 1), 0, 0), "beyond PTRDIFF_MAX");
}

static void resizes(void) {
    static const size_t sizes[] = {1, 100, 5000, 32 * KIB, 40 * KIB, 300 * KIB, 2 * MIB, 5 * MIB, 66 * MIB};
    size_t i, j, count = sizeof sizes / sizeof *sizes;
    for (i = 0; i < count; i++)
        for (j = 0; j < count; j++) {
            void *wall, *block = get(sizes[i]);
            block = call("realloc", (long)block, sizes[j], 0);
            /* What lies behind is taken, so that it moves. */
            wall = get(sizes[j]);
            block = call("realloc", (long)block, sizes[j] * 2, 0);
            block = call("reallocarray", (long)block, sizes[j] / 2 + 1, 1);
            CHECK(block && wall, "no memory");
            give(wall);
            give(block);
        }
    CHECK(!call("reallocarray", 0, -1, 16), "overflow");
    call("realloc", (long)get(10), 0, 0);
}

static void aligned(void) {
    size_t align, size;
    void *place;
    for (align = 8; align <= 8 * MIB; align *= 2)
        for (size = 1; size <= 70 * MIB; size = size * 9 + 5) {
            CHECK(call("posix_memalign", (long)&place, align, size) == NULL, "no memory");
            give(place);
            give(call("aligned_alloc", align, size, 0));
            give(call("memalign", align, size, 0));
            give(call("valloc", size, 0, 0));
            give(call("pvalloc", size, 0, 0));
        }
    call("posix_memalign", (long)&place, 3, 10);
}

static void operators(void) {
    static const char nothrow[8];
    size_t size;
    long tag = (long)nothrow;
    for (size = 1; size < 5 * MIB; size = size * 3 + 1) {
        call("_ZdlPv", (long)call("_Znwm", size, 0, 0), 0, 0);
        call("_ZdaPv", (long)call("_Znam", size, 0, 0), 0, 0);
        call("_ZdlPvm", (long)call("_Znwm", size, 0, 0), size, 0);
        call("_ZdaPvm", (long)call("_Znam", size, 0, 0), size, 0);
        call("_ZdlPvRKSt9nothrow_t", (long)call("_ZnwmRKSt9nothrow_t", size, tag, 0), tag, 0);
        call("_ZdaPvRKSt9nothrow_t", (long)call("_ZnamRKSt9nothrow_t", size, tag, 0), tag, 0);
        call("_ZdlPvSt11align_val_t", (long)call("_ZnwmSt11align_val_t", size, 64, 0), 64, 0);
        call("_ZdaPvSt11align_val_t", (long)call("_ZnamSt11align_val_t", size, 64, 0), 64, 0);
        call("_ZdlPvmSt11align_val_t", (long)call("_ZnwmSt11align_val_t", size, 64, 0), size, 64);
        call("_ZdaPvmSt11align_val_t", (long)call("_ZnamSt11align_val_t", size, 64, 0), size, 64);
        call("_ZdlPvSt11align_val_tRKSt9nothrow_t",
             (long)call("_ZnwmSt11align_val_tRKSt9nothrow_t", size, 4096, tag), 4096, tag);
        call("_ZdaPvSt11align_val_tRKSt9nothrow_t",
             (long)call("_ZnamSt11align_val_tRKSt9nothrow_t", size, 4096, tag), 4096, tag);
    }
}

static void sizes_and_sized_frees(void) {
    size_t size;
    for (size = 1; size < 5 * MIB; size = size * 3 + 1) {
        void *block = get(size);
        call("malloc_usable_size", (long)block, 0, 0);
        call("malloc_size", (long)block, 0, 0);
        call("malloc_good_size", size, 0, 0);
        call("nallocx", size, 6, 0);
        call("free_sized", (long)block, size, 0);
        call("sdallocx", (long)get(size), size, 0);
        call("free_aligned_sized", (long)call("aligned_alloc", 128, size, 0), 128, size);
        call("__libc_free", (long)call("__libc_malloc", size, 0, 0), 0, 0);
        call("cfree", (long)call("__libc_calloc", size, 1, 0), 0, 0);
    }
    give(NULL);
}

/* A new that fails asks the C++ run-time library for a handler. The test has that loaded; where it is not, the dynamic
 * linker is asked for it, on the caller's stack. */
static void operators_that_fail(void) {
    static const char nothrow[8];
    long tag = (long)nothrow;
    CHECK(!call("_ZnwmRKSt9nothrow_t", -1, tag, 0), "SIZE_MAX");
    CHECK(!call("_ZnamRKSt9nothrow_t", -1, tag, 0), "SIZE_MAX");
    CHECK(!call("_ZnwmSt11align_val_tRKSt9nothrow_t", -1, 64, tag), "SIZE_MAX");
    CHECK(!call("_ZnamSt11align_val_tRKSt9nothrow_t", -1, 64, tag), "SIZE_MAX");
}

/* Results that are structures go through a wrapper on the measured stack, whose frame is counted. */
static void *call_mallinfo(long function, long unused, long unused_too) {
    struct mallinfo now = ((struct mallinfo(*)(void))function)();
    return (void *)(now.arena + unused + unused_too);
}

static void *call_mallinfo2(long function, long unused, long unused_too) {
    struct mallinfo2 now = ((struct mallinfo2(*)(void))function)();
    return (void *)(now.arena + (size_t)(unused + unused_too));
}

/* One call, measured by itself. */
static void measure(const char *name, const void *a, size_t b, const void *c) {
    call(name, (long)a, (long)b, (long)c);
    fits(name);
}

static void figures(void) {
    static char text[64 * KIB], sink[64 * KIB];
    static int histogram[64];
    size_t i, value, length = sizeof value;
    int count;
    FILE *null = fopen("/dev/null", "w");
    CHECK(null && setvbuf(null, sink, _IOFBF, sizeof sink) == 0, "no /dev/null");
    CHECK(dup2(fileno(null), 2) == 2, "no stderr");
    for (i = 0; i < 20000; i++) blocks[i] = get(i % 3000);
    fits("blocks to count");
    call_function(call_mallinfo, (long)find("mallinfo"), 0, 0);
    call_function(call_mallinfo2, (long)find("mallinfo2"), 0, 0);
    fits("mallinfo, mallinfo2");
    measure("malloc_stats", NULL, 0, NULL);
    measure("malloc_info", NULL, (size_t)null, NULL);
    measure("stratalloc_metrics", text, sizeof text, NULL);
    measure("stratalloc_version", NULL, 0, NULL);
    measure("stratalloc_write_profile", "/dev/null", 0, NULL);
    /* A profile of what is live, in each of the three forms. */
    for (i = 0; i < 3; i++) measure("stratalloc_profile_write", NULL, i, "/dev/null");
    measure("stratalloc_profile_mark_base", NULL, 0, NULL);
    measure("MallocExtension_GetStats", text, sizeof text, NULL);
    measure("MallocExtension_MallocMemoryStats", &count, (size_t)&value, histogram);
    measure("MallocExtension_VerifyAllMemory", NULL, 0, NULL);
    measure("MallocExtension_VerifyMallocMemory", blocks[7], 0, NULL);
    measure("MallocExtension_GetAllocatedSize", blocks[7], 0, NULL);
    measure("MallocExtension_GetEstimatedAllocatedSize", (void *)1000, 0, NULL);
    measure("MallocExtension_GetOwnership", blocks[7], 0, NULL);
    measure("MallocExtension_GetThreadCacheSize", NULL, 0, NULL);
    measure("MallocExtension_GetNumericProperty", "generic.heap_size", (size_t)&value, NULL);
    measure("mallctl", "stats.allocated", (size_t)&value, &length);
    measure("mallopt", (void *)(long)M_TRIM_THRESHOLD, 1 << 20, NULL);
    measure("mallopt", (void *)-99L, 5, NULL);
}

/* Every way to give memory back inside a call, from magazines to whole huge pages. */
static void fill_heap(size_t from, size_t to) {
    size_t size, i, count = 0;
    for (size = from; size <= to; size = next_size(size) * 2)
        for (i = 0; i < 2 * MIB / (size + 16); i++) blocks[count++] = get(size);
    for (i = 0; i < count; i++)
        if (i % 16) give(blocks[i]);
    for (i = 0; i < 8; i++) blocks[i] = get(MIB);
    for (i = 0; i < 8; i++) give(blocks[i]);
}

static void trims(void) {
    fill_heap(16, CLASS_TOP);
    call("malloc_trim", 0, 0, 0);
    fill_heap(16, CLASS_TOP);
    call("MallocExtension_ReleaseToSystem", MIB, 0, 0);
    call("MallocExtension_ReleaseFreeMemory", 0, 0, 0);
    fill_heap(16, CLASS_TOP);
    call("MallocExtension_MarkThreadTemporarilyIdle", 0, 0, 0);
    call("MallocExtension_MarkThreadIdle", 0, 0, 0);
    call("MallocExtension_MarkThreadBusy", 0, 0, 0);
}

/* The test runs this with a decay time of a few milliseconds and no thread that would take the steps. */
static void decay_steps(void) {
    int i;
    for (i = 0; i < 40; i++) {
        fill_heap(16, CLASS_TOP);
        usleep(5000);
        give(get(200 * KIB));
    }
}

static void limits(void) {
    size_t i;
    fill_heap(16, CLASS_TOP);
    call("MallocExtension_SetMemoryLimit", 24 * MIB, 0, 0);
    for (i = 0; i < 40000; i++) blocks[i] = get(1000);
    give(get(3 * MIB));
    for (i = 0; i < 40000; i++) give(blocks[i]);
    fill_heap(16, CLASS_TOP);
    call("MallocExtension_SetMemoryLimit", 80 * MIB, 1, 0);
    for (i = 0; i < 1 << 18 && (blocks[i] = call("malloc", 1000, 0, 0)); i++) {
    }
    CHECK(i < 1 << 18, "the hard limit refuses nothing");
    CHECK(!call("calloc", 1, 90 * MIB, 0), "beyond the limit");
    CHECK(!call("realloc", (long)blocks[0], 90 * MIB, 0), "beyond the limit");
    CHECK(!call("aligned_alloc", 4096, 90 * MIB, 0), "beyond the limit");
}

static void out_of_address_space(void) {
    struct rlimit limit = {400 * MIB, 400 * MIB};
    void *place;
    size_t i;
    fill_heap(16, CLASS_TOP);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
    for (i = 0; i < 1 << 19 && (blocks[i] = call("malloc", 1500, 0, 0)); i++) {
    }
    CHECK(i < 1 << 19, "memory never ends");
    CHECK(!call("calloc", 1, 64 * MIB, 0), "beyond the limit");
    CHECK(!call("realloc", (long)blocks[0], 64 * MIB, 0), "beyond the limit");
    CHECK(call("posix_memalign", (long)&place, 4096, 64 * MIB) != NULL, "beyond the limit");
    while (i > 0) give(blocks[--i]);
}

static pthread_barrier_t filled_caches, end;

static void *fill_cache(void *unused) {
    void **own = malloc(4000 * sizeof *own);
    size_t size, i;
    for (size = 16; size < 8 * KIB; size *= 2) {
        for (i = 0; i < 4000; i++) own[i] = malloc(size);
        for (i = 0; i < 4000; i++) free(own[i]);
    }
    free(own);
    pthread_barrier_wait(&filled_caches);
    pthread_barrier_wait(&end);
    return unused;
}

/* A child that empties the caches of threads which it does not have, and a parent whose pages it shares. */
static void after_fork(void) {
    pthread_t threads[4];
    int i, status, ends[2];
    char byte = 0;
    size_t j, size;
    pid_t child;
    pthread_barrier_init(&filled_caches, NULL, 5);
    pthread_barrier_init(&end, NULL, 5);
    for (i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, fill_cache, NULL) == 0, "no thread");
    pthread_barrier_wait(&filled_caches);
    for (j = 0; j < 40000; j++) blocks[j] = get(16 + j % 2000);
    CHECK(pipe(ends) == 0, "no pipe");
    child = fork();
    CHECK(child >= 0, "no child");
    if (child == 0) {
        for (size = 1; size <= CLASS_TOP; size = next_size(size))
            for (j = 0; j < 200; j++) give(get(size));
        for (j = 0; j < 40000; j++) give(blocks[j]);
        fits("adopting orphans, in a forked child");
        /* Shares the parent's pages until that is done. */
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    for (i = 0; i < ROUNDS; i++)
        for (j = 0; j < 40000; j++) {
            give(blocks[j]);
            blocks[j] = get(16 + (j * 7) % 2000);
        }
    for (j = 0; j < 40000; j++) give(blocks[j]);
    close(ends[1]);
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child failed: %x", status);
    pthread_barrier_wait(&end);
    for (i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static pthread_key_t last_key;
static uintptr_t destructor_frame;

static void note_frame(void *unused) {
    (void)unused;
    destructor_frame = (uintptr_t)__builtin_frame_address(0);
}

/* Leaves a full cache of all classes behind, having used no more of its own stack than this. */
static void *end_with_a_full_cache(void *unused) {
    size_t size, i;
    for (size = 1; size <= CLASS_TOP; size = next_size(size)) {
        for (i = 0; i < 300; i++) blocks[i] = get(size);
        for (i = 0; i < 300; i++) give(blocks[i]);
    }
    pthread_setspecific(last_key, &last_key);
    return unused;
}

/* The destructor of a thread's cache runs on the thread's own stack, here of the least size that there may be. What it
 * takes is measured from where another key's destructor was called, so what the C library does around it counts too. */
static void thread_exit(void) {
    size_t bytes = (size_t)PTHREAD_STACK_MIN;
    void *stack = painted_stack(bytes);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_key_create(&last_key, note_frame);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, stack, bytes) == 0, "no stack");
    CHECK(pthread_create(&thread, &attributes, end_with_a_full_cache, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
    CHECK(destructor_frame, "no destructor ran");
    fits("what the thread does before its end");
    note_depth(destructor_frame - (uintptr_t)lowest_change(stack, bytes));
}

static uintptr_t handler_frame;

static void handle(int number) {
    size_t size, i;
    (void)number;
    handler_frame = (uintptr_t)__builtin_frame_address(0);
    for (size = 1; size <= CLASS_TOP; size = next_size(size)) {
        for (i = 0; i < 300; i++) blocks[i] = malloc(size);
        for (i = 0; i < 300; i++) free(blocks[i]);
    }
    blocks[0] = malloc(3 * MIB);
    blocks[0] = realloc(blocks[0], 100);
    free(blocks[0]);
}

/* A handler on the smallest stack that promises it 2,048 bytes: as many, and what the kernel needs to get there. */
static void alternate_signal_stack(void) {
    size_t least = getauxval(AT_MINSIGSTKSZ);
    size_t bytes = ((least ? least : MINSIGSTKSZ) + 2048 + 63) / 64 * 64;
    stack_t signal_stack = {.ss_sp = painted_stack(bytes), .ss_size = bytes};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&signal_stack, NULL) == 0, "no stack of %zu bytes", bytes);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "no handler");
    /* So that the handler does not come through the dynamic linker. */
    free(realloc(malloc(1), 2));
    CHECK(raise(SIGUSR1) == 0 && handler_frame, "no signal");
    note_depth(handler_frame - (uintptr_t)lowest_change(signal_stack.ss_sp, bytes));
}

static const struct test_case cases[] = {
    {"first_call", first_call},
    {"first_call_of_a_thread", first_call_of_a_thread},
    {"refill_and_flush", refill_and_flush},
    {"growth_is_paid_for", growth_is_paid_for},
    {"large_and_direct", large_and_direct},
    {"resizes", resizes},
    {"aligned", aligned},
    {"operators", operators},
    {"operators_that_fail", operators_that_fail},
    {"sizes_and_sized_frees", sizes_and_sized_frees},
    {"figures", figures},
    {"trims", trims},
    {"decay_steps", decay_steps},
    {"limits", limits},
    {"out_of_address_space", out_of_address_space},
    {"after_fork", after_fork},
    {"thread_exit", thread_exit},
    {"alternate_signal_stack", alternate_signal_stack},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    int result;
    set_up();
    if (argc == 2 && argv[1][0] != '-' && strncmp(argv[1], "first_call", 10) != 0) {
        give(get(1));
        fits("the process's first call");
    }
    result = run_cases(cases, argc, argv);
    if (deepest_now() > 0) fits(argv[1]);
    return result;
}
