/* Compiled by the compiler under test: many functions, so that it allocates and frees a lot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONE(n)                                                                       \
    int f##n(const char *text, int depth) {                                   \
        char buffer[64];                                                             \
        int i, sum = n;                                                              \
        for (i = 0; text[i]; i++) sum = sum * 31 + (text[i] ^ (depth + n));          \
        snprintf(buffer, sizeof buffer, "%d:%d", sum, depth);                        \
        switch (sum % 7) {                                                           \
        case 0: return (int)strlen(buffer);                                          \
        case 1: return atoi(buffer + 1);                                             \
        case 3: return depth ? f##n(buffer, depth - 1) : n;                          \
        default: return sum;                                                         \
        }                                                                            \
    }
#define TEN(n) ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4)                     \
    ONE(n##5) ONE(n##6) ONE(n##7) ONE(n##8) ONE(n##9)
#define HUNDRED(n) TEN(n##0) TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4)                 \
    TEN(n##5) TEN(n##6) TEN(n##7) TEN(n##8) TEN(n##9)

HUNDRED(1)
HUNDRED(2)

int main(int argc, char **argv) { return f100(argv[0], argc) + f299(argv[0], argc) + f150("x", 2); }
