#!/bin/sh
set -eu
{ echo '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><defs><radialGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/></radialGradient><filter id="f"><feTurbulence baseFrequency="0.05"/><feGaussianBlur stdDeviation="2"/></filter></defs>'; for i in $(seq 200); do echo "<path d='M$((i * 7 % 300)) $((i * 13 % 200)) q 20 $((i % 40)) 30 9 z' fill='url(#g)' opacity='0.6'/>"; done; echo '<rect x="50" y="50" width="100" height="50" filter="url(#f)"/><text x="20" y="100">text</text></svg>'; } >w.svg
rsvg-convert -z 2 w.svg | md5sum; rsvg-convert -f svg w.svg | md5sum; rsvg-convert -f pdf w.svg | head -c 5; echo
for i in 1 2 3 4 5 6 7 8 9; do rsvg-convert -w $((i * 60)) w.svg | md5sum; done
awk 'BEGIN { print "P1 200 200"; for (y = 0; y < 200; y++) for (x = 0; x < 200; x++) print ((x - 100) ^ 2 + (y - 100) ^ 2) % 3000 < 1500 }' >b.pbm; potrace -s -o - b.pbm | md5sum; potrace -b geojson -o - b.pbm | md5sum
echo '<svg' | rsvg-convert 2>&1 | head -1
