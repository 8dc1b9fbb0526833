#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 60); do text $((i * 30)) >"d/$i"; touch -d 2001-01-01 "d/$i"; done
for o in -1 -9 -0 '-e -P secret'; do rm -f a.zip; find d -type f | sort | zip -qX $o a.zip -@; unzip -P secret -p a.zip | md5sum; unzip -Z1 a.zip | wc -l; unzip -P secret -tq a.zip; done
zip -qd a.zip d/7; unzip -l a.zip | tail -1; zip -q -s 64k -r s.zip d; zip -qF s.zip --out f.zip >/dev/null 2>&1 || true; zipinfo -t s.zip 2>/dev/null | awk '{ print $1 }'
