#!/bin/sh
set -eu
. "$(dirname "$0")/common"
for i in $(seq 1 400); do mkdir -p "a/$((i % 20))/$((i % 7))"; text 5 >"a/$((i % 20))/$((i % 7))/f$i"; done
find a -type f | sort | md5sum; find a -name 'f*7' -size -2 | wc -l; find a -type f -exec cat {} + | sort | md5sum
find a -type f -print0 | xargs -0 -n 20 -P 4 md5sum | sort | md5sum; find a -printf '%y %p %s\n' | grep -v ^d | sort | md5sum
grep -rc memory a | sort | md5sum; grep -rhoE '(the|to) [a-z]+' a | sort | uniq -c; grep -rliP 'k(?=ernel)' a | wc -l
text 20000 >t; grep -E '^(1.*9|.*span.*class)' t | md5sum; grep -vFf t t | wc -l; grep -oP '\b\w{5}\b' t | sort | uniq -c
sed -E 's/([a-z]+) ([a-z]+)/\2 \1/g; /99/d; 1~3!s/the/THE/' t | md5sum; sed -n '/777/,/800/{=;p}' t | head -20; sed -s -i 's/memory/MEM/g' t; grep -c MEM t
