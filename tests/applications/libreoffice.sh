#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD"
numbers 2000 | awk 'BEGIN { print "a,b,c" } { printf "%d,%d,=A%d*2\n", NR, $1 % 1000, NR + 1 }' >w.csv
{ echo '<html><body><h1>Title</h1>'; text 200 | sed 's/.*/<p>&<\/p>/'; echo '<table><tr><td>1</td><td>2</td></tr></table></body></html>'; } >w.html
s() { soffice -env:UserInstallation="file://$PWD/profile" --headless "$@" >/dev/null 2>&1; }
s --convert-to ods w.csv; s --convert-to xlsx w.ods; mkdir back; s --convert-to csv --outdir back w.xlsx; md5sum <back/w.csv
s '--infilter=HTML (StarWriter)' --convert-to odt w.html; s --convert-to docx w.odt; s --convert-to pdf w.docx; mkdir t; s --convert-to txt:Text --outdir t w.docx
md5sum <t/w.txt; pdftotext w.pdf - | md5sum
