/* Thread-specific destructors that allocate and free after the allocator's own has run, in every
 * round that POSIX allows, with keys made before and after the first allocation of the process. */
#include "check.h"

#include <pthread.h>

#define KEYS 12
#define LEFT_MAX 4096

static pthread_key_t keys[KEYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *left[LEFT_MAX];
static size_t left_count, runs;

struct value {
    size_t key, round;
    unsigned char *block;
};

/* Runs up to four times per thread and key: sets itself again until the last round. */
static void destroy(void *argument) {
    struct value *value = argument;
    size_t i;
    CHECK(filled(value->block, 500 + value->key, value->key), "key %zu", value->key);
    free(value->block);
    for (i = 0; i < 200; i++) free(opaque(malloc(i * 13)));
    free(opaque(realloc(calloc(1, 300), 300000)));
    pthread_mutex_lock(&lock);
    runs++;
    if (left_count < LEFT_MAX && (left[left_count] = malloc(700 + value->key)))
        fill(left[left_count], 700, left_count), left_count++;
    pthread_mutex_unlock(&lock);
    if (++value->round < 4) {
        value->block = malloc(500 + value->key);
        fill(value->block, 500 + value->key, value->key);
        CHECK(pthread_setspecific(keys[value->key], value) == 0, "setspecific in a destructor");
    } else {
        free(value);
    }
}

static void *use_keys(void *argument) {
    size_t i;
    for (i = 0; i < KEYS; i++) {
        struct value *value = malloc(sizeof *value);
        value->key = i;
        value->round = 0;
        value->block = malloc(500 + i);
        fill(value->block, 500 + i, i);
        CHECK(pthread_setspecific(keys[i], value) == 0, "setspecific");
    }
    return argument;
}

/* Threads that allocate only in their destructors. */
static void only_at_the_end(void *argument) {
    size_t i;
    (void)argument;
    for (i = 0; i < 100; i++) free(opaque(malloc(100 * i)));
}

static pthread_key_t late_key;

static void *no_allocation(void *argument) {
    pthread_setspecific(late_key, &late_key);
    return argument;
}

static void make_keys(size_t from, size_t to) {
    for (; from < to; from++) CHECK(pthread_key_create(&keys[from], destroy) == 0, "key");
}

__attribute__((constructor(101))) static void before_everything(void) { make_keys(0, KEYS / 2); }

int main(void) {
    size_t i, early = 0, late;
    pthread_t thread;
    expect_library();
    free(opaque(malloc(100)));
    make_keys(KEYS / 2, KEYS);
    CHECK(pthread_key_create(&late_key, only_at_the_end) == 0, "key");
    for (i = 0; i < 60; i++) {
        CHECK(pthread_create(&thread, NULL, use_keys, NULL) == 0, "thread");
        CHECK(pthread_join(thread, NULL) == 0, "join");
    }
    CHECK(runs == 60 * KEYS * 4, "%zu runs of destructors", runs);
    for (i = 0; i < left_count; i++) {
        CHECK(filled(left[i], 700, i), "block %zu that a destructor left", i);
        free(left[i]);
    }
    for (i = 0; i < 6000; i++) {
        CHECK(pthread_create(&thread, NULL, no_allocation, NULL) == 0, "thread");
        CHECK(pthread_join(thread, NULL) == 0, "join");
        if (i == 600) early = resident_bytes();
    }
    late = resident_bytes();
    printf("resident after 600 threads %zu KiB, after 6000 %zu KiB\n", early / KIB, late / KIB);
    CHECK(grew_by_less(early, late, 4 * MIB), "destructors leak: %zu, then %zu bytes", early, late);
    return 0;
}
