#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 60000 >t
for o in -1 -9 -19 '-T3 -5' --fast '--long -6' --rsyncable; do
    # shellcheck disable=SC2086
    zstd -q $o -c t >z; wc -c <z; zstd -dqc z | cmp - t
done
split -n 40 t part; zstd -q --train part* -o dict --maxdict=4000; md5sum <dict; zstd -q -D dict -c t | zstd -q -D dict -dc | cmp - t; zstd -q -r --rm part*; ls part*.zst | wc -l; zstd -l z | tail -1 | awk '{ print $1 }'; head -c 100 z | zstd -dc 2>&1 | tail -c 40
