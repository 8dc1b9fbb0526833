#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD" SOURCE_DATE_EPOCH=0 FORCE_SOURCE_DATE=1
{ printf "%s\n" '\documentclass{article}\begin{document}\tableofcontents'; for i in $(seq 60); do printf "%s\n" "\\section{Title $i}\\label{s$i}"; text 12; printf "%s\n" "See \\ref{s$((i % 60 + 1))}. \\[ \\int_0^{$i} \\frac{x^{$i}}{1+\\sqrt{x}} dx = \\sum_{k=1}^{$i} \\left(\\matrix{k & $i \\cr 1 & 2}\\right) \\]"; done; printf "%s\n" '\end{document}'; } >w.tex
pdflatex -interaction=batchmode w >/dev/null; pdflatex -interaction=batchmode w >/dev/null; grep -E 'Output written|multiply' w.log; latex -interaction=batchmode w >/dev/null; dvips -q -o w.ps w.dvi 2>/dev/null; md5sum <w.dvi; grep -v '^%%\(Creation\|DVIPSSource\)' w.ps | md5sum; md5sum <w.toc; sed 's/ID \[.*//' w.pdf | md5sum
{ text 2000; printf "%s\n" '\bye'; } >p.tex; tex -interaction=batchmode p >/dev/null; md5sum <p.dvi; dvitype p.dvi 2>/dev/null | md5sum || true; printf "%s\n" '\documentclass{x' >x.tex; pdflatex -interaction=nonstopmode x | tail -3 || true; mf '\mode=ljfour; input cmr10' </dev/null 2>&1 | tail -1 | cut -c1-20 || true
