#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" USER=root
fossil init r --date-override '2001-01-01' >/dev/null
mkdir w; cd w; fossil open ../r >/dev/null
for i in $(seq 1 10); do text $((i * 50)) >f; echo "$i" >"n$i"; fossil addremove >/dev/null; fossil commit -m "change $i" --no-warnings --date-override "$(printf "2001-02-%02dT00:00:00" "$i")" >/dev/null; done
fossil ls | wc -l; fossil cat f | md5sum; fossil timeline -n 20 -t ci | grep -c change; fossil test-integrity | tail -1 | sed 's/[0-9]* .*/checked/'; fossil annotate f | md5sum >/dev/null; fossil rebuild ../r >/dev/null 2>&1; fossil sqlite --no-repository ':memory:' 'select 6*7' 2>/dev/null || true; fossil export --git ../r 2>/dev/null | grep -ac '^commit'
