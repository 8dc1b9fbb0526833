#!/bin/sh
set -eu
export HOME="$PWD"
cat >w.scm <<'SCM'
(let* ((i (car (gimp-image-new 300 200 RGB))) (l (car (gimp-layer-new i 300 200 RGB-IMAGE "l" 100 LAYER-MODE-NORMAL)))) (gimp-image-insert-layer i l 0 0) (gimp-context-set-foreground '(200 30 90)) (gimp-drawable-edit-fill l FILL-FOREGROUND) (plug-in-plasma RUN-NONINTERACTIVE i l 7 3.0) (plug-in-gauss RUN-NONINTERACTIVE i l 9 9 0) (gimp-drawable-brightness-contrast l 0.2 0.3) (gimp-image-scale i 150 100) (gimp-image-rotate i ROTATE-90) (file-ppm-save RUN-NONINTERACTIVE i l "o.ppm" "o.ppm" 1) (gimp-xcf-save 0 i l "o.xcf" "o.xcf") (gimp-image-delete i))
(let* ((i (car (gimp-file-load RUN-NONINTERACTIVE "o.xcf" "o.xcf"))) (d (car (gimp-image-flatten i)))) (file-png-save-defaults RUN-NONINTERACTIVE i d "o.png" "o.png"))
(gimp-quit 0)
SCM
gimp -i -d -f -n --no-data -b - <w.scm >log 2>&1
tail -n +4 o.ppm | md5sum; file o.xcf o.png | cut -d, -f1-2
