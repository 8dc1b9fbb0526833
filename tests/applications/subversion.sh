#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD"
svnadmin create r
svn checkout -q "file://$PWD/r" w
cd w
for i in $(seq 1 15); do text $((i * 40)) >file; echo "$i" >"n$i"; svn add -q "n$i"; svn add -q --force file; svn commit -q -m "change $i"; done
svn copy -q "file://$PWD/../r/" x 2>/dev/null || svn mkdir -q x; svn commit -q -m copied; svn update -q
svn log -q | grep -c '^r'; svn cat -r 7 file | md5sum; svn diff -r 3:9 | md5sum; svn blame file | awk '{ print $1 }' | sort | uniq -c; svn propset -q k v file; svn status; svn info --show-item revision
svnadmin verify -q ../r && echo verified; svnadmin dump -q ../r | grep -ac Node-path; svnadmin pack -q ../r; svnlook tree --full-paths ../r | sort | md5sum
