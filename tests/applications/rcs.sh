#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" CVSROOT="$PWD/cvs" LOGNAME=root
for i in $(seq 1 15); do text $((i * 30)) >f; ci -q -l -m"change $i" -t-text -d"2001/01/$((i + 10)) 00:00:00" f; done
rlog f | grep -c '^revision'; co -q -p1.7 f | md5sum; rcsdiff -q -r1.3 -r1.12 f | md5sum; rcsmerge -q -p -r1.2 -r1.4 f | md5sum
cvs -Q init; mkdir m; cd m; text 100 >a; cvs -Q import -m start m v r 2>/dev/null; cd ..; cvs -Q checkout -d w m; cd w; for i in 1 2 3 4 5; do text $((i * 100)) >a; cvs -Q commit -m "change $i"; done; cvs -Q log a | grep -c '^revision'; cvs -Q update -p -r1.3 a | md5sum; cvs -Q diff -r1.2 -r1.4 a | grep -c '^[<>]' || true
