/* Numbers that are no addresses, given to whatever takes a block. Each call is made in a child, which must end by
 * SIGABRT with one line that names the number: not by SIGSEGV, and not as if nothing had happened. */
#include "check.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"

void delete_plain(void *) __asm__("_ZdlPv") __attribute__((weak));
void delete_sized(void *, size_t) __asm__("_ZdlPvm") __attribute__((weak));
void delete_array_sized(void *, size_t) __asm__("_ZdaPvm") __attribute__((weak));
void delete_aligned_sized(void *, size_t, size_t) __asm__("_ZdlPvmSt11align_val_t") __attribute__((weak));
void free_sized(void *, size_t) __attribute__((weak));

static void call_free(void *p) { free(p); }
static void call_realloc(void *p) { opaque(realloc(p, 100)); }
static void call_realloc_large(void *p) { opaque(realloc(p, 100000)); }
static void call_reallocarray(void *p) { opaque(reallocarray(p, 10, 10)); }
static void call_usable_size(void *p) { opaque((void *)malloc_usable_size(p)); }
static void call_delete(void *p) { delete_plain(p); }
static void call_delete_sized(void *p) { delete_sized(p, 64); }
static void call_delete_array_sized(void *p) { delete_array_sized(p, 100000); }
static void call_delete_aligned_sized(void *p) { delete_aligned_sized(p, 64, 64); }
static void call_free_sized(void *p) { free_sized(p, 64); }

static void (*const calls[])(void *) = {
    call_free,   call_realloc,      call_realloc_large,      call_reallocarray,         call_usable_size,
    call_delete, call_delete_sized, call_delete_array_sized, call_delete_aligned_sized, call_free_sized,
};
enum { CALLS = sizeof calls / sizeof *calls };

static int ends[2];

static void expect_report(uint64_t value, size_t call) {
    char report[512] = {0}, name[32];
    int status;
    pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        calls[call]((void *)value);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child, "wait");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "call %zu of %#lx: status %#x", call, value,
          (unsigned)status);
    CHECK(read(ends[0], report, sizeof report - 1) > 0, "no report");
    snprintf(name, sizeof name, "%#lx", value);
    CHECK(strstr(report, "stratalloc: ") == report && strstr(report, name), "call %zu of %#lx: %s", call, value, report);
}

static void expect_reports(uint64_t value) {
    for (size_t call = 0; call < CALLS; call++) expect_report(value, call);
}

static void famous_numbers(void) {
    static const uint64_t values[] = {
        1, 8, 16, 24, 4095, 4096, 0x10000, 0xdeadbeef, 0xffffffff, 0x100000000, 0xdeadbeefdeadbeef, 0xcccccccccccccccc,
        0xcdcdcdcdcdcdcdcd, 0xbaadf00dbaadf00d, 0xfffffffffffffff0, 0xfffffffffffffff8, UINT64_MAX, 0x7ffffffffff0,
        0x800000000000, 0x1000000000000, 0xffff800000000000, 0xffffffff81000000, 0xffffffffff600000, 0x8000000000000000,
        0x7fffffffffffffff, 0x5a5a5a5a5a5a5a50, 0x3ff0000000000000,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) expect_reports(values[i]);
}

/* Tagged pointers: blocks of the program's, small and large, with something in the bits that an address does not have. */
static void blocks_with_upper_bits(void) {
    static const size_t sizes[] = {16, 64, 1000, 30000, 100000, 70000000};
    uint64_t seed = 7;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t block = (uint64_t)malloc(sizes[i]);
        CHECK(block, "malloc");
        for (int bit = 47; bit < 64; bit++) expect_report(block | 1ul << bit, (size_t)bit % CALLS);
        expect_reports(block | 0xffffull << 48);
        expect_reports(block | 0xffff8ull << 44);
        for (int round = 0; round < 30; round++) {
            uint64_t tag = next_random(&seed) >> 48;
            if (tag) expect_report(block | tag << 48, (size_t)round % CALLS);
        }
    }
}

static void any_number(void) {
    uint64_t seed = 42;
    for (size_t round = 0; round < 1000; round++) {
        uint64_t value = next_random(&seed) >> (next_random(&seed) & 63);
        if (value) expect_report(value, round % CALLS);
    }
}

static const struct test_case cases[] = {
    {"famous_numbers", famous_numbers},
    {"blocks_with_upper_bits", blocks_with_upper_bits},
    {"any_number", any_number},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(pipe(ends) == 0, "pipe");
    return run_cases(cases, argc, argv);
}
