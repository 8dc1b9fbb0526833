#!/bin/sh
set -eu
for o in --mount --uts --ipc --net '--pid --fork' --user '--user --map-root-user' '--mount --uts --ipc --net --pid --fork --user --map-root-user --mount-proc'; do
    # shellcheck disable=SC2086
    unshare $o sh -c 'echo "$0: $(seq 1 1000 | md5sum)"' "$o"
done
unshare -Umr sh -c 'mount -t tmpfs t /mnt; echo x >/mnt/y; ls /mnt'; unshare -Un python3 -c 'import socket; print(socket.if_nameindex())'; sleep 60 & p=$!; nsenter -t $p -m -u -n sh -c 'echo entered'; kill $p; setpriv --reuid 65534 --clear-groups id -un; setsid -w echo session; chroot / echo chroot; unshare -Ur python3 -c 'import threading, os; t = threading.Thread(target=print, args=(os.getuid(),)); t.start(); t.join()'; prlimit --nproc=50 bash -c 'ulimit -u'; timeout 5 flock l echo locked
