#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" TERM=dumb
{ echo '<html><body><h1>Title</h1><table border=1>'; numbers 300 | awk '{ printf "<tr><td>%d</td><td><a href=\"x%d\">link %d</a></td></tr>\n", $1, NR, NR }'; echo '</table><ul>'; text 100 | sed 's/.*/<li>&/'; echo '</ul><form><input name=a value=b></form><pre>a  b</pre></body></html>'; } >w.html
python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & server=$!; listening 8000
for u in "$PWD/w.html" http://127.0.0.1:8000/w.html; do w3m -dump -cols 70 -T text/html $u | md5sum; lynx -dump -width=70 -nolist $u | md5sum; links -dump $u | md5sum; done
lynx -dump -listonly http://127.0.0.1:8000/w.html | wc -l; kill $server
