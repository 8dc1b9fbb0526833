#!/usr/bin/env bash
# Records redis.trace: redis-server with threads for input and output, under the load of redis-benchmark.
# Usage: redis.sh path/to/libstratalloc.so     writes redis.trace to the current folder; then: zstd -19 redis.trace
set -euo pipefail
library=$(realpath "$1")
port=${PORT:-7911}

LD_PRELOAD=$library STRATALLOC_TRACE_FILE=redis.trace redis-server --port "$port" --save '' \
    --appendonly no --io-threads 3 --io-threads-do-reads yes --logfile '' --daemonize no >/dev/null &
server=$!
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
cli() { redis-cli -p "$port" "$@" >/dev/null; }
load() { redis-benchmark -q -p "$port" -c 30 -P 4 --threads 2 "$@" >/dev/null; }

# What is deleted is freed by a thread of the server's own.
cli config set lazyfree-lazy-user-del yes
load -n 9000 -r 4000 -d 60 set key:__rand_int__ __data__
load -n 4000 -r 600 -d 900 set page:__rand_int__ __data__
load -n 6000 -r 300 -d 24 hset user:__rand_int__ field:__rand_int__ __data__
load -n 5000 -r 60 -d 100 rpush list:__rand_int__ __data__
load -n 5000 -r 2000 -d 10 zadd board:__rand_int__ 5 __data__
load -n 5000 -r 4000 get key:__rand_int__
load -n 2000 -r 60 lrange list:__rand_int__ 0 50
cli eval 'for i=1,60 do redis.call("rpush","big:"..(i%3),string.rep("x",i*13)) end
    for i=1,900 do redis.call("sadd","set:"..(i%3),"member"..i) end return 1' 0
load -n 2000 -r 60 del list:__rand_int__
load -n 2000 -r 600 del page:__rand_int__
cli flushall async
sleep 0.5
cli shutdown nosave || true
wait "$server"
