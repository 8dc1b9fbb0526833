#!/bin/sh
set -eu
b() { bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp "$@"; }
b --unshare-pid sh -c 'seq 1 5000 | md5sum; ls /tmp | wc -l'; b --unshare-all --die-with-parent sh -c 'id -u; hostname; ls /sys/class/net'; b --unshare-uts --hostname inside hostname; b python3 -c 'import threading; t = [threading.Thread(target=lambda: sum(range(10**5))) for _ in range(8)]; [x.start() for x in t]; [x.join() for x in t]; print("threads")'; b --unshare-user --uid 1000 id -u; b --unshare-ipc --cap-drop ALL sh -c 'grep CapEff /proc/self/status'; for i in $(seq 20); do b --unshare-pid true; done; echo 20; b false || echo "ended $?"
