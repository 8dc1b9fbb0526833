#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 200 | while read -r n; do echo "int f$n(int x) { static int t[100]; return t[x % 100]++ + $n; }" >"p$n.c"; done
gcc -O1 -g -ffunction-sections -c p*.c
echo '#include <stdio.h>' >m.c; for f in p*.c; do n=${f#p}; echo "int f${n%.c}(int);" >>m.c; done; echo 'int main(void) { unsigned s = 0;' >>m.c; for f in p*.c; do n=${f#p}; echo "s += f${n%.c}(3);" >>m.c; done; printf '%s\n' 'printf("%u\n", s); }' >>m.c
gcc -fuse-ld=mold -o m m.c p*.o; ./m; gcc -fuse-ld=mold -Wl,--gc-sections,--icf=all -o g m.c p*.o; ./g; gcc -fuse-ld=mold -Wl,--build-id=none -o a m.c p*.o; gcc -fuse-ld=mold -Wl,--build-id=none -o b m.c p*.o; cmp a b && echo same; gcc -shared -fuse-ld=mold -o l.so p*.o 2>&1 | head -2 | sed 's/p[0-9]*/pN/' | sort -u; readelf -d a | grep -c NEEDED
