/* Programs that may do less than others: with few addresses, little memory to lock, hardly any system calls, or without
 * /proc. Whatever is refused, small allocations go on as far as there is memory, and errno is left alone. */
#include "check.h"
#include "filter.h"

#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

static const size_t sizes[] = {16, 100, 1000, 5000, 30000, 100000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Bytes of address space, or of data if `which` is 5, by the kernel. Without stdio, which would allocate. */
static size_t used(int which) {
    char text[128] = {0};
    unsigned long number[7] = {0};
    int file = open("/proc/self/statm", O_RDONLY);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0, "statm");
    close(file);
    sscanf(text, "%lu %lu %lu %lu %lu %lu %lu", number, number + 1, number + 2, number + 3, number + 4, number + 5, number + 6);
    return number[which] * 4096;
}

/* Takes blocks of `size` bytes until there are no more, gives all back, and does it again. Returns the bytes that there
 * were at first. */
static size_t exhaust(size_t size) {
    size_t first = 0, round;
    for (round = 0; round < 3; round++) {
        size_t bytes = 0;
        void **head = NULL, **block;
        errno = 0;
        while ((block = malloc(size))) {
            CHECK(errno == 0, "a malloc that succeeds set errno to %d", errno);
            memset(block, 1, size);
            *block = head;
            head = block;
            bytes += size;
        }
        CHECK(errno == ENOMEM, "errno %d", errno);
        errno = 4242;
        while ((block = head)) {
            head = *block;
            free(block);
        }
        CHECK(errno == 4242, "free set errno to %d", errno);
        if (round == 0) first = bytes;
        CHECK(bytes >= first / 10 * 9, "%zu bytes in round %zu, %zu at first", bytes, round, first);
    }
    return first;
}

/* Runs `limited` for every size in a child, so that each is the first to allocate. */
static void each_size(void (*limited)(size_t)) {
    for (size_t i = 0; i < SIZES; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            limited(sizes[i]);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "blocks of %zu: status %#x", sizes[i], (unsigned)status);
    }
}

static void limit(int resource, size_t bytes) {
    struct rlimit limit = {bytes, bytes};
    CHECK(setrlimit(resource, &limit) == 0, "setrlimit: %s", strerror(errno));
}

/* The program and 2 MiB: no huge page of 2 MiB at a multiple of 2 MiB can be had beside the tables for it. */
static void few_addresses(size_t size) {
    limit(RLIMIT_AS, used(0) + 2 * MIB);
    size_t bytes = exhaust(size);
    CHECK(bytes >= 3 * MIB / 4, "%zu KiB of 2,048 in blocks of %zu", bytes / KIB, size);
}
static void address_space(void) { each_size(few_addresses); }

static void little_data(size_t size) {
    limit(RLIMIT_DATA, used(5) + 2 * MIB);
    size_t bytes = exhaust(size);
    /* The hardened library keeps a map of live blocks, and guard pages. */
    CHECK(bytes >= 3 * MIB / 4, "%zu KiB of 2,048 in blocks of %zu", bytes / KIB, size);
}
static void data(void) { each_size(little_data); }

static void drop_privileges(void) {
    if (geteuid() == 0) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "rights");
    }
}

/* Half of what may be locked is the program's, be it in small blocks or in large ones; less a little for what differs from
 * run to run, such as where the tables begin. */
enum { HALF_OF_8_MIB = 15 * 256 * 1024 };

static void locked(size_t size) {
    free(opaque(malloc(10)));
    limit(RLIMIT_MEMLOCK, 8 * MIB);
    drop_privileges();
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall: %s", strerror(errno));
    size_t bytes = exhaust(size);
    CHECK(bytes >= HALF_OF_8_MIB, "%zu KiB of 8,192 in blocks of %zu", bytes / KIB, size);
}
static void locked_memory(void) { each_size(locked); }

/* The same, for what counts as data. */
static void data_of_8(size_t size, size_t least) {
    free(opaque(malloc(10)));
    limit(RLIMIT_DATA, 8 * MIB);
    size_t bytes = exhaust(size);
    CHECK(bytes >= least, "%zu KiB of 8,192 in blocks of %zu", bytes / KIB, size);
}
static void half_of_8(size_t size) { data_of_8(size, HALF_OF_8_MIB); }
static void data_of_8_mib(void) { each_size(half_of_8); }

/* What the hardened library leaves: its map of live blocks is data, too. */
static void three_of_8(size_t size) { data_of_8(size, 3 * MIB); }
static void data_of_8_mib_beside_a_map(void) { each_size(three_of_8); }

