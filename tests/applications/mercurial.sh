#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" HGRCPATH=/dev/null
hg init w
cd w
for i in $(seq 1 12); do text $((i * 40)) >file; echo "$i" >"n$i"; hg addremove -q; hg commit -q -u a -d "$i 0" -m "change $i"; done
hg update -q 5; echo side >side; hg commit -q -A -u a -d '99 0' -m side; hg merge -q -r 11 --tool :other; hg commit -q -u a -d '100 0' -m merged
hg log -G -T '{rev} {node|short} {desc}\n'; hg verify -q; hg annotate file | md5sum; hg diff -r 2 -r 9 | md5sum; hg clone -q . ../c; hg -R ../c id -i; hg bundle -q -a ../b; hg -q init ../d; hg -R ../d unbundle -q ../b; hg -R ../d tip -T '{node}\n'; hg manifest | wc -l; hg archive -t tar - -r 3 | tar -t | wc -l
