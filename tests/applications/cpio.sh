#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 200); do text $((i * 9)) >"d/$i"; done; find d -exec touch -d 2001-01-01 {} +
find d | sort | cpio -o -H newc --reproducible --quiet | md5sum; find d | sort | cpio -o -H newc --quiet | (mkdir x; cd x; cpio -idm --quiet); diff -r d x/d && echo same
for c in gzip xz zstd lz4; do mksquashfs d s.$c -comp $c -processors 3 -all-time 0 -mkfs-time 0 -quiet -no-progress; unsquashfs -q -n -d y.$c s.$c >/dev/null; diff -r d y.$c && echo same; done; md5sum <s.gzip; unsquashfs -l s.xz | wc -l
