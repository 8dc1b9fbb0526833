#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 20000 | awk '{ printf "k%d ==> v%s\n", $1 % 100000, $1 }' | ldb --db=d --create_if_missing load
for o in 'scan --max_keys=5' 'count_only' 'compact' 'checkconsistency'; do
    # shellcheck disable=SC2086
    [ "$o" = count_only ] && o='dump --count_only'
    ldb --db=d $o 2>&1 | grep -v '^WARNING'
done
ldb --db=d scan | md5sum
