#!/bin/sh
set -eu
cat >w.gp <<'GP'
set samples 2000; set isosamples 60
set table "t1"; plot sin(x) * x, besj0(x); set table "t2"; splot sin(x) * cos(y); unset table
set terminal svg; set output "o.svg"; set hidden3d; splot x**2 - y**2, sin(x * y); set output "p.svg"; plot for [i=1:20] sin(x * i) / i title sprintf("n%d", i)
set terminal postscript; set output "o.ps"; set contour; splot x * y; set terminal dumb 79 24; set output; plot cos(x)
stats "t1" using 2 nooutput; print STATS_records; array A[100]; do for [i=1:100] { A[i] = sprintf("%d", i * i) }; print A[77], |A|
GP
gnuplot w.gp 2>&1; md5sum t1 t2 o.svg p.svg; grep -v '^%%\|Date' o.ps | md5sum
