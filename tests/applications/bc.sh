#!/bin/sh
set -eu
echo 'scale=1500; 4*a(1); e(1); sqrt(2)' | BC_LINE_LENGTH=0 bc -l | cut -c1-1400
echo 'define f(n) { if (n < 2) return 1; return n * f(n - 1); } f(700); 2^9999 % 10^50; for (i = 0; i < 20000; i++) a[i % 2000] += i; a[777]' | bc
printf '%s\n' '[la1+dsa*pla1000>y]sy 0sa 1 lyx' '2 4000^ 97%p' '100k 2vp' '16o 123456789p' | dc 2>&1 | tail -5
