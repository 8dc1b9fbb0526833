#!/bin/sh
set -eu
fakeroot sh -c 'id -u; touch a; chown 1:2 a; stat -c "%u %g" a; mknod d c 1 3; stat -c %F d; tar -cf t.tar a; tar -tvf t.tar | cut -c1-15'
mkdir -p p/DEBIAN p/usr/share/w; seq 1 9000 >p/usr/share/w/f; printf 'Package: w\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: w\n' >p/DEBIAN/control; touch -d @0 p/DEBIAN p/DEBIAN/control p/usr p/usr/share p/usr/share/w p/usr/share/w/f
for z in xz gzip zstd; do SOURCE_DATE_EPOCH=0 fakeroot dpkg-deb -Z$z -b p w.deb; dpkg-deb -c w.deb | awk '{ print $1, $2, $6 }'; dpkg-deb --fsys-tarfile w.deb | md5sum; done; dpkg --compare-versions 1.2~a lt 1.2 && echo less; fakeroot -- python3 -c 'import os; print(os.getuid())'; su nobody -s /bin/sh -c 'fakeroot id -u'
