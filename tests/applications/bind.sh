#!/bin/sh
set -eu
. "$(dirname "$0")/common"
chmod 777 .; { printf '$TTL 60\n@ SOA ns a 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n'; numbers 3000 | awk '{ printf "h%d A 10.%d.%d.%d\nh%d TXT \"t%d\"\n", NR, $1 % 250, $1 % 240, $1 % 230, NR, $1 }'; } >z
rndc-confgen -a -c "$PWD/key" -k k >/dev/null 2>&1
{ cat key; printf 'options { directory "%s"; listen-on port 5300 { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file "%s/pid"; session-keyfile "%s/session"; dnssec-validation no; };\ncontrols { inet 127.0.0.1 port 9530 allow { any; } keys { k; }; };\nzone "a" { type primary; file "%s/z"; allow-update { any; }; allow-transfer { any; }; };\nzone "s" { type primary; file "%s/z2"; dnssec-policy default; inline-signing yes; };\n' "$PWD" "$PWD" "$PWD" "$PWD" "$PWD"; } >c
cp z z2; named-checkconf c; named-checkzone a z | tail -1; named -f -c "$PWD/c" -u root -n 2 >log 2>&1 & server=$!; listening 5300; listening 9530
d() { dig -p 5300 @127.0.0.1 +short "$@"; }
for i in 1 7 99 500 2999; do d h$i.a A; d h$i.a TXT; done; d a AXFR | sort | md5sum; seq 1 300 | sed 's/.*/h&.a A/' >q; dig -p 5300 @127.0.0.1 +short -f q | md5sum; printf 'server 127.0.0.1 5300\nupdate add new.a 60 A 10.9.9.9\nsend\n' | nsupdate; d new.a A; host -p 5300 h5.a 127.0.0.1 | tail -1; d nx.a A; sleep 1; d s DNSKEY | wc -l | awk '{ print ($1 > 0) }'
r() { rndc -k "$PWD/key" -s 127.0.0.1 -p 9530 "$@"; }; r status 2>&1 | grep -c running; r flush; r stats; r reload 2>&1 | tail -1; r stop; wait $server; echo "server ended $?"; dnssec-keygen -a ECDSAP256SHA256 -q a | tr -d '0-9'; delv -v 2>&1 | cut -c1-4