/* What programs do with memory, for `seconds`; fits a heap of less than a megabyte. */
static void work_within(size_t most, double seconds) {
    struct timespec start, now;
    void *blocks[64] = {0};
    uint64_t seed = 3;
    /* The coarse one: in strict mode the kernel takes the time stamp counter away, which the other reads. */
    clock_gettime(CLOCK_MONOTONIC_COARSE, &start);
    do {
        for (int round = 0; round < 5000; round++) {
            size_t at = next_random(&seed) % 64, size = next_random(&seed) % most + 1;
            free(blocks[at]);
            if (round % 5 == 0) {
                blocks[at] = calloc(1, size);
            } else {
                blocks[at] = realloc(malloc(size / 2 + 1), size);
            }
            CHECK(blocks[at], "%zu bytes", size);
            memset(blocks[at], 1, size);
        }
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    } while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    for (int i = 0; i < 64; i++) free(blocks[i]);
}

/* Only `read`, `write` and `_exit`: anything else is SIGKILL. What the program used before must do, without a call. */
static void seccomp_strict(void) {
    static void *burst[1000];
    for (size_t i = 0; i < 1000; i++) CHECK(burst[i] = malloc(100), "100 bytes");
    for (size_t i = 0; i < 1000; i++) free(burst[i]);
    work_within(100, 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0, "seccomp: %s", strerror(errno));
    /* 100 KB that come and go, as much as glibc keeps, with pauses in which memory would go back if there were more. */
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < 1000; i++) CHECK(burst[i] = malloc(100), "100 bytes");
        for (size_t i = 0; i < 1000; i++) free(burst[i]);
        work_within(100, 0.3);
    }
    syscall(SYS_exit, 0);
}

#define ALLOW(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(number, error) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define LOAD BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

static void filter(struct sock_filter *code, size_t count) {
    struct sock_fprog program = {(unsigned short)count, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp: %s", strerror(errno));
}

static void *threads_work(void *argument) {
    size_t most = (size_t)argument;
    work_within(most, 0.1);
    return NULL;
}

static void work_in_threads(void) {
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, threads_work, (void *)(3000 * (i * i * i + 1))) == 0, "thread");
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    malloc_trim(0);
    CHECK(mallinfo2().uordblks < 100 * MIB, "mallinfo2");
    work_within(300000, 0.1);
}

/* What glibc's malloc and threads call, and nothing else. */
static void seccomp_filter_of_glibc(void) {
    struct sock_filter code[] = {
        LOAD,
        ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_mprotect), ALLOW(SYS_brk),
        ALLOW(SYS_mremap), ALLOW(SYS_madvise), ALLOW(SYS_futex), ALLOW(SYS_clone), ALLOW(SYS_clone3),
        ALLOW(SYS_set_robust_list), ALLOW(SYS_rseq), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_exit), ALLOW(SYS_exit_group),
        ALLOW(SYS_clock_gettime), ALLOW(SYS_gettid), ALLOW(SYS_getpid),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    filter(code, sizeof code / sizeof *code);
    work_in_threads();
}

/* One after the other, what this library calls and glibc does not, and what only makes it faster. */
static void refused_calls(void) {
    static const int numbers[] = {SYS_membarrier, SYS_madvise, SYS_mremap, SYS_mprotect, SYS_munlock, SYS_sched_getaffinity,
                                  SYS_sched_yield, SYS_getrandom, SYS_openat, SYS_prctl, SYS_close_range};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            struct sock_filter code[] = {LOAD, REFUSE((unsigned)numbers[i], EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            filter(code, sizeof code / sizeof *code);
            if (numbers[i] == SYS_mprotect) {
                /* Not in threads: their stacks are made with it. */
                work_within(300000, 0.1);
            } else {
                work_in_threads();
            }
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "call %d: status %#x", numbers[i], (unsigned)status);
    }
}

static void *no_work(void *argument) { return argument; }

