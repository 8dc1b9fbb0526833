#!/bin/sh
set -eu
# Arrays, splitting and formatting on pseudo-random text.
. "$(dirname "$0")/common"
text 20000 >text
mawk '{ for (i = 2; i <= NF; i++) count[$i]++ } END { for (w in count) print w, count[w] }' text | sort
mawk '{ line[NR] = $0 } END { for (i = NR; i > 0; i--) print line[i] }' text | md5sum
mawk '{ gsub(/memory/, "MEM"); s = s $0 } END { print length(s), substr(s, 100000, 40), split(s, a, " ") }' text
