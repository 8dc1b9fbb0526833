#!/bin/sh
set -eu
{ echo '%!PS'; for i in $(seq 60); do echo "/Helvetica findfont $((i % 30 + 5)) scalefont setfont $((i * 7 % 500)) $((i * 13 % 700)) moveto (text $i) show newpath $((i * 5)) $((i * 3)) $((i % 50 + 3)) 0 360 arc $i 60 div 0.5 0.2 setrgbcolor fill"; done; echo 'showpage 0 1 300 { /x exch def 0 1 50 { x mul 77 mod 3 mul x moveto 10 20 rlineto stroke } for } for showpage'; echo '1 1 20000 { 3 mul string pop } for (done) ='; } >w.ps
g() { gs -q -dNOPAUSE -dBATCH "$@"; }
g -sDEVICE=ppmraw -r60 -sOutputFile=o%d.ppm w.ps; md5sum o*.ppm
g -sDEVICE=pdfwrite -sOutputFile=w.pdf w.ps
for d in pnggray bmp256 ps2write txtwrite tiffg4 bbox; do g -sDEVICE=$d -r50 -sOutputFile=o.$d w.pdf 2>&1; done
md5sum o.pnggray o.bmp256 o.txtwrite
g -dNumRenderingThreads=4 -dMaxBitmap=100000 -dBandHeight=50 -sDEVICE=ppmraw -r150 -sOutputFile=big.ppm w.pdf; md5sum <big.ppm
echo '1 0 div' | gs -q -dNODISPLAY - 2>&1 | head -1
