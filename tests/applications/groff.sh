#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ printf '.TH W 1 2001-01-01\n.SH NAME\nw \\- words\n'; for i in $(seq 80); do printf '.SH TITLE %d\n' "$i"; text 10; printf '.TP\n.B option%d\nwhat it does\n.TS\nl r.\na\t%d\nb\t2\n.TE\n.EQ\nx sup %d over 2\n.EN\n' "$i" "$i" "$i"; done; } >w.1
for d in utf8 ascii ps; do groff -t -e -k -man -T$d w.1 2>/dev/null | grep -v '^%%\|Creat\|creat' | sed 's/grohtml-[0-9]*//g' | md5sum; done; man -l w.1 2>/dev/null | md5sum; groff -Tdvi -t -e -man w.1 2>/dev/null | wc -c; groff -ms -Tutf8 <<'R' | head -12
.TL
Title
.NH
One
.PP
text text \fBbold\fP
R
