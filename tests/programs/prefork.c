/* A server that forks its workers before they serve, as nginx and Apache do, and children of other
 * kinds. Every worker holds as many blocks of 10,000 bytes as its number says. Says `ready` and the
 * workers' numbers, and ends when its input does.
 *
 *   workers N    N workers; they end with the server
 *   users N      the same; each gives up its rights, as nginx's do: first the group, then the user
 *   daemon       one child that leaves its session and its parent, which ends
 *   leaks        a child that leaks and exits; then the parent leaks and exits
 *   kinds        children that make no socket: what they see goes to stdout
 */

#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile held[100];

/* The threads of this process, without a call that allocates. */
static int threads(void) {
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY);
    ssize_t count = read(file, text, sizeof text - 1);
    CHECK(count > 0, "no status");
    text[count] = 0;
    close(file);
    return atoi(strstr(text, "Threads:") + 8);
}

static __attribute__((noinline)) void leak_in_child(void) { held[0] = malloc(3000); }
static __attribute__((noinline)) void leak_in_parent(void) { held[1] = malloc(500); }

static void serve(int number, int end) {
    char byte;
    for (int i = 0; i < number; i++) {
        held[i] = malloc(10000);
    }
    while (read(end, &byte, 1) > 0) {
    }
    _exit(0);
}

/* The group a moment before the user: a name service may be asked in between. */
static void give_up_rights(void) {
    held[98] = malloc(100);
    int is_root = geteuid() == 0;
    CHECK(setgid(is_root ? 65534 : getegid()) == 0, "the group");
    usleep(5000);
    CHECK(setuid(is_root ? 65534 : geteuid()) == 0, "the user");
}

static void workers(int count, int change) {
    int end[2];
    CHECK(pipe(end) == 0, "a pipe");
    pid_t pids[100];
    for (int i = 0; i < count; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0, "fork");
        if (pids[i] == 0) {
            close(end[1]);
            close(0);
            close(1);
            if (change) {
                give_up_rights();
            }
            serve(i + 1, end[0]);
        }
    }
    printf("ready");
    for (int i = 0; i < count; i++) {
        printf(" %d", pids[i]);
    }
    puts("");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    close(end[1]);
    for (int i = 0; i < count; i++) {
        CHECK(waitpid(pids[i], NULL, 0) == pids[i], "a worker");
    }
}

static void daemonize(void) {
    pid_t pid = fork();
    if (pid > 0) {
        printf("ready %d\n", pid);
        exit(0);
    }
    setsid();
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 1);
    dup2(nothing, 2);
    held[0] = malloc(10000);
    while (getchar() != EOF) {
    }
    exit(0);
}

static void leaks(void) {
    leak_in_parent();
    pid_t pid = fork();
    if (pid == 0) {
        leak_in_child();
        exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid, "the child");
    printf("%d\n", WEXITSTATUS(status));
}

static int wait_for(pid_t pid) {
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid, "a child");
    return WEXITSTATUS(status);
}

static void kinds(void) {
    /* A forked child that does not allocate, and one that does. */
    pid_t pid = fork();
    if (pid == 0) {
        usleep(50000);
        _exit(threads());
    }
    printf("without allocation: %d\n", wait_for(pid));
    pid = fork();
    if (pid == 0) {
        held[0] = malloc(10);
        _exit(threads());
    }
    printf("with allocation: %d\n", wait_for(pid));
    /* A child that is another program at once. */
    pid = fork();
    if (pid == 0) {
        execle("/bin/sh", "sh", "-c", "exit 7", (char *)NULL, (char *[]){NULL});
        _exit(1);
    }
    printf("exec: %d\n", wait_for(pid));
    /* A child that shares the memory. */
    int before = threads();
    pid = vfork();
    if (pid == 0) {
        held[1] = malloc(100000);
        _exit(threads());
    }
    printf("vfork: %d\n", wait_for(pid));
    printf("parent: %d %d\n", before, threads());
}

int main(int argc, char **argv) {
    held[99] = malloc(16);
    if (argc == 3 && strcmp(argv[1], "workers") == 0) {
        workers(atoi(argv[2]), 0);
    } else if (argc == 3 && strcmp(argv[1], "users") == 0) {
        workers(atoi(argv[2]), 1);
    } else if (argc == 2 && strcmp(argv[1], "daemon") == 0) {
        daemonize();
    } else if (argc == 2 && strcmp(argv[1], "leaks") == 0) {
        leaks();
    } else if (argc == 2 && strcmp(argv[1], "kinds") == 0) {
        kinds();
    } else {
        return 2;
    }
    return 0;
}
