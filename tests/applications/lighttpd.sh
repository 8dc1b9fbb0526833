#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 40); do text $((i * 30)) >"d/$i.txt"; done; chmod 755 . d
printf 'server.document-root = "%s/d"\nserver.port = 8000\nserver.bind = "127.0.0.1"\nserver.modules = ("mod_deflate", "mod_redirect", "mod_dirlisting")\ndir-listing.activate = "enable"\ndeflate.mimetypes = ("text/")\ndeflate.allowed-encodings = ("gzip")\nurl.redirect = ("^/old/(.*)" => "/$1")\nmimetype.assign = (".txt" => "text/plain")\n' "$PWD" >c
lighttpd -D -f c >log 2>&1 & server=$!; listening 8000
curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -s --compressed 'http://127.0.0.1:8000/[1-40].txt' | md5sum; curl -sL 'http://127.0.0.1:8000/old/7.txt' | md5sum; curl -s http://127.0.0.1:8000/ | grep -c 'txt<'; for i in 1 2 3 4 5 6; do curl -s 'http://127.0.0.1:8000/[1-40].txt' | md5sum & done; wait %2 %3 %4 %5 %6 %7 2>/dev/null || true; kill -INT $server; wait $server; echo "server ended $?"
