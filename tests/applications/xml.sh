#!/bin/sh
set -eu
. "$(dirname "$0")/common"
{ echo '<?xml version="1.0"?><!DOCTYPE r [<!ELEMENT r (e*)><!ELEMENT e (#PCDATA)><!ATTLIST e n CDATA #REQUIRED id ID #IMPLIED><!ENTITY x "entity">]><r>'; numbers 20000 | awk '{ printf "<e n=\"%d\" id=\"i%d\">text &x; %d</e>\n", $1, NR, NR }'; echo '</r>'; } >w.xml
xmllint --valid --noout w.xml && echo valid; xmllint --format --noent w.xml | md5sum; xmllint --c14n w.xml | md5sum; xmllint --xpath 'sum(//e[position() < 500]/@n)' w.xml; echo; xmllint --stream --noout w.xml; xmllint --sax w.xml | md5sum; xmllint --html --xmlout --recover - 2>/dev/null <<'H' | tail -1
<p>a<b>c</p>
H
cat >w.xsl <<'X'
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:key name="k" match="e" use="@n mod 97"/><xsl:output indent="yes"/><xsl:template match="/"><o><xsl:for-each select="//e[generate-id() = generate-id(key('k', @n mod 97)[1])]"><xsl:sort select="@n mod 97" data-type="number"/><g k="{@n mod 97}" n="{count(key('k', @n mod 97))}"/></xsl:for-each></o></xsl:template></xsl:stylesheet>
X
xsltproc w.xsl w.xml | md5sum; printf '<a><b></a>' | xmllint - 2>&1 || true
