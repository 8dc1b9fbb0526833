#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 20000 | awk 'BEGIN { print "[" } { printf "%s{\"id\":%d,\"n\":%d,\"tags\":[\"t%d\",\"u%d\"],\"o\":{\"x\":\"%s\"}}\n", (NR > 1 ? "," : ""), NR, $1, $1 % 9, $1 % 7, $1 } END { print "]" }' >d.json
jq -c 'group_by(.tags[0]) | map({t: .[0].tags[0], n: length, s: (map(.n % 1000) | add)})' d.json
jq -S 'map(select(.id % 1000 == 0) | .o.x |= (tonumber * 2 | tostring))' d.json | md5sum
jq '[paths] | length' d.json; jq -r '.[] | [.id, .n, .tags[1]] | @csv' d.json | md5sum; jq -n '[range(100000)] | map(. * .) | add'
jq -n 'reduce range(20000) as $i ({}; .["k\($i % 500)"] += [$i]) | map_values(length) | add'; jq -c --stream 'select(.[0][0] == 5)' d.json
jq -n '"a1b22c333" * 300 | [scan("[0-9]+")] | length'; jq . /dev/null; echo '{' | jq . 2>&1 || true
