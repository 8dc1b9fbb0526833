#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 2000 | awk '{ printf "10.%d.%d.%d h%d.a\n", $1 % 250, $1 % 240, $1 % 230, NR }' >hosts
dnsmasq -k -C /dev/null -p 5300 -a 127.0.0.1 --bind-interfaces --no-resolv --no-hosts --addn-hosts="$PWD/hosts" --txt-record=t.a,text --user=root --pid-file= --log-facility="$PWD/log" & server=$!; listening 5300
for i in 1 7 99 1999; do dig -p 5300 @127.0.0.1 +short h$i.a; done; seq 1 500 | sed 's/.*/h&.a A/' >q; dig -p 5300 @127.0.0.1 +short -f q | md5sum; dig -p 5300 @127.0.0.1 +tcp +short t.a TXT; dig -p 5300 @127.0.0.1 x.b | grep -c REFUSED; echo 10.1.1.1 new.a >>hosts; kill -HUP $server; sleep 1; dig -p 5300 @127.0.0.1 +short new.a; kill $server; wait $server; echo "server ended $?"
