#!/bin/sh
set -eu
cat >work.exp <<'X'
log_user 0; set timeout 20; spawn sh; send "PS1='>>'\n"; expect -re {>>$}
for {set i 0} {$i < 60} {incr i} { send "echo result-\$(($i * $i))\n"; expect -re {result-(\d+)[^0-9]}; append o $expect_out(1,string) , }; puts $o
spawn bc -q; for {set i 1} {$i < 30} {incr i} { send "2^$i*7\n"; expect -re "\n(\\d+)\r" { puts $expect_out(1,string) } }; close; wait
X
expect -f work.exp
