#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d n; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done; chmod 755 .
(cd d; exec python3 -m http.server 8001 --bind 127.0.0.1 >/dev/null 2>&1) & back=$!
printf 'vcl 4.1; import std; backend b { .host = "127.0.0.1"; .port = "8001"; }\nsub vcl_recv { if (req.url == "/made") { return (synth(200, "made")); } }\nsub vcl_deliver { set resp.http.X-Hit = obj.hits > 0; }\n' >c.vcl
listening 8001; varnishd -F -j none -a 127.0.0.1:8000 -f "$PWD/c.vcl" -n "$PWD/n" -s malloc,20m -p thread_pool_min=20 >log 2>&1 & server=$!; listening 8000
for i in 1 2 3; do curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum; done; curl -sI http://127.0.0.1:8000/9.txt | grep X-Hit; curl -s http://127.0.0.1:8000/made | grep -c made; for i in 1 2 3 4 5 6; do curl -s 'http://127.0.0.1:8000/[1-40].txt' >"o$i" & eval "p$i=$!"; done
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4 $p5 $p6; md5sum o?; varnishadm -n "$PWD/n" ban 'req.url ~ .'; curl -s http://127.0.0.1:8000/7.txt | md5sum; varnishadm -n "$PWD/n" panic.show 2>&1 | grep -c 'not panicked'; kill $server $back; wait $server; echo "server ended $?"
