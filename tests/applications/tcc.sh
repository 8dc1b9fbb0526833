#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 2000 | awk '{ printf "int f%d(int x) { int i; for (i = 0; i < %d; i++) x = x * %d + i; return x; }\n", NR, $1 % 50, $1 % 77 } END { print "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { unsigned x = 1; void *p[1000]; int i; for (i = 0; i < 1000; i++) p[i] = malloc(i * 9); for (i = 0; i < 1000; i++) free(p[i]);"; for (i = 1; i <= NR; i++) printf "x += f%d(x);\n", i; print "printf(\"%u\\n\", x); return 0; }" }' >many.c
tcc -run many.c
tcc -o many many.c; ./many; tcc -c -o many.o many.c; md5sum <many.o; echo 'int main( {' | tcc -c - 2>&1 || true
