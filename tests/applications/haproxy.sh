#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done
(cd d; exec python3 -m http.server 8001 --bind 127.0.0.1 >/dev/null 2>&1) & back=$!
printf 'global\n nbthread 3\n stats socket %s/s level admin\ndefaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\nfrontend f\n bind 127.0.0.1:8000\n compression algo gzip\n compression type text/plain\n http-request return status 200 content-type text/plain string "rule" if { path /rule }\n http-response set-header X-Through haproxy\n default_backend b\nbackend b\n server one 127.0.0.1:8001\n' "$PWD" >c
haproxy -c -f c | tail -1; haproxy -W -f c >log 2>&1 & server=$!; listening 8000; listening 8001
curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -s --compressed 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -s http://127.0.0.1:8000/rule; echo; curl -sI http://127.0.0.1:8000/1.txt | grep -i through; for i in 1 2 3 4 5 6; do curl -s 'http://127.0.0.1:8000/[1-20].txt' >"o$i" & eval "p$i=$!"; done
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4 $p5 $p6; md5sum o?; echo 'show stat' | socat - "UNIX-CONNECT:$PWD/s" | grep -c ^b; kill -USR2 $server; sleep 1; curl -s http://127.0.0.1:8000/9.txt | md5sum; kill $server $back; wait $server || echo "server ended $?"
