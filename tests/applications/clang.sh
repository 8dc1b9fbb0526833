#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 60 | awk '{ printf "static unsigned f%d(unsigned x) { for (unsigned i = 0; i < %d; i++) x = (x ^ %d) * %d + i; return x; }\n", NR, $1 % 50, $1 % 9999, $1 % 77 + 1 }
    END { print "#include <stdio.h>\nint main(void) { unsigned x = 1;"; for (i = 1; i <= NR; i++) printf "x += f%d(x);\n", i; print "printf(\"%u\\n\", x); }" }' >many.c
for level in -O0 -O2 -O3; do clang $level -S -emit-llvm -o - many.c | md5sum; clang $level -fuse-ld=lld -o many many.c; ./many; done
clang -O2 -flto -fuse-ld=lld -o many many.c; ./many
printf '#include <map>\n#include <string>\n#include <iostream>\nint main() { std::map<int, std::string> m; for (int i = 0; i < 9999; i++) m[i * 7919 %% 10007] += "x"; std::cout << m.size() << "\\n"; }\n' >w.cc
clang++ -std=c++17 -O1 -o w w.cc; ./w; clang -fsyntax-only -Xclang -ast-dump many.c | sed 's/0x[0-9a-f]*//g' | md5sum
printf 'int f( { return x; }\n' >wrong.c; clang -c wrong.c 2>&1 || true
clang -target aarch64-linux-gnu -O2 -S -o - many.c | md5sum
