#!/bin/sh
set -eu
mkdir -p r/bin; printf 'FROM scratch\nCOPY f /f\nENV A=b\nLABEL x=y\nCMD ["/f"]\n' >Containerfile; seq 1 20000 >f
b() { buildah --root "$PWD/s" --runroot "$PWD/rr" --storage-driver vfs "$@"; }
b bud -q --timestamp 0 -t w . >id; b inspect --format '{{.OCIv1.Config.Env}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.Labels}}' w | sed 's/io.buildah.version:[0-9.]*//'; c=$(b from w); m=$(b mount "$c"); md5sum <"$m/f"; echo new >"$m/new"; b umount "$c" >/dev/null; b config --env C=d "$c"; b commit -q --timestamp 0 "$c" w2 >/dev/null; b images --format '{{.Name}} {{.Size}}' | sort; b push -q w2 "oci-archive:$PWD/o.tar:w2"; tar -tf o.tar | grep -c blobs; b rm -a >/dev/null; b rmi -a -f >/dev/null; b images -q | wc -l
