#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d cache; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done; chmod 755 .; chmod 777 cache .
(cd d; exec python3 -m http.server 8001 --bind 127.0.0.1 >/dev/null 2>&1) & back=$!
printf 'http_port 127.0.0.1:3128\ncache_dir ufs %s/cache 20 4 4\ncache_mem 8 MB\npid_filename %s/pid\ncache_log %s/log\naccess_log stdio:%s/access\ncoredump_dir %s\nhttp_access allow localhost\nhttp_access deny all\nshutdown_lifetime 1 second\nvisible_hostname system\nrefresh_pattern . 10 20%% 30\n' "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" >c
squid -f "$PWD/c" -N -z >/dev/null 2>&1; listening 8001; squid -f "$PWD/c" -N >/dev/null 2>&1 & server=$!; listening 3128
for i in 1 2 3; do curl -s -x http://127.0.0.1:3128 'http://127.0.0.1:8001/[1-40].txt' | md5sum; done; for i in 1 2 3 4 5 6; do curl -s -x http://127.0.0.1:3128 'http://127.0.0.1:8001/[1-40].txt' >"o$i" & eval "p$i=$!"; done
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4 $p5 $p6; md5sum o?; grep -c MEM_HIT access | awk '{ print ($1 > 40) }'; squid -f "$PWD/c" -k reconfigure; sleep 2; curl -s -x http://127.0.0.1:3128 http://127.0.0.1:8001/7.txt | md5sum; kill $server; wait $server || true; kill $back; grep -ciE 'assertion|FATAL|signal [0-9]' log || true
