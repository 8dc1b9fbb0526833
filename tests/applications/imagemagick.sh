#!/bin/sh
set -eu
export MAGICK_THREAD_LIMIT=2
convert -seed 1 -size 400x300 plasma:red-blue p.png; convert p.png -resize 50% -blur 0x3 -rotate 30 a.png
for op in '-sharpen 0x2' '-edge 2' '-colorspace Lab -modulate 120' '-colors 32' '-distort Arc 60' '-morphology Dilate Disk:3' '-charcoal 2' '-paint 3'; do
    # shellcheck disable=SC2086
    convert p.png -seed 1 $op rgb:- | md5sum
done
for f in jpg gif tiff bmp webp ppm; do convert a.png o.$f; identify -format '%m %wx%h %[channels]\n' o.$f; done
compare -metric RMSE p.png p.png null: 2>&1; echo
montage p.png a.png p.png -geometry 100x100 m.png; convert m.png rgb:- | md5sum
convert -size 200x100 xc:white -fill red -draw 'circle 50,50 20,20' rgb:- | md5sum; convert -delay 5 p.png a.png -coalesce g.gif; identify g.gif | wc -l
