#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 150 | awk '{ printf "/** \\brief Class %d says %s. See C%d::f. */\nclass C%d%s {\npublic:\n  /** Adds @param x a number @return more */\n  int f(int x);\n  int a; ///< a field\n};\n\n", NR, $1, NR, NR, NR > 1 ? " : public C" int(NR / 2 + 0.5) : "" }' | sed 's/class C1 : .*/class C1 {/' >w.h
printf 'INPUT=w.h\nGENERATE_LATEX=YES\nGENERATE_XML=YES\nHAVE_DOT=YES\nDOT_NUM_THREADS=2\nQUIET=YES\nCLASS_GRAPH=NO\nCOLLABORATION_GRAPH=NO\nINCLUDE_GRAPH=NO\nHTML_TIMESTAMP=NO\nNUM_PROC_THREADS=2\n' >D
doxygen D 2>&1 | grep -v 'warning' | head; find xml latex html -type f | sort | md5sum; find xml -name '*.xml' -exec cat {} + | sort | md5sum; find html -name 'class*.html' -exec cat {} + | sort | md5sum
