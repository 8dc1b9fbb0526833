#!/bin/sh
set -eu
cat >w.pov <<'POV'
#version 3.7; global_settings { assumed_gamma 1 } camera { location <0, 3, -8> look_at 0 } light_source { <5, 9, -5> rgb 1 } plane { y, -1 pigment { checker rgb 1 rgb 0.2 } finish { reflection 0.3 } }
#declare R = seed(1); #for (I, 1, 150) sphere { <rand(R) * 8 - 4, rand(R) * 3, rand(R) * 8>, 0.3 + rand(R) * 0.3 texture { pigment { rgb <rand(R), rand(R), rand(R)> } normal { bumps 0.4 } finish { phong 1 reflection 0.2 } } } #end
difference { box { -1, 1 } sphere { 0, 1.3 } pigment { marble } }
POV
HOME=$PWD povray +Iw.pov +Oo.ppm +FP +W200 +H150 +WT1 -D +A0.3 -J >/dev/null 2>&1; md5sum <o.ppm
