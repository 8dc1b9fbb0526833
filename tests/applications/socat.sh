#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 5000 >t; socat TCP-LISTEN:7000,bind=127.0.0.1,fork,reuseaddr EXEC:md5sum & server=$!; listening 7000; for i in $(seq 20); do socat -t 10 -u FILE:t TCP:127.0.0.1:7000; done; for i in $(seq 20); do socat -t 10 - TCP:127.0.0.1:7000 <t; done | sort | uniq -c
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 9 -subj /CN=localhost 2>/dev/null; printf 'foreground = yes\npid =\ncert = %s/c\nkey = %s/k\n[s]\naccept = 127.0.0.1:7001\nconnect = 127.0.0.1:7000\n' "$PWD" "$PWD" >sc; stunnel sc >log 2>&1 & tunnel=$!; listening 7001; for i in $(seq 10); do socat -t 10 - OPENSSL:127.0.0.1:7001,cafile=c,commonname=localhost <t; done | sort | uniq -c; socat UNIX-LISTEN:u,fork SYSTEM:'wc -c' & u=$!; sleep 0.5; nc -NU u <t; socat PTY,link=p,raw,echo=0 EXEC:cat & sleep 0.5; kill $server $tunnel $u %4 2>/dev/null || true; echo done
