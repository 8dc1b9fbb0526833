#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 20 | while read -r n; do echo "int f$n(int x) { return x + $n; }" >"p$n.c"; done
{ echo "project('w', 'c')"; printf "l = static_library('l', "; for f in p*.c; do printf "'%s', " "$f"; done; echo ')'; echo "e = executable('w', 'm.c', link_with: l)"; echo "test('runs', e)"; echo "foreach i : range(200)"; echo "  set_variable('v@0@'.format(i), i * 7)"; echo endforeach; echo "message('counted @0@'.format(v150))"; } >meson.build
printf '#include <stdio.h>\nint main(void) { puts("built"); }\n' >m.c
meson setup b | grep -E 'counted|Build targets'; ninja -C b >/dev/null; ./b/w; meson test -C b 2>&1 | grep -E '^(Ok|Fail):'; meson introspect --targets b | python3 -c 'import json,sys; print(sorted(t["name"] for t in json.load(sys.stdin)))'
