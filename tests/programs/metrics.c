/* Metrics and profiles on demand, by the C interface. */
#include "check.h"
#include "stratalloc.h"

static char text[1 << 16];

/* The text is whole, and goes to stdout for whoever started this. */
static void print(void) {
    void *small = opaque(malloc(100)), *block = opaque(malloc(100000));
    size_t length = stratalloc_metrics(text, sizeof text);
    CHECK(length > 1000 && length < sizeof text, "%zu bytes", length);
    CHECK(strlen(text) == length, "%zu bytes, %zu told", strlen(text), length);
    CHECK(strcmp(text + length - 6, "# EOF\n") == 0, "it ends in %s", text + length - 6);
    fputs(text, stdout);
    free(block);
    free(small);
}

/* A short buffer gets what fits, and the true length is told. */
static void short_buffers(void) {
    char small[10] = "xxxxxxxxx";
    CHECK(stratalloc_metrics(NULL, 0) > 1000, "no length");
    CHECK(stratalloc_metrics(small, sizeof small) > 1000, "no length");
    CHECK(strcmp(small, "# TYPE st") == 0, "%s", small);
    CHECK(stratalloc_metrics(small, 1) > 1000 && small[0] == 0, "no NUL");
    CHECK(small[1] == ' ', "written behind the buffer: %s", small + 1);
}

/* Where nobody watches, the call says so. */
static void no_profile(void) {
    CHECK(stratalloc_write_profile("/nonexistent/profile") == ENOTSUP, "not refused");
    CHECK(stratalloc_write_profile(NULL) == EINVAL, "not refused");
}

static const struct test_case cases[] = {
    {"print", print},
    {"short_buffers", short_buffers},
    {"no_profile", no_profile},
    {NULL, NULL},
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
