#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 20000 >t
gawk '{ for (i = 2; i <= NF; i++) n[$i][NR % 3]++ } END { PROCINFO["sorted_in"] = "@ind_str_asc"; for (w in n) for (k in n[w]) print w, k, n[w][k] }' t
gawk -M 'BEGIN { print 3 ^ 800; PREC = 500; printf "%.120f\n", sqrt(2) }'
gawk '{ a[NR] = $0 } END { n = asort(a); print n, a[1], a[n]; print gensub(/(the) ([a-z]+)/, "\\2 \\1", "g", a[777]); printf "%s\n", strftime("%F", 86400, 1) }' t
gawk 'BEGIN { c = "sort -n"; for (i = 0; i < 5000; i++) print i * 7919 % 5003 |& c; close(c, "to"); while ((c |& getline x) > 0) s += x * ++k; print s }'
gawk --sandbox '{ s = s $0; if (length(s) > 1e5) s = substr(s, 1000) } END { print length(s), match(s, /kernel\.[0-9]+/, m), m[0] }' t
