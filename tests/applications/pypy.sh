#!/bin/sh
set -eu
cat >work.py <<'PY'
import collections, json, threading
c = collections.Counter(); x = 1
for i in range(600000):
    x = (x * 1103515245 + 12345) % 2**31; c[x % 1000] += 1
print(sorted(c.items())[:20])
t = {str(i): [i] * (i % 20) for i in range(60000)}; print(len(json.dumps(t)))
class N:
    def __init__(self, l, r): self.l, self.r = l, r
def make(d): return N(make(d - 1), make(d - 1)) if d else None
def count(n): return 1 + count(n.l) + count(n.r) if n else 0
print([count(make(14)) for _ in range(10)])
out = {}
ts = [threading.Thread(target=lambda n=n: out.__setitem__(n, sum(len(str(i)) for i in range(30000)))) for n in range(6)]
[t.start() for t in ts]; [t.join() for t in ts]; print(out == {n: out[0] for n in range(6)}, 7 ** 4000 % 10 ** 30)
PY
pypy3 work.py
