#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir a; for i in $(seq 300); do mkdir -p "a/$((i % 13))"; text $((i * 3)) >"a/$((i % 13))/$i"; done
rsync -a a/ b; diff -r a b && echo same; for i in $(seq 1 7 300); do text $((i * 5)) >"a/$((i % 13))/$i"; done; rm a/5/5; rsync -a --no-whole-file --delete --stats a/ b | grep -E 'Number of (regular|deleted)|Matched data'; diff -r a b && echo same
printf 'use chroot = no\n[m]\npath = %s/a\nread only = no\nuid = root\ngid = root\n' "$PWD" >conf; rsync --daemon --no-detach --address=127.0.0.1 --port=8730 --config=conf --log-file=log & server=$!; listening 8730
for i in 1 2 3 4; do rsync -az rsync://127.0.0.1:8730/m/ "c$i" & done; wait %2 %3 %4 %5 2>/dev/null || sleep 3; diff -r a c1 && diff -r a c4 && echo same; rsync -a --checksum b/ rsync://127.0.0.1:8730/m/; rsync -ani --out-format=%i%n a/ b | wc -l; kill $server; wait $server || true
