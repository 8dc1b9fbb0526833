#!/bin/sh
set -eu
cat >work.tcl <<'TCL'
set x 1
for {set i 0} {$i < 30000} {incr i} { set x [expr {($x * 1103515245 + 12345) % 2147483648}]; dict incr d [expr {$x % 500}]; append s $x; lappend l $x }
puts [zlib crc32 [lsort -integer $l]]; puts [dict size $d]; puts [string length $s]; puts [lrange [lsort -stride 2 -index 1 -integer [dict get [dict create a $d] a]] 0 9]
puts [expr {7 ** 900}]; puts [regsub -all {(\d)7} [string range $s 0 2000] {<\1>}]
proc fib n { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }; puts [fib 20]
interp create c; puts [c eval { for {set i 0} {$i < 20000} {incr i} { set a($i) [string repeat x [expr {$i % 200}]] }; array size a }]; interp delete c
foreach i {1 2 3} { coroutine co$i apply {{i} { yield; for {set k 0} {$k < 1000} {incr k} { yield [expr {$k * $i}] } }} $i }
set t 0; for {set k 0} {$k < 1000} {incr k} { foreach i {1 2 3} { incr t [co$i] } }; puts $t
puts [encoding convertfrom utf-8 [zlib inflate [zlib deflate [string repeat abc 10]]]]
TCL
tclsh work.tcl
