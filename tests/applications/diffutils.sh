#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 4000 >a; awk 'NR % 37 != 5 { if (NR % 53 == 7) print "new"; print }' a >b; awk 'NR % 71 == 3 { print "other"; next } { print }' a >c
for o in '' -u -c -y -e --minimal '-D X' --horizon-lines=9; do diff $o a b | sed '/^\(---\|+++\|\*\*\*\) [ab]/d' | md5sum; done
diff -u a b | sed 's/\t.*//' >p || true; cp a x; patch -s x p; cmp x b; patch -sR x p; cmp x a; diff3 -m a b c | md5sum; cmp -l a b | wc -l; sdiff -s a b | wc -l; wdiff -s a b | tail -1; mkdir d e; split -l 100 a d/; split -l 100 b e/; diff -rq d e | wc -l
