#!/bin/sh
set -eu
f() { ffmpeg -nostdin -v error -y -bitexact -threads 2 "$@"; }
f -f lavfi -i testsrc2=d=2:s=320x240:r=25 -f lavfi -i 'sine=440:d=2' -flags:v bitexact -c:v mpeg4 -c:a pcm_s16le o.mkv
f -i o.mkv -f framemd5 - | tail -n +10 | md5sum
for c in libx264 libx265 libvpx mpeg2video ffv1 mjpeg huffyuv; do f -f lavfi -i testsrc2=d=0.6:s=160x120:r=25 -c:v $c -f matroska x.mkv 2>/dev/null; f -i x.mkv -f null - && echo $c; done
for c in libmp3lame aac flac libopus libvorbis ac3; do f -i o.mkv -vn -c:a $c -strict -2 -f matroska a.mka; f -i a.mka -f null - && echo $c; done
f -i o.mkv -vf 'scale=160:-1,hue=h=90,boxblur=3,transpose,split[a][b];[a]negate[c];[c][b]hstack' -f framemd5 - | md5sum; f -i o.mkv -af 'aecho,atempo=1.5,volume=0.5' -f md5 -
ffprobe -v error -show_entries stream=codec_name,width,height -of csv o.mkv
