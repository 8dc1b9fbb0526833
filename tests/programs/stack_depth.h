/* Calls on a painted stack: what `stack_depth.c` measures with. */
#ifndef STACK_DEPTH_H
#define STACK_DEPTH_H

#include "check.h"

#include <sys/mman.h>

typedef void *(*function_t)(long, long, long);

/* Room for calls that go far deeper than they may. */
#define STACK_BYTES ((size_t)256 * 1024)
#define PAINT 0xc5

/* Calls `function` with its stack at `top`, a multiple of 16. The frame is described, so that stack walks pass it. */
void *call_at(void *top, function_t function, long a, long b, long c);

#if defined(__x86_64__)
__asm__(".text\n.type call_at, @function\ncall_at:\n.cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\n"
        "mov %rsp, %rbp\n.cfi_def_cfa_register %rbp\n"
        "mov %rdi, %rsp\nmov %rsi, %rax\nmov %rdx, %rdi\nmov %rcx, %rsi\nmov %r8, %rdx\n"
        "call *%rax\n"
        "mov %rbp, %rsp\npop %rbp\n.cfi_def_cfa %rsp, 8\nret\n.cfi_endproc\n.size call_at, .-call_at\n");
#elif defined(__aarch64__)
__asm__(".text\n.type call_at, %function\ncall_at:\n.cfi_startproc\n"
        "stp x29, x30, [sp, -16]!\n.cfi_def_cfa_offset 16\n.cfi_offset x29, -16\n.cfi_offset x30, -8\n"
        "mov x29, sp\n.cfi_def_cfa_register x29\n"
        "mov sp, x0\nmov x9, x1\nmov x0, x2\nmov x1, x3\nmov x2, x4\n"
        "blr x9\n"
        "mov sp, x29\nldp x29, x30, [sp], 16\nret\n.cfi_endproc\n.size call_at, .-call_at\n");
#else
#error "no way to switch stacks is known"
#endif

/* `bytes` of painted memory right above a page that nobody may touch. */
static unsigned char *painted_stack(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    unsigned char *start =
        mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED, "no memory for a stack");
    CHECK(mprotect(start, page, PROT_NONE) == 0, "no guard page");
    memset(start + page, PAINT, whole);
    return start + page;
}

static inline unsigned char *lowest_change(unsigned char *stack, size_t bytes) {
    unsigned char *at = stack;
    while (at < stack + bytes && *at == PAINT) at++;
    return at;
}

static unsigned char *stack;
static size_t deepest;

static inline void set_up(void) {
    stack = painted_stack(STACK_BYTES);
}

/* Notes the depth of something that was measured otherwise. */
static inline void note_depth(size_t bytes) {
    if (bytes > deepest) deepest = bytes;
}

/* How deep the calls since the last time went at most. */
static inline size_t deepest_now(void) {
    note_depth((size_t)(stack + STACK_BYTES - lowest_change(stack, STACK_BYTES)));
    return deepest;
}

/* Says how deep the calls since the last time went at most, and whether that is little enough. */
static inline void fits(const char *what) {
    const char *set = getenv("STACK_DEPTH_LIMIT");
    size_t limit = set ? strtoul(set, NULL, 10) : 2048;
    dprintf(1, "%s: %zu bytes\n", what, deepest_now());
    CHECK(deepest <= limit, "%s takes %zu bytes of the caller's stack, more than %zu", what,
          deepest, limit);
    memset(stack, PAINT, STACK_BYTES);
    deepest = 0;
}

/* Where the calls are looked up: the library that is opened, or what this program runs on. */
static inline void *library(void) {
#ifdef USE_DLOPEN
    static void *opened;
    if (!opened) opened = dlopen(getenv("STRATALLOC_DLOPEN"), RTLD_NOW | RTLD_LOCAL);
    CHECK(opened, "%s", dlerror());
    return opened;
#else
    return RTLD_DEFAULT;
#endif
}

/* The function `name`. Looked up once, as that takes longer than most calls. */
static function_t find(const char *name) {
    static struct {
        const char *name;
        function_t function;
    } known[128];
    size_t i;
    for (i = 0; known[i].name; i++)
        if (known[i].name == name) return known[i].function;
    CHECK(i + 1 < sizeof known / sizeof *known, "too many functions");
    known[i].function = (function_t)dlsym(library(), name);
    CHECK(known[i].function, "no function %s", name);
    known[i].name = name;
    return known[i].function;
}

static inline void *call_function(function_t function, long a, long b, long c) {
    return call_at(stack + STACK_BYTES, function, a, b, c);
}

static inline void *call(const char *name, long a, long b, long c) {
    return call_function(find(name), a, b, c);
}

/* `malloc` and `free`, which are called often. */
static inline void *get(size_t bytes) {
    static function_t function;
    void *block;
    if (!function) function = find("malloc");
    block = call_function(function, (long)bytes, 0, 0);
    CHECK(block, "no memory for %zu bytes", bytes);
    return block;
}

static inline void give(void *block) {
    static function_t function;
    if (!function) function = find("free");
    call_function(function, (long)block, 0, 0);
}

#endif
