#!/bin/sh
set -eu
. "$(dirname "$0")/common"
redis-server --port 0 --unixsocket "$PWD/s" --save '' --dir "$PWD" >log 2>&1 &
server=$!
ask() { redis-cli -s s "$@"; }
until ask ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
numbers 20000 | awk '{ print "SET k" NR, $1; print "ZADD z", $1 % 1000, "m" NR; print "HSET h f" $1, NR; print "RPUSH l", $1 }' |
    ask --pipe | tail -1
for c in 'DBSIZE' 'ZCARD z' 'ZRANGE z 0 20' 'HLEN h' 'LLEN l' 'LRANGE l 100 110' 'GET k777' 'STRLEN k9' 'SCARD none'; do ask $c; done
ask eval 'local s = 0; for i = 1, 20000 do s = s + tonumber(redis.call("GET", "k" .. i)) % 97 end; return s' 0
ask save; ask debug reload; ask dbsize
ask config set activedefrag yes 2>&1 | head -c 60; echo
ask memory doctor | head -c 4; ask memory purge; ask memory usage l samples 0 | tr -d '0-9'
ask flushall async; ask dbsize
ask shutdown nosave || true
wait $server; echo "server ended $?"
