#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 20000 | awk '{ printf "k%d ==> v%s\n", $1 % 100000, $1 }' | ldb --db=d --create_if_missing load
for o in 'scan --max_keys=5' 'count_only' 'compact' 'checkconsistency' 'get k777'; do
    # shellcheck disable=SC2086
    [ "$o" = count_only ] && o='dump --count_only'
    ldb --db=d $o 2>&1 | grep -v '^WARNING'
done
ldb --db=d scan | md5sum; ldb --db=d dump --bloom_bits=10 | wc -l; for i in $(seq 30); do ldb --db=d put "new$i" "$i" >/dev/null; done; ldb --db=d scan --from=new1 --to=new3 | wc -l
find d -name '*.sst' | wc -l | awk '{ print ($1 > 0) }'; sst_dump --file="$PWD/d" --command=verify 2>&1 | grep -c 'is okay\|ok' || true
