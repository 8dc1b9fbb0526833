#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 30000 | awk '{ printf "key%d\nvalue %s\n", $1 % 20000, $1 }' >in
for type in btree hash; do db_load -T -t $type -f in $type.db; db_verify $type.db && echo verified; db_dump -p $type.db | tail -n +5 | grep -v '^h_\|^db_\|^HEADER\|^type' | sort | md5sum; db_stat -d $type.db | grep -E 'Number of (unique )?keys|data items'; done
