#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 200000 >n; text 20000 >t
sort -n n | md5sum; sort --parallel=4 -S 2M n | md5sum; sort -u -k2 t | md5sum; sort -R --random-source=n t | md5sum
uniq -c t | tail -1; cut -d' ' -f2-4 t | tac | md5sum; shuf --random-source=n -n 5 t; paste n n | head -1000 | md5sum
join n n 2>/dev/null | head -3; comm -12 n n 2>/dev/null | wc -l; tr a-z A-Z <t | fold -w 50 | md5sum
split -l 5000 t part; cat part* | cmp - t; wc t; od -x n | tail -3; base64 n | md5sum; nl t | tail -1; expand t | md5sum
sha512sum n t; cksum n; b2sum n; factor 1234567890123456789 99999999999999999999; seq -s, 1 1000 | md5sum; pr t | wc -l
ls -l --time-style=+ part* | awk '{ print $5, $6 }'; du -b n t; stat -c %s n; csplit -s t '/^777 /'; wc -l xx00; tsort <<T
a b
b c
c d
T
numfmt --to=iec 123456789; date -u -d @86400 +%F; printf '%s\n' "$(realpath -m /a/../b)"; expr 12345 '*' 6789; ptx t | md5sum
