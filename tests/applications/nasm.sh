#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ printf 'section .text\nglobal _start\n_start:\n'; numbers 3000 | awk '{ printf "l%d: mov eax, %d\n lea rbx, [rel d%d]\n%%rep 3\n nop\n%%endrep\n", NR, $1, NR }'; printf ' mov eax, 60\n mov edi, 7\n syscall\nsection .data\n'; numbers 3000 | awk '{ printf "d%d: dq %d, l%d\n", NR, $1, NR }'; } >w.asm
nasm -f elf64 -o w.o w.asm; md5sum <w.o; ld -o w w.o; ./w || echo "ended $?"; ndisasm -b 64 w.o | md5sum; nasm -f bin -O0 -o w.bin w.asm 2>&1 | head -3; yasm -f elf64 -o y.o - <<'Y'
section .text
f: mov rax, 1
   ret
Y
objdump -d y.o | tail -3; echo ' bogus eax' >x.asm; nasm x.asm 2>&1 || true
