#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 220 | awk 'BEGIN { print "digraph g { node [shape=box];" } { printf "n%d -> n%d [label=\"%d\"];\n", NR % 80, $1 % 80, NR; if (NR % 20 == 0) printf "subgraph cluster%d { n%d; n%d; }\n", NR, NR % 80, (NR + 1) % 80 } END { print "}" }' >w.dot
for l in dot neato fdp sfdp twopi circo; do $l -Tplain w.dot 2>/dev/null | md5sum; done
for t in svg ps json xdot cmapx; do dot -T$t w.dot | grep -v 'Creator\|Title' | md5sum; done
dot -Tpng w.dot >w.png; file w.png | cut -d, -f1-2; tred w.dot 2>/dev/null | md5sum; ccomps -x w.dot | wc -l; unflatten w.dot | md5sum; echo 'digraph { a -> }' | dot 2>&1 || true
