#!/bin/sh
set -eu
. "$(dirname "$0")/common"
mkdir d; for i in $(seq 60); do text $((i * 30)) >"d/$i"; done
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
cat >s.py <<'PY'
import http.server, ssl, threading, os
os.chdir('d'); h = http.server.SimpleHTTPRequestHandler; h.log_message = lambda *a: None
def post(s):
    n = int(s.headers['Content-Length']); b = s.rfile.read(n); s.send_response(200); s.end_headers(); s.wfile.write(b'%d' % len(b))
h.do_POST = post; a = http.server.ThreadingHTTPServer(('127.0.0.1', 8000), h); t = http.server.ThreadingHTTPServer(('127.0.0.1', 8443), h)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('../c', '../k'); t.socket = c.wrap_socket(t.socket, server_side=True)
threading.Thread(target=a.serve_forever, daemon=True).start(); t.serve_forever()
PY
python3 s.py 2>/dev/null & server=$!; listening 8443
curl -s 'http://127.0.0.1:8000/[1-60]' | md5sum; curl -sZ --parallel-max 8 'http://127.0.0.1:8000/[1-60]' -o 'o#1'; cat o? o?? | md5sum; curl -s --cacert c https://localhost:8443/7 | md5sum; curl -s -r 100-199 http://127.0.0.1:8000/9 | wc -c
curl -s --data-binary @d/60 http://127.0.0.1:8000/; echo; curl -sI http://127.0.0.1:8000/1 | grep -i length; curl -s http://127.0.0.1:8000/none -o /dev/null -w '%{http_code}\n'; curl -sS https://localhost:8443/ 2>&1 | head -1
wget -q -r -np -nH http://127.0.0.1:8000/ -P m; diff -r d m -x 'index.html*' && echo same; wget -q --ca-certificate=c -O- https://localhost:8443/33 | md5sum; curl -s "file://$PWD/d/5" | md5sum; kill $server
