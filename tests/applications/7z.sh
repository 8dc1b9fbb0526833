#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 30); do text $((i * 60)) >"d/$i"; done
for o in '-t7z -mx=9 -mmt=2' '-t7z -m0=ppmd' '-t7z -m0=bzip2 -mmt=3' '-tzip -mx=7' '-t7z -psecret -mhe=on'; do
    rm -f w.a
    # shellcheck disable=SC2086
    7z a -bd -bso0 $o w.a d; rm -rf x; 7z x -bd -bso0 -psecret -ox w.a; diff -r d x/d && echo same; 7z t -bd -psecret w.a | grep -E '^(Files|Size|Everything)'
done
7z b -mmt1 -md18 1 2>&1 | grep -c 'Avr\|Tot' || true; 7z h d/7 | grep CRC
