#!/bin/sh
set -eu
# Objects, threads, processes, JSON, compression, big numbers; small objects by malloc too.
cat >work.py <<'PY'
import collections, hashlib, json, multiprocessing, re, subprocess, sys, threading, zlib, decimal, gc, random
random.seed(1)
words = [''.join(random.choices('abcdefgh', k=random.randint(1, 12))) for _ in range(30000)]
print(collections.Counter(words).most_common(10))
tree = {w: {'n': len(w), 'rest': list(w)} for w in words}
text = json.dumps(tree, sort_keys=True)
print(hashlib.sha256(text.encode()).hexdigest(), json.loads(text) == tree)
packed = zlib.compress(text.encode()); print(len(text), zlib.decompress(packed) == text.encode())
print(len(re.findall(r'a[b-d]+e', text)), 3 ** 5000 % 10 ** 50)
decimal.getcontext().prec = 500; print(decimal.Decimal(2).sqrt())
results = {}
def work(n): results[n] = sum(len(str(i)) for i in range(n * 2000))
threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(results.items()))
with multiprocessing.Pool(3) as pool: print(pool.map(abs, range(-20, 20)))
print(subprocess.run([sys.executable, '-c', 'print(sum(range(10**5)))'], capture_output=True).stdout)
a = [[i] for i in range(100000)]
for x in a: x.append(x)
del a, x; print(gc.collect())
PY
export PYTHONHASHSEED=0
python3 work.py
PYTHONMALLOC=malloc python3 work.py
