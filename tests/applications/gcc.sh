#!/bin/sh
set -eu
# A program with many functions, compiled at several levels, and what the compiler says of wrong ones.
. "$(dirname "$0")/common"
numbers 80 | awk '
    { printf "static unsigned f%d(unsigned x) { for (unsigned i = 0; i < %d; i++) x = (x ^ %d) * %d + i; return x; }\n", NR, $1 % 50, $1 % 9999, $1 % 77 + 1 }
    END { print "#include <stdio.h>\nint main(void) { unsigned x = 1;"; for (i = 1; i <= NR; i++) printf "x += f%d(x);\n", i; print "printf(\"%u\\n\", x); }" }' >many.c
for level in -O0 -O1 -O2 '-O3 -flto' '-Os -g'; do
    # shellcheck disable=SC2086
    gcc $level -S -o - many.c | grep -v '\.file\|\.ident\|lto' | md5sum
    gcc $level -o many many.c && ./many
done
printf 'int f( { return x; }\nstruct s { struct s inner; };\n' >wrong.c
gcc -c wrong.c 2>&1 | sed 's/^/  /' || true
gcc -E -dM - </dev/null | sort | md5sum
