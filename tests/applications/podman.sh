#!/bin/sh
set -eu
mkdir -p c; seq 1 20000 >f; tar -cf r.tar f
p() { podman --root "$PWD/s" --runroot "$PWD/rr" --storage-driver vfs --tmpdir "$PWD/t" --cgroup-manager cgroupfs --events-backend none "$@"; }
p import -q -c 'ENV A=b' r.tar w >/dev/null 2>&1; p images --format '{{.Repository}}' ; p image inspect w --format '{{.Config.Env}} {{.Architecture}}'; p create --name n w /f >/dev/null; p ps -a --format '{{.Names}} {{.Status}}'; p cp n:/f out; md5sum <out; p export n | tar -tf - | grep -c '^f$'; p save -q w -o w.tar; tar -tf w.tar | grep -c json; p rm n >/dev/null; p rmi -f w >/dev/null; p images -q | wc -l; p volume create v; p volume ls -q
