#!/bin/sh
set -eu
export HOME="$PWD"
{ echo '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/></linearGradient></defs>'; for i in $(seq 150); do echo "<circle id='c$i' cx='$((i * 7 % 300))' cy='$((i * 13 % 200))' r='$((i % 20 + 3))' fill='url(#g)' opacity='0.5'/>"; done; echo '<text x="20" y="100">text</text></svg>'; } >w.svg
inkscape w.svg -o w.png 2>/dev/null; inkscape w.svg -o w.pdf 2>/dev/null; inkscape w.svg --export-plain-svg -o p.svg 2>/dev/null
grep -v xml:space p.svg | md5sum; file w.png | cut -d, -f1-2; pdftotext w.pdf - | md5sum; inkscape --query-all w.svg 2>/dev/null | md5sum
