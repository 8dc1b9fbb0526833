# Sorts 50 MB on four threads within 20 MB of buffers, so that it merges from files too.
set -eu
awk 'BEGIN { x = 1; for (i = 0; i < 1500000; i++) { x = (x * 48271) % 2147483647;
    printf "%010d some text to carry %d\n", x, i % 1000 } }' > unsorted
wc -c < unsorted
LC_ALL=C sort --parallel=4 --buffer-size=20M --temporary-directory=. unsorted | sha256sum
LC_ALL=C sort --parallel=4 --buffer-size=300M --key=6n --key=1 unsorted | sha256sum
