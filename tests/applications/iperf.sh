#!/bin/sh
set -eu
. "$(dirname "$0")/common"
iperf3 -s -B 127.0.0.1 -p 5201 >/dev/null & server=$!; listening 5201; for o in '-n 20M' '-n 20M -P 4' '-n 10M -R' '-u -b 50M -n 2M'; do iperf3 -c 127.0.0.1 $o -J >j; python3 -c 'import json; d = json.load(open("j")); print(d["start"]["test_start"]["protocol"], len(d["end"]["streams"]), d.get("error"))'; done; kill $server; wait $server || echo "server ended $?"
