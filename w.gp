set samples 2000; set isosamples 60; set dummy x,y
set table "t1"; plot sin(x) * x, besj0(x); set table "t2"; splot sin(x) * cos(y); unset table
set terminal svg; set output "o.svg"; set hidden3d; splot x**2 - y**2, sin(x * y); set output "p.svg"; plot for [i=1:20] sin(x * i) / i title sprintf("n%d", i)
set terminal postscript; set output "o.ps"; set contour; splot x * y; set terminal dumb 79 24; set output; plot cos(x)
f(x) = a * x**2 + b; a = 1; b = 1; set fit quiet logfile "/dev/null"; fit f(x) "t1" using 1:2 via a, b; print sprintf("%.5f %.5f", a, b); stats "t1" using 2 nooutput; print STATS_records; array A[100]; do for [i=1:100] { A[i] = sprintf("%d", i * i) }; print A[77], |A|
