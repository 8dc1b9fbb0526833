/* A shared object that defines every name that the library imports, or ever did, as its own function. Each
 * does what MODE says and goes on to the function that it stands for, which was looked up in advance:
 *
 *   MODE_ALLOCATE  allocates and frees;
 *   MODE_LOCK      takes the lock of all of them, and allocates under it;
 *   MODE_FORK      forks, a few times in the life of a process; the child allocates and ends;
 *   MODE_ABORT     ends the process, if the library is who called.
 *
 * The names come from the test, as lines NAME(clock_gettime) in the file that NAMES names. Entry points are
 * assembly that keeps every register an argument can be in, so that no type needs to be known. For x86-64. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = {
#define NAME(name) #name,
#include NAMES
#undef NAME
};

enum { COUNT = sizeof names / sizeof *names };

__attribute__((visibility("hidden"))) void *interposed[COUNT];
__attribute__((visibility("hidden"))) void interposer_enter(unsigned number, uintptr_t caller);

__attribute__((unused)) static long raw(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

/* What a function that is nowhere else does: nothing. */
static long nothing(void)
{
    return 0;
}

static void *(*look_up)(void *, const char *);
static uintptr_t library_start, library_end;

static int find_library(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    int found = 0;
    for (const char *at = info->dlpi_name; *at && !found; at++) {
        const char *want = "libstratalloc", *got = at;
        while (*want && *want == *got)
            want++, got++;
        found = !*want;
    }
    if (!found)
        return 0;
    library_start = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD)
            library_end = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    return 1;
}

static void resolve(unsigned number)
{
    if (!look_up) {
        look_up = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
        if (!look_up)
            look_up = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    }
    interposed[number] = look_up ? look_up(RTLD_NEXT, names[number]) : NULL;
}

static int ready;

__attribute__((constructor)) static void start(void)
{
    for (unsigned number = 0; number < COUNT; number++) {
        resolve(number);
        if (!interposed[number])
            interposed[number] = (void *)nothing;
    }
    dl_iterate_phdr(find_library, NULL);
    __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
}

static _Thread_local int inside __attribute__((tls_model("initial-exec")));

static inline void allocate(void)
{
    char *volatile block = malloc(100);
    if (block)
        block[99] = 1;
    free(block);
    block = malloc(40000);
    free(block);
}

#if defined(MODE_LOCK)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A forked child does not have the thread that may have held it. */
static void free_in_child(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, free_in_child);
}

static void act(unsigned number, uintptr_t caller)
{
    (void)number, (void)caller;
    pthread_mutex_lock(&lock);
    allocate();
    pthread_mutex_unlock(&lock);
}
#elif defined(MODE_FORK)
static int budget = 24;

static void act(unsigned number, uintptr_t caller)
{
    (void)number;
    int from_library = caller >= library_start && caller < library_end;
    /* The program's own calls are many; some of the forks are kept for the library's. */
    if (inside || __atomic_load_n(&budget, __ATOMIC_RELAXED) <= (from_library ? 0 : 12))
        return;
    __atomic_fetch_sub(&budget, 1, __ATOMIC_RELAXED);
    inside = 1;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 50; i++)
            allocate();
        raw(SYS_exit_group, 0, 0, 0, 0);
    }
    if (child > 0)
        raw(SYS_wait4, child, 0, 0, 0);
    inside = 0;
}
#elif defined(MODE_ABORT)
/* What the library may call at times when it holds no lock; the table in docs/imports.md says so. */
static const char *const allowed[] = {
#define NAME(name) #name,
#include ALLOWED
#undef NAME
    0,
};

static void act(unsigned number, uintptr_t caller)
{
    if (caller < library_start || caller >= library_end)
        return;
    for (int i = 0; allowed[i]; i++) {
        const char *a = allowed[i], *b = names[number];
        while (*a && *a == *b)
            a++, b++;
        if (*a == *b)
            return;
    }
    long length = 0;
    while (names[number][length])
        length++;
    raw(SYS_write, 2, (long)"the library called ", 19, 0);
    raw(SYS_write, 2, (long)names[number], length, 0);
    raw(SYS_write, 2, (long)"\n", 1, 0);
    raw(SYS_exit_group, 9, 0, 0, 0);
}
#else
static void act(unsigned number, uintptr_t caller)
{
    (void)number, (void)caller;
    allocate();
}
#endif

void interposer_enter(unsigned number, uintptr_t caller)
{
    if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        act(number, caller);
    else if (!interposed[number] && !inside) {
        inside = 1;
        resolve(number);
        inside = 0;
    }
}

/* The number is in r11, the caller's address on the stack; all registers that arguments can be in are kept.
 * A function that cannot be looked up yet, as the process is just being put together, fails. */
__asm__(".text\n"
        ".type interposer_common, @function\n"
        "interposer_common:\n"
        "push %rax; push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9; push %r11\n"
        "mov 64(%rsp), %rsi\n"
        "sub $136, %rsp\n"
        "movups %xmm0, (%rsp); movups %xmm1, 16(%rsp); movups %xmm2, 32(%rsp)\n"
        "movups %xmm3, 48(%rsp); movups %xmm4, 64(%rsp); movups %xmm5, 80(%rsp)\n"
        "movups %xmm6, 96(%rsp); movups %xmm7, 112(%rsp)\n"
        "mov %r11d, %edi\n"
        "call interposer_enter\n"
        "movups (%rsp), %xmm0; movups 16(%rsp), %xmm1; movups 32(%rsp), %xmm2\n"
        "movups 48(%rsp), %xmm3; movups 64(%rsp), %xmm4; movups 80(%rsp), %xmm5\n"
        "movups 96(%rsp), %xmm6; movups 112(%rsp), %xmm7\n"
        "add $136, %rsp\n"
        "pop %r11; pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi; pop %rax\n"
        "lea interposed(%rip), %r10\n"
        "mov (%r10,%r11,8), %r11\n"
        "test %r11, %r11\n"
        "jz 1f\n"
        "jmp *%r11\n"
        "1: mov $-1, %rax\n"
        "ret\n");

/* The numbers as assembly sees them: one after the other. */
__asm__(".set interposer_next, 0\n");
#define NAME(name)                                                                                           \
    __asm__(".globl " #name "\n.type " #name ", @function\n" #name ":\n"                                     \
            "mov $interposer_number_" #name ", %r11d\n"                                                      \
            "jmp interposer_common\n"                                                                        \
            ".set interposer_number_" #name ", interposer_next\n"                                            \
            ".set interposer_next, interposer_next + 1\n");
#include NAMES
#undef NAME
