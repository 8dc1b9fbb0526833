#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ for i in $(seq 150); do printf '# Title %d\n\n%s\n\n* one\n* two *em* **strong** `code`\n\n| a | b |\n|---|---|\n| %d | $x^2$ |\n\n[link](http://localhost/%d)^[note]\n\n' "$i" "$(text 5)" "$i" "$i"; done; } >w.md
for f in html5 latex rst org docbook5 json man mediawiki plain; do pandoc -t $f w.md | md5sum; done; SOURCE_DATE_EPOCH=0 pandoc -o w.docx w.md; pandoc -t markdown w.docx | md5sum; SOURCE_DATE_EPOCH=0 pandoc -o w.odt w.md; pandoc -t plain w.odt | md5sum; SOURCE_DATE_EPOCH=0 pandoc -o w.epub --metadata title=t w.md; pandoc -t html w.epub | wc -l; pandoc +RTS -A1m -N2 -RTS -f html -t markdown -s --toc <<'H' | head -5
<h1>a</h1><p>b <b>c</b></p>
H
