#!/bin/sh
set -eu
cat >work.py <<'PY'
from lxml import etree
import yaml, hashlib
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
root = etree.Element('r')
for i in range(20000): etree.SubElement(root, 'e%d' % (i % 7), n=str(i)).text = 'text %d' % i
data = etree.tostring(root); print(hashlib.sha256(data).hexdigest(), len(etree.fromstring(data).xpath('//e3[@n mod 5 = 0]')))
xslt = etree.XSLT(etree.XML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><o><xsl:for-each select="//e1"><xsl:sort select="@n"/><x><xsl:value-of select="."/></x></xsl:for-each></o></xsl:template></xsl:stylesheet>'))
print(hashlib.sha256(bytes(xslt(root))).hexdigest())
d = {'k%d' % i: [i, {'x': [str(i)] * (i % 9)}] for i in range(1500)}
t = yaml.dump(d, Dumper=yaml.CSafeDumper); print(hashlib.sha256(t.encode()).hexdigest(), yaml.load(t, Loader=yaml.CSafeLoader) == d)
f = Fernet(Fernet.generate_key()); print(f.decrypt(f.encrypt(b'secret' * 10000)) == b'secret' * 10000)
k = rsa.generate_private_key(public_exponent=65537, key_size=2048); print(k.key_size)
print(PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=b's', iterations=20000).derive(b'p').hex())
PY
python3 work.py
