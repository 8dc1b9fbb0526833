#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir tree
for i in $(seq 1 60); do text $((i * 40)) >"tree/$i"; done
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf t.tar tree
md5sum <t.tar
gzip -n -9 -c t.tar >t.tgz; md5sum <t.tgz; gzip -dc t.tgz | cmp - t.tar
xz -T2 --block-size=300KiB -6 -c t.tar >t.txz; md5sum <t.txz; xz -T2 -dc t.txz | cmp - t.tar
xz -9e -c t.tar | md5sum; xz -l t.txz | tail -1 | awk '{ print $1, $2 }'
tar -xzf t.tgz --transform s/tree/two/; diff -r tree two && echo same
tar -tJf t.txz | sort | md5sum; tar --delete -f t.tar tree/7; tar -tf t.tar | wc -l
