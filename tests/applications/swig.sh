#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ printf '%%module w\n%%include <std_string.i>\n%%include <std_vector.i>\n%%inline %%{\n#include <vector>\n#include <string>\n'; numbers 60 | awk '{ printf "struct S%d { int a; std::string b; std::vector<int> c; virtual ~S%d() {} int f(int x, const std::string &y) { return x + %d; } };\n", NR, NR, $1 % 99 }'; echo '%}'; } >w.i
for l in -python -perl5 -ruby -tcl -lua -java -php; do swig $l -c++ -o o.cc w.i 2>/dev/null; md5sum <o.cc; done; echo 'int f(' >x.i; swig -python x.i 2>&1 || true
