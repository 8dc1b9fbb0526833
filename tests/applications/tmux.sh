#!/bin/sh
set -eu
export HOME="$PWD" TERM=screen
t() { tmux -S "$PWD/s" "$@"; }
t -f /dev/null new-session -d -x 80 -y 24 sh
for i in $(seq 1 8); do t new-window -d "seq 1 $((i * 1000)); echo done; cat"; done
t list-windows -a | wc -l
for i in $(seq 1 8); do until t capture-pane -p -t ":$i" | grep -q done; do sleep 0.1; done; t capture-pane -p -S -2000 -t ":$i" | md5sum; done
t set-buffer 'buffer text'; t show-buffer; echo
t resize-window -t :3 -x 40 -y 10; t capture-pane -p -t :3 | grep -c .
t kill-server; sleep 0.5; t ls 2>/dev/null || echo 'no server'
