#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export GNUPGHOME="$PWD/g"; mkdir -m 700 g; text 10000 >t
g() { gpg --batch --quiet --no-tty --trust-model always --passphrase secret --pinentry-mode loopback "$@"; }
g --quick-generate-key a@b ed25519 default never 2>/dev/null; g --quick-generate-key r@b default default never 2>/dev/null; g --list-keys --with-colons | grep -c '^uid'
g -e -r r@b -o e t; g -d e | cmp - t && echo same; g -u a@b -s -o s t; g -d s 2>/dev/null | cmp - t && echo same; g -u a@b --clearsign -o c t; g --verify c 2>&1 | grep -c 'Good signature'; g -c -o y t; g -d y 2>/dev/null | cmp - t && echo same; g --export-secret-keys -a | grep -c BEGIN; g --print-md SHA256 t | tr -d ' \n'; echo; gpgconf --kill all
