#!/bin/sh
set -eu
# bash and sh: arrays, substitutions, pipes and many short processes.
. "$(dirname "$0")/common"
text 300 >text
cat >script <<'SH'
declare -A count
while read -r -a words; do for w in "${words[@]}"; do count[$w]=$((${count[$w]-0} + 1)); done; done <text
for w in "${!count[@]}"; do echo "$w ${count[$w]}"; done | sort | head -40
list=(); for ((i = 0; i < 5000; i++)); do list+=("item $i"); done; echo "${#list[@]} ${list[4321]}"
long=$(printf 'x%.0s' {1..20000}); echo "${#long}" "${long//x/yy}" | md5sum
coproc { while read -r l; do echo "<$l>"; done; }
for i in 1 2 3; do echo "$i" >&"${COPROC[1]}"; read -r back <&"${COPROC[0]}"; echo "$back"; done
SH
bash script
sh -c 'i=0; while [ $i -lt 200 ]; do /bin/echo $i; i=$((i + 1)); done' | md5sum
for i in 1 2 3 4 5 6 7 8; do (sleep 0.05; echo "$i" >"out$i") & done; wait; cat out?
