#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done; chmod 755 . d
printf 'worker_processes 2; pid %s/pid; error_log %s/err; events {} http { access_log off; gzip on; gzip_types *; gzip_min_length 10; root %s/d; proxy_cache_path %s/cache keys_zone=z:1m; server { listen 127.0.0.1:8000; } server { listen 127.0.0.1:8001; location / { proxy_pass http://127.0.0.1:8000; proxy_cache z; proxy_cache_valid 1m; } location /r { return 200 "uri $uri\\n"; } } }' "$PWD" "$PWD" "$PWD" "$PWD" >c
nginx -c "$PWD/c" -g 'daemon off; user root;' & server=$!; listening 8001
curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -s --compressed 'http://127.0.0.1:8001/[1-40].txt' | md5sum; curl -s http://127.0.0.1:8001/r/x; curl -s http://127.0.0.1:8000/none | md5sum
for o in '' -k; do ab -q $o -n 2000 -c 20 -H 'Accept-Encoding: gzip' http://127.0.0.1:8001/9.txt | grep -E 'Complete requests|Failed|Document Length'; done
kill -HUP $server; sleep 1; curl -s http://127.0.0.1:8000/7.txt | md5sum; kill -QUIT $server; wait $server; echo "server ended $?"; grep -c 'signal 11\|signal 6\|alert' err || true
