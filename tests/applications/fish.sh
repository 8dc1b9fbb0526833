#!/bin/sh
set -eu
cat >work.fish <<'F'
set l (seq 5000); count $l; string join + $l[1..20]; math (string join + $l[1..500]); for i in $l[1..300]; set -a m (string repeat -n $i x); end; string length -- $m | tail -3
function f; if test $argv[1] -gt 0; f (math $argv[1] - 1); end; echo -n $argv[1],; end; f 40; echo; string match -ar '\d7' $l | count; seq 100 | while read x; echo $x; end | sort -r | head -3; string replace -a 7 seven $l[70..80]; echo (count (string split '' $m[200])); set -q nothing; or echo unset
F
HOME=$PWD fish --no-config work.fish
