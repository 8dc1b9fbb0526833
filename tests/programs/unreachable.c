/* Blocks that are reachable, unreachable, and unreachable through others, in numbers of bytes that
 * tell them apart. With the argument `serve` it says `ready`, and ends when its input does. */

#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
    struct node *next;
    char text[1000];
};

static void *volatile global;
static __thread void *volatile of_thread;
static char *volatile inside;
static int gate[2];

/* A list of `count` nodes, each of 1,008 bytes. */
static __attribute__((noinline)) struct node *make_list(int count) {
    struct node *head = NULL;
    for (int i = 0; i < count; i++) {
        struct node *node = malloc(sizeof *node);
        node->next = head;
        memset(node->text, 'x', sizeof node->text);
        head = node;
    }
    return head;
}

/* 5 nodes: one unreachable, four through it. */
static __attribute__((noinline)) void lose_list(void) {
    struct node *volatile list = make_list(5);
    list = NULL;
    (void)list;
}

/* A block of 777 bytes. */
static __attribute__((noinline)) void lose_known(void) {
    char *volatile block = malloc(777);
    block = NULL;
    (void)block;
}

/* What was on the stack is written over. */
static __attribute__((noinline)) void clear_stack(void) {
    volatile char room[16384];
    for (size_t i = 0; i < sizeof room; i++) {
        room[i] = 0;
    }
}

static void *run(void *unused) {
    (void)unused;
    /* Reachable from the thread's stack and its thread-local storage. */
    struct node *volatile held = make_list(3);
    of_thread = make_list(2);
    char byte;
    lose_known();
    clear_stack();
    while (read(gate[0], &byte, 1) > 0) {
    }
    return held->next;
}

int main(int argc, char **argv) {
    int serves = argc > 1 && strcmp(argv[1], "serve") == 0;
    global = make_list(7);
    /* Reachable by a pointer into the middle. */
    inside = (char *)malloc(500) + 100;
    /* Reachable from a block of a mapping of its own. */
    void **large = malloc(100 << 20);
    large[12345678] = make_list(4);
    global = memcpy(malloc(16), (void *[]){global, large}, 16);
    lose_list();
    lose_known();
    clear_stack();
    if (serves) {
        CHECK(pipe(gate) == 0, "a pipe");
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run, NULL) == 0, "a thread");
        usleep(100000);
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF) {
        }
        close(gate[1]);
        pthread_join(thread, NULL);
    }
    printf("end");
    return 3;
}
