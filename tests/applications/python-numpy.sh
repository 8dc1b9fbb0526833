#!/bin/sh
set -eu
cat >work.py <<'PY'
import numpy as np, scipy.linalg, scipy.sparse, scipy.optimize, scipy.fft, scipy.signal
r = np.random.default_rng(1)
a = r.integers(-9, 10, (300, 300)).astype(float)
print(a.sum(), np.sort(a, axis=None)[::5000], (a.astype(int) @ a.astype(int)).sum())
q = scipy.linalg.lu(a)[0]; print(q.sum(), np.linalg.matrix_rank(a))
print(np.round(np.linalg.svd(a, compute_uv=False)[:5], 6), np.round(scipy.linalg.eigvals(a[:20, :20]).real.sum(), 6))
print(np.round(np.abs(scipy.fft.fft(a[0]))[:5], 6))
s = scipy.sparse.random(500, 500, 0.05, random_state=1).tocsr(); print((s @ s.T).nnz)
print(np.round(scipy.optimize.minimize(lambda x: ((x - 3) ** 2).sum(), np.zeros(5)).x, 3))
big = [np.zeros(n) for n in range(1000, 300000, 4000)]
for i in range(200): big[i % len(big)] = np.concatenate([big[(i * 7) % len(big)][:50000], np.arange(i * 100)])
print(sum(b.sum() for b in big), np.unique(r.integers(0, 10**6, 10**6)).size)
PY
OPENBLAS_NUM_THREADS=2 python3 work.py
