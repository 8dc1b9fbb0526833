#!/bin/sh
set -eu
. "$(dirname "$0")/common"
text 500 >t
cat >work.zsh <<'Z'
zmodload zsh/mapfile zsh/datetime zsh/system; typeset -A n; for w in ${=mapfile[t]}; do (( n[$w]++ )); done; for k in ${(ok)n}; do [[ $k == [a-z]* ]] && print $k $n[$k]; done | head -20
a=({1..20000}); print ${#a} ${(j:+:)a[1,20]} $(( ${(j:+:)a} )); print ${(U)a[5]} ${(%):-%%} ${(l:20::.:)a[7]}; f() { local x=$1; (( x > 0 )) && { f $(( x - 1 )); }; print -n $x, }; f 100; print
for i in {1..30}; do (print $i) & done | sort -n; wait; print -l /usr/bin/[g]zip(N) **/*(.N); x=; repeat 2000 x+=$'\t'abc; print ${#x} ${#${x//abc/longer}}
Z
zsh -f work.zsh
