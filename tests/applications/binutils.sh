#!/bin/sh
set -eu
cat >one.c <<'C'
#include <stdio.h>
int shared_value = 42; static int table[200] = {1, 2, 3};
int work(int x) { return table[x % 200] + shared_value; }
C
cat >two.c <<'C'
#include <stdio.h>
extern int work(int); int main(void) { printf("%d\n", work(2)); }
C
gcc -O1 -g -c one.c two.c
ar Drcs lib.a one.o two.o
ranlib -D lib.a
gcc -o program two.o lib.a
./program
nm lib.a
objdump -d one.o | tail -n +4
readelf -S -W program | awk '{ print $2, $3 }'
objdump --dwarf=info one.o | md5sum
strip -o small program
./small
objcopy --only-section=.text -O binary one.o text.bin
md5sum <text.bin
strings -n 8 program | md5sum
addr2line -f -e program "$(nm program | awk '$3 == "main" { print "0x" $1 }')" | head -1
gcc -Wl,-Map=map -o mapped two.o one.o
grep -c one.o map
size -A one.o
c++filt _ZNSt6vectorIiSaIiEE9push_backERKi
printf '.text\nf:\n mov $1, %%eax\n ret\n' | as -o as.o -
objdump -d as.o | tail -3
