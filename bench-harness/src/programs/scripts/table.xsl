<?xml version="1.0"?>
<!-- Renders records as a page: sorted, grouped by key, with totals. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="html" indent="yes"/>
<xsl:key name="cities" match="record" use="@city"/>
<xsl:template match="/records">
<html><body>
<xsl:for-each select="record[generate-id() = generate-id(key('cities', @city)[1])]">
<xsl:sort select="@city"/>
<h2><xsl:value-of select="@city"/> (<xsl:value-of select="count(key('cities', @city))"/>)</h2>
<table><xsl:apply-templates select="key('cities', @city)"><xsl:sort select="name"/></xsl:apply-templates></table>
</xsl:for-each>
</body></html>
</xsl:template>
<xsl:template match="record">
<tr id="{@id}"><td><xsl:value-of select="name"/></td><td><xsl:value-of select="sum(order/@price)"/></td>
<td><xsl:for-each select="tag"><xsl:value-of select="concat(translate(., 'aeiou', 'AEIOU'), ' ')"/></xsl:for-each></td></tr>
</xsl:template>
</xsl:stylesheet>
