#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ echo 'syntax = "proto3"; package w;'; numbers 300 | awk '{ printf "message M%d { int32 a = 1; repeated string b = 2; map<string, int64> c = 3; oneof o { bytes d = 4; %s e = 5; } enum E { Z%d = 0; Y%d = %d; } E f = 6; }\n", NR, (NR > 1 ? "M" (NR - 1) : "double"), NR, NR, $1 % 1000 + 1 }'; } >w.proto
mkdir o; protoc --cpp_out=o --python_out=o --java_out=o --ruby_out=o --descriptor_set_out=d w.proto; find o -type f -exec md5sum {} + | sort; md5sum <d
numbers 2000 | awk '{ printf "b: \"s%d\" c { key: \"k%d\" value: %d }\n", $1, NR, $1 }' | protoc --encode=w.M9 w.proto >m; md5sum <m; protoc --decode=w.M9 w.proto <m | sort | md5sum; protoc --decode_raw <m | md5sum; echo 'message X { int32 a = 1 }' >x.proto; protoc --cpp_out=o x.proto 2>&1 || true
