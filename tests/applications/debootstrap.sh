#!/bin/sh
set -eu
mkdir -p repo/dists/x/main/binary-all repo/dists/x/main/binary-amd64 repo/pool
for i in $(seq 12); do mkdir -p "k$i/DEBIAN" "k$i/usr/share/w$i"; seq 1 $((i * 100)) >"k$i/usr/share/w$i/data"; printf 'Package: w%d\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nPriority: required\nDescription: w\n%s\n' "$i" "$([ "$i" = 1 ] || echo "Depends: w$((i - 1))
")" >"k$i/DEBIAN/control"; dpkg-deb -b --root-owner-group "k$i" repo/pool >/dev/null; done
(cd repo; dpkg-scanpackages -m pool >dists/x/main/binary-amd64/Packages 2>/dev/null; cp dists/x/main/binary-amd64/Packages dists/x/main/binary-all/Packages; apt-ftparchive -o APT::FTPArchive::Release::Codename=x -o APT::FTPArchive::Release::Suite=x -o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures=amd64 release dists/x >R; mv R dists/x/Release)
debootstrap --no-check-gpg --foreign --arch=amd64 --variant=minbase --include="$(seq -s, -f w%g 12)" x "$PWD/root" "file://$PWD/repo" /usr/share/debootstrap/scripts/sid >log 2>&1 || { tail -3 log; true; }
ls root/var/cache/apt/archives 2>/dev/null | grep -c '^w' || true; mkdir -p o/var/lib/dpkg/info o/var/lib/dpkg/updates; touch o/var/lib/dpkg/status; dpkg --root="$PWD/o" --force-script-chrootless -i repo/pool/*.deb 2>/dev/null | grep -c 'Setting up'; dpkg --root="$PWD/o" -l | grep -c '^ii'; cat o/usr/share/w7/data | md5sum; dpkg --root="$PWD/o" -r w12 | tail -1; dpkg --root="$PWD/o" --audit; apt-ftparchive packages repo/pool | grep -c '^SHA256'; dpkg-query --admindir=o/var/lib/dpkg -W | md5sum
