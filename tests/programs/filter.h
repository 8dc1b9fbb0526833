/* What the programs share that put up filters of system calls (seccomp): for one thread, for all of them, or so that
 * the filter is there from the program's start, as in a container. */
#ifndef FILTER_H
#define FILTER_H

#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What makes a thread. */
static const int THREADS[] = {SYS_clone, SYS_clone3};
#define COUNT_OF(array) ((int)(sizeof(array) / sizeof *(array)))

/* Puts up a filter with `flags` that answers `count` calls with `answer` and allows all others. Returns what the kernel
 * does. */
static inline long filter_calls(const int *numbers, int count, unsigned answer, unsigned flags) {
    struct sock_filter steps[2 * 32 + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    struct sock_fprog filter = {0, steps};
    int i, length = 1;
    CHECK(count <= 32, "%d calls", count);
    for (i = 0; i < count; i++) {
        steps[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i], 0, 1);
        steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
    }
    steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter.len = (unsigned short)length;
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new rights");
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

static inline int is_filtered(void) { return prctl(PR_GET_SECCOMP) != 0; }

/* Whether this is the program that `start_again` started. */
static inline int is_started_again(void) { return getenv("STARTED_AGAIN") != NULL; }

/* Starts the program again with one case: what the process has put up for itself is there from the start then. */
static inline void start_again(const char *name) {
    CHECK(setenv("STARTED_AGAIN", "1", 1) == 0, "no memory");
    execl("/proc/self/exe", program_invocation_name, name, (char *)NULL);
    CHECK(0, "cannot be started again: %s", strerror(errno));
}

#endif
