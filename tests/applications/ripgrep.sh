#!/bin/sh
set -eu
. "$(dirname "$0")/common"
for i in $(seq 400); do mkdir -p "d/$((i % 17))"; text $((i * 5)) >"d/$((i % 17))/f$i.txt"; done
rg -c memory d | sort | md5sum; rg -o --no-filename '(the|to) [a-z]+' d | sort | uniq -c; rg --sort path -n 'kernel.*span' d | md5sum; rg -j4 -U 'cache\.\n\d+' d | wc -l; rg --files d | wc -l; rg -l -e class -e magazine d | sort | md5sum; rg -z -i 'MEMORY TO' d --stats -q | sed -n 2,4p; fdfind -e txt 'f.*7' d | sort | md5sum; fdfind -j4 . d -x wc -c | sort | md5sum; fdfind -S +5k -t f . d | wc -l
