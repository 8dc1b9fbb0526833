#!/bin/sh
set -eu
sox -D -n -r 44100 -c 2 -b 16 w.wav synth 3 sine 440 square 220 vol 0.5
for e in 'reverb 50' 'rate 22050' 'pitch 300' 'echo 0.8 0.9 100 0.3' 'flanger' 'tempo 1.3' 'highpass 500' 'reverse fade 0.5' 'speed 2'; do
    # shellcheck disable=SC2086
    sox -D w.wav -t raw - $e | md5sum
done
sox w.wav -n stat 2>&1 | head -6; flac -s -f -8 -o w.flac w.wav; flac -s -t w.flac && echo tested; flac -sdc w.flac | md5sum
oggenc -Q --serial 1 -o w.ogg w.wav; oggdec -Q -o - w.ogg | md5sum; lame --quiet -b 128 w.wav w.mp3; md5sum <w.mp3; lame --quiet --decode w.mp3 - | md5sum; metaflac --list w.flac | grep -c METADATA
