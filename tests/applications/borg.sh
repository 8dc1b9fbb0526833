#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" BORG_PASSPHRASE=secret BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
mkdir d; for i in $(seq 40); do text $((i * 60)) >"d/$i"; done
borg init -e repokey-blake2 r 2>/dev/null; borg create -C zstd,6 r::one d; text 3000 >d/new; borg create -C lzma r::two d; borg list --short r; borg list r::two --format '{path} {size} {xxh64}{NL}' | sort | md5sum; mkdir x; (cd x; borg extract ../r::two); diff -r d x/d && echo same; borg diff --content-only r::one two | sort; borg check --verify-data r; borg prune --keep-last 1 r; borg compact r; borg list --short r; borg export-tar r::two - | tar -t | wc -l
