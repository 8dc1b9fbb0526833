#!/bin/sh
set -eu
. "$(dirname "$0")/common"
memcached -u nobody -l 127.0.0.1 -p 11311 -m 32 -t 4 &
server=$!
listening 11311
numbers 4000 | awk '{ v = sprintf("%*s", NR % 900 + 1, $1); gsub(/ /, "v", v); printf "set k%d 0 0 %d noreply\r\n%s\r\n", NR, length(v), v } END { printf "incr none 1\r\nset n 0 0 1\r\n5\r\nincr n 37\r\n"; for (i = 1; i <= 4000; i += 7) printf "get k%d\r\n", i; printf "delete k9\r\nget k9\r\nappend k10 0 0 3\r\nabc\r\nget k10\r\nflush_all\r\nget k11\r\nquit\r\n" }' |
    nc -N 127.0.0.1 11311 | md5sum
printf 'stats\r\nquit\r\n' | nc -N 127.0.0.1 11311 | tr -d '\r' | grep -E 'cmd_set|get_hits|threads|evictions'
kill $server; wait $server || echo "server ended $?"
