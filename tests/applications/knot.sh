#!/bin/sh
set -eu
. "$(dirname "$0")/common"
chmod 777 .; mkdir db run; { printf '$ORIGIN a.\n$TTL 60\n@ SOA ns a 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n'; numbers 3000 | awk '{ printf "h%d A 10.%d.%d.%d\n", NR, $1 % 250, $1 % 240, $1 % 230 }'; } >a.zone
printf 'server:\n  rundir: %s/run\n  listen: 127.0.0.1@5300\n  udp-workers: 2\n  tcp-workers: 2\ndatabase:\n  storage: %s/db\nacl:\n  - id: all\n    address: 127.0.0.1\n    action: [transfer, update]\nzone:\n  - domain: a\n    storage: %s\n    file: a.zone\n    acl: all\n    dnssec-signing: on\n' "$PWD" "$PWD" "$PWD" >c
knotc -c c conf-check | tail -1; knotd -c c >log 2>&1 & server=$!; listening 5300; sleep 2
for i in 1 7 99 2999; do kdig -p 5300 @127.0.0.1 +short h$i.a; done; kdig -p 5300 @127.0.0.1 +short +dnssec h5.a | head -1; printf 'server 127.0.0.1 5300\nzone a\nadd new.a. 60 A 10.9.9.9\nsend\n' | knsupdate; kdig -p 5300 @127.0.0.1 +short new.a; knotc -c c status; knotc -c c stop; wait $server; echo "server ended $?"
