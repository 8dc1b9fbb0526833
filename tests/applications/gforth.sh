#!/bin/sh
set -eu
cat >work.fs <<'F'
: lcg 1103515245 * 12345 + 2147483647 and ;
: run 1 100000 0 do lcg loop . ; run cr
: fib dup 2 < if exit then dup 1- recurse swap 2 - recurse + ; 27 fib . cr
: mem 0 2000 1 do i 37 * allocate throw dup i swap c! dup c@ rot + swap i 91 * resize throw free throw loop . ; mem cr
variable v 1000 cells allot : fill-it 1000 0 do i dup * v i cells + ! loop ; fill-it : total 0 1000 0 do v i cells + @ + loop . cr ; total bye
F
gforth work.fs
