#!/bin/sh
set -eu
{ echo '%!PS'; for i in $(seq 40); do echo "/Times-Roman findfont $((i % 30 + 5)) scalefont setfont $((i * 7 % 500)) $((i * 13 % 700)) moveto (text number $i) show $((i * 5)) $((i * 3)) $((i % 50 + 3)) 0 360 arc stroke showpage"; done; } >w.ps
gs -q -dNOPAUSE -dBATCH -sDEVICE=pdfwrite -sOutputFile=w.pdf w.ps
pdftotext w.pdf - | md5sum; pdftotext -layout -bbox w.pdf - | grep -v meta | md5sum; pdfinfo w.pdf | grep -E 'Pages|Page size'
pdftoppm -r 40 w.pdf p; cat p*.ppm | md5sum; pdftocairo -png -r 30 w.pdf c; cat c*.png | md5sum; pdfseparate w.pdf s%d.pdf; pdfunite s1.pdf s9.pdf u.pdf; pdfinfo u.pdf | grep Pages; pdffonts w.pdf | awk 'NR > 2 { print $2 }'
qpdf --static-id --object-streams=generate --linearize w.pdf q.pdf; qpdf --check q.pdf | tail -1; qpdf --encrypt u o 256 -- w.pdf e.pdf; qpdf --password=u --show-npages e.pdf
mutool draw -r 40 -o m%d.ppm w.pdf 2>/dev/null; cat m*.ppm | md5sum; mutool show w.pdf pages | wc -l; mutool clean -gggg w.pdf x.pdf; pdftotext x.pdf - | md5sum
