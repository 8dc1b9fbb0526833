#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir -p share private lock state cache run; text 3000 >share/t; chmod 755 .; chmod 777 share
printf '[global]\nprivate dir = %s/private\nlock directory = %s/lock\nstate directory = %s/state\ncache directory = %s/cache\npid directory = %s/run\nncalrpc dir = %s/run/rpc\nlog file = %s/log\nsmb ports = 4450\ninterfaces = lo\nbind interfaces only = yes\nmap to guest = Bad User\nserver role = standalone\ndisable netbios = yes\n[s]\npath = %s/share\nguest ok = yes\nread only = no\nforce user = root\n' "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" "$PWD" >c
testparm -s c 2>/dev/null | grep -c =; smbd -F -s c --debug-stdout >out 2>&1 & server=$!; listening 4450
s() { smbclient -s c -p 4450 -N //127.0.0.1/s "$@"; }
s -c 'get t t2; ls' 2>/dev/null | awk '{ print $1, $3 }' | grep '^t'; cmp share/t t2 && echo same; for i in 1 2 3 4 5; do s -c "get t o$i" 2>/dev/null >/dev/null & eval "p$i=$!"; done
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4 $p5; md5sum o?; kill $server; wait $server || true; grep -c 'PANIC\|INTERNAL ERROR' log out || true
