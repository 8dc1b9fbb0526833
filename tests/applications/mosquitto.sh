#!/bin/sh
set -eu
. "$(dirname "$0")/common"
printf 'listener 1883 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nuser root\n' "$PWD" >c; mosquitto -c c >log 2>&1 & server=$!; listening 1883
for i in 1 2 3 4; do mosquitto_sub -h 127.0.0.1 -t 'a/#' -q 1 -C 500 >"o$i" & eval "p$i=$!"; done; sleep 1; numbers 500 | mosquitto_pub -h 127.0.0.1 -t a/b -q 1 -l
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4; md5sum o?; for i in $(seq 50); do mosquitto_pub -h 127.0.0.1 -t "r/$i" -r -m "kept $i"; done; mosquitto_sub -h 127.0.0.1 -t 'r/#' -C 50 | sort | md5sum; text 3000 >t; mosquitto_pub -h 127.0.0.1 -t big -r -f t; mosquitto_sub -h 127.0.0.1 -t big -C 1 | md5sum; mosquitto_rr -h 127.0.0.1 -t q -e r/7 -m x -W 3; kill $server; wait $server; echo "server ended $?"