/* Calls that would start the thread that gives memory back, in a process that may have no more threads. */
static void keep_errno_where_no_thread_starts(void (*refuse_threads)(void)) {
    static void *blocks[64];
    pthread_attr_t small;
    pthread_t thread;
    for (size_t i = 0; i < 64; i++) CHECK(blocks[i] = memset(malloc(MIB), 1, MIB), "a mebibyte");
    /* Now that it has threads, the thread would be started. The C library keeps this one's stack for the next that has the
     * same size. */
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 * KIB) == 0, "attributes");
    CHECK(pthread_create(&thread, &small, no_work, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
    refuse_threads();
    CHECK(pthread_create(&thread, NULL, no_work, NULL) != 0, "a thread was made");
    for (size_t i = 0; i < 64; i++) {
        void *block;
        errno = 4242;
        free(blocks[i]);
        CHECK(errno == 4242, "free number %zu set errno to %d", i, errno);
        CHECK(block = malloc(10000 * i), "%zu bytes", 10000 * i);
        CHECK(block = realloc(block, 20000 * i + 1), "%zu bytes", 20000 * i + 1);
        CHECK(errno == 4242, "calls that succeed set errno to %d, %zu frees later", errno, i);
        free(block);
        CHECK(errno == 4242, "free set errno to %d, %zu frees later", errno, i);
        usleep(50000);
    }
}

static void refuse_clone(void) {
    struct sock_filter code[] = {LOAD, REFUSE(SYS_clone, EAGAIN), REFUSE(SYS_clone3, EAGAIN),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    filter(code, sizeof code / sizeof *code);
}
static void errno_without_threads(void) { keep_errno_where_no_thread_starts(refuse_clone); }

/* Stacks of threads, which are longer than anything that is asked for here, find no room. */
static void leave_no_stacks(void) {
    limit(RLIMIT_AS, used(0) + 128 * KIB);
}
static void errno_without_stacks(void) { keep_errno_where_no_thread_starts(leave_no_stacks); }

/* As a unit of systemd refuses them (`SystemCallFilter=@system-service` and `~@privileged @resources`, which Debian's
 * redis-server.service has): whoever calls one is ended. */
static void put_up_filter_of_a_service(void) {
    static const int numbers[] = {SYS_ioprio_set, SYS_mbind, SYS_migrate_pages, SYS_move_pages, SYS_sched_setaffinity,
                                  SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler, SYS_set_mempolicy,
                                  SYS_setpriority, SYS_setrlimit, SYS_capset, SYS_chroot, SYS_setns, SYS_bpf,
                                  SYS_mincore, SYS_pidfd_getfd};
    CHECK(filter_calls(numbers, COUNT_OF(numbers), SECCOMP_RET_KILL_PROCESS, 0) == 0, "no filter: %s", strerror(errno));
}

/* The heap grows to where the kernel is asked what is resident. */
static void work_with_a_heap(void) {
    work_in_threads();
    void **blocks = calloc(100000, sizeof *blocks);
    for (size_t i = 0; i < 100000; i++) CHECK(blocks[i] = memset(malloc(500), 1, 500), "500 bytes");
    for (size_t i = 0; i < 100000; i++) free(blocks[i]);
    free(blocks);
    /* The thread, if the library has one, has looked at its schedule by then. */
    usleep(300000);
    work_in_threads();
}

static void filter_of_a_service(void) {
    put_up_filter_of_a_service();
    work_with_a_heap();
}

/* As systemd puts it up, before the program begins: so the thread that gives memory back comes and does its work. */
static void filter_of_a_service_from_the_start(void) {
    if (!is_started_again()) {
        put_up_filter_of_a_service();
        start_again(__func__);
    }
    work_with_a_heap();
}

/* An empty root: no /proc, no /sys, no files at all. */
static void no_proc(void) {
    char folder[] = "/tmp/stratalloc-root-XXXXXX";
    CHECK(mkdtemp(folder), "a folder");
    if (geteuid() != 0) CHECK(unshare(CLONE_NEWUSER) == 0, "unshare: %s", strerror(errno));
    CHECK(chroot(folder) == 0 && chdir("/") == 0, "chroot: %s", strerror(errno));
    CHECK(open("/proc/self/status", O_RDONLY) < 0, "there is a /proc");
    work_in_threads();
    malloc_stats();
    malloc_info(0, stderr);
    CHECK(malloc_usable_size(opaque(malloc(100))) >= 100, "usable size");
}

static void *cancelled(void *done) {
    int before;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before);
    CHECK(pthread_cancel(pthread_self()) == 0, "cancel");
    /* None of them is a cancellation point in glibc. */
    for (size_t i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]);
        block = realloc(block, sizes[i] * 30);
        free(block);
        free(calloc(3, sizes[i]));
        free(memalign(64, sizes[i]));
    }
    free(malloc(200 * MIB));
    malloc_trim(0);
    malloc_stats();
    mallinfo2();
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    *(int *)done = 1;
    pthread_testcancel();
    *(int *)done = 2;
    return NULL;
}

/* A thread that is to be cancelled gets to the end of what allocates. */
static void no_cancellation_points(void) {
    pthread_t thread;
    int done = 0;
    void *result;
    CHECK(pthread_create(&thread, NULL, cancelled, &done) == 0, "thread");
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED, "not cancelled");
    CHECK(done == 1, "cancelled in the middle: %d", done);
}

static const struct test_case cases[] = {
    {"address_space", address_space},
    {"data", data},
    {"data_of_8_mib", data_of_8_mib},
    {"data_of_8_mib_beside_a_map", data_of_8_mib_beside_a_map},
    {"locked_memory", locked_memory},
    {"seccomp_strict", seccomp_strict},
    {"seccomp_filter_of_glibc", seccomp_filter_of_glibc},
    {"errno_without_threads", errno_without_threads},
    {"errno_without_stacks", errno_without_stacks},
    {"filter_of_a_service", filter_of_a_service},
    {"filter_of_a_service_from_the_start", filter_of_a_service_from_the_start},
    {"refused_calls", refused_calls},
    {"no_proc", no_proc},
    {"no_cancellation_points", no_cancellation_points},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
