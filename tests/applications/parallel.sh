#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD"; mkdir -p .parallel; touch .parallel/will-cite
seq 60 | parallel -k -j4 'echo {} $(({} * 7))'; text 3000 >t; parallel --pipe -k -j3 --block 20k wc -l <t | awk '{ s += $1 } END { print s }'; parallel -k echo {1}-{2} ::: a b c ::: 1 2 3; seq 30 | parallel -k --halt now,fail=1 'test {} -lt 100 && echo ok{}' | md5sum; parallel -a t --pipepart -j2 -k --block 30k md5sum | wc -l | awk '{ print ($1 > 1) }'
