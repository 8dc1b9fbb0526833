#!/bin/sh
set -eu
cat >work.py <<'PY'
import plyvel, hashlib, threading
db = plyvel.DB('d', create_if_missing=True, write_buffer_size=200000, bloom_filter_bits=10); x = 1
for b in range(60):
    with db.write_batch() as w:
        for i in range(500):
            x = (x * 1103515245 + 12345) % 2**31; w.put(b'%d' % (x % 50000), b'v%d' % x * (x % 9))
h = hashlib.md5(); n = 0
for k, v in db: h.update(k + v); n += 1
print(n, h.hexdigest()); out = {}
def read(t): out[t] = sum(len(v) for v in db.iterator(start=b'%d' % t, include_key=False))
ts = [threading.Thread(target=read, args=(t,)) for t in range(1, 7)]; [t.start() for t in ts]; [t.join() for t in ts]; print(sorted(out.items()))
s = db.snapshot(); [db.delete(k) for k in db.iterator(include_value=False, stop=b'3')]; print(len(list(db)), len(list(s))); s.close(); db.compact_range(); db.close(); plyvel.repair_db('d'); print(len(list(plyvel.DB('d'))))
PY
python3 work.py
