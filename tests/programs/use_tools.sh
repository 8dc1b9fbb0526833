# Archives, compression on threads, and text tools, over files made here; prints digests.
set -eu
mkdir files
awk 'BEGIN { srand(7); for (f = 0; f < 60; f++) for (i = 0; i < 3000; i++)
    printf "%d line %d of file %d\n", (i * 7919 + f * 104729) % 100003, i, f > ("files/f" f) }'
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=644 -cf all.tar files
sha256sum < all.tar
xz --threads=2 --block-size=1MiB --keep all.tar
xz --decompress --stdout all.tar.xz | sha256sum
gzip --no-name --stdout all.tar | gzip --decompress | sha256sum
mkdir out
tar -xf all.tar.xz -C out
cat out/files/* | sort --numeric-sort --parallel=2 | uniq --count | sha256sum
grep --recursive --no-filename 'line 29[0-9]* of' out | sed 's/line \([0-9]*\)/\1 line/' | sort |
    sha256sum
find out -type f | sort | xargs cat |
    awk '{ count[$1 % 100]++ } END { for (k in count) n += count[k] * k; print n }'
