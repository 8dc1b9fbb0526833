#!/bin/sh
set -eu
. "$(dirname "$0")/common"
chmod 755 .; { printf 'server:\n interface: 127.0.0.1@5300\n num-threads: 3\n username: ""\n chroot: ""\n directory: "%s"\n pidfile: "%s/pid"\n use-syslog: no\n logfile: "%s/log"\n do-ip6: no\n module-config: "iterator"\n local-zone: "a." static\n' "$PWD" "$PWD" "$PWD"; numbers 2000 | awk '{ printf " local-data: \"h%d.a. A 10.%d.%d.%d\"\n", NR, $1 % 250, $1 % 240, $1 % 230 }'; printf 'remote-control:\n control-enable: yes\n control-use-cert: no\n control-interface: %s/ctl\n' "$PWD"; } >c
unbound-checkconf c | sed 's/ in .*//'; unbound -d -c c & server=$!; listening 5300; sleep 1
for i in 1 7 99 500 1999; do dig -p 5300 @127.0.0.1 +short h$i.a; done; seq 1 500 | sed 's/.*/h&.a A/' >q; dig -p 5300 @127.0.0.1 +short -f q | md5sum; dig -p 5300 @127.0.0.1 nx.a | grep -c NXDOMAIN; unbound-control -c c local_data new.a. A 10.1.1.1; dig -p 5300 @127.0.0.1 +short new.a; unbound-control -c c stats_noreset | grep -c thread; unbound-control -c c reload; sleep 1; dig -p 5300 @127.0.0.1 +short h3.a; kill $server; wait $server; echo "server ended $?"
