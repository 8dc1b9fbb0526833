#!/bin/sh
set -eu
gm convert -size 400x300 gradient:red-blue p.png
for op in '-blur 0x3' '-edge 2' '-rotate 33' '-resize 77%' '-swirl 90' '-emboss 1' '-colors 16'; do
    # shellcheck disable=SC2086
    gm convert p.png $op rgb:- | md5sum
done
for f in jpg gif tiff bmp ppm; do gm convert p.png o.$f; gm identify -format '%m %wx%h\n' o.$f; done
OMP_NUM_THREADS=4 gm convert p.png -gaussian 0x9 rgb:- | md5sum; gm compare -metric mse p.png o.jpg | tail -1
