#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 60000 >t
bzip2 -9c t | md5sum; bzip2 -c t | bzip2 -dc | cmp - t; pbzip2 -p3 -b1 -c t >p; md5sum <p; pbzip2 -dc -p3 p | cmp - t; pigz -p3 -nc t >g; md5sum <g; pigz -dc g | cmp - t; pigz -11 -nc n 2>/dev/null || head -c 30000 t | pigz -11 -nc | md5sum; lz4 -9qc t >l; md5sum <l; lz4 -dqc l | cmp - t; lzop -c <t >o; lzop -dc <o | cmp - t; brotli -q 9 -w 22 -c t >b; md5sum <b; brotli -dc b | cmp - t; brotli -q 11 -c t | wc -c
