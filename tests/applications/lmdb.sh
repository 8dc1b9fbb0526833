#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir db
{ printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=104857600\nmaxreaders=126\ndb_pagesize=4096\nHEADER=END\n'; numbers 30000 | awk '{ printf " key%08d\n value-%s-%s\n", NR, $1, $1 * 3 }'; echo DATA=END; } >dump
mdb_load -f dump db
mdb_stat -e db | grep -E 'Entries|Depth'; mdb_dump -p db | md5sum; mkdir copy; mdb_copy -c db copy; mdb_dump -p copy | md5sum; mdb_stat -ff copy | tail -2
