#!/bin/sh
set -eu
export HOME="$PWD"
Xvfb :7 -screen 0 640x480x24 -nolisten tcp >log 2>&1 & server=$!; export DISPLAY=:7
tries=0; until xdpyinfo >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 100 ]; sleep 0.2; done
xdpyinfo | grep -E 'dimensions|number of extensions'
for i in 1 2 3 4 5; do xterm -geometry 40x10 -e sh -c "seq 1 $((i * 500)); echo done $i >x$i" & eval "p$i=$!"; done
# shellcheck disable=SC2154
wait $p1 $p2 $p3 $p4 $p5; cat x1 x2 x3 x4 x5
xeyes & a=$!; xclock -digital & b=$!; xlogo & c=$!; sleep 1; xwininfo -root -tree | grep -cE '"(xeyes|xclock|xlogo)"'; kill $a $b $c
kill $server; wait $server || echo "server ended $?"
