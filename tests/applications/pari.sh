#!/bin/sh
set -eu
cat >work.gp <<'G'
print(factor(2^101-1)); print(prod(i=1,500,i)); \p 300
print(Pi); print(#primes(20000)); print(ellap(ellinit([0,0,1,-1,0]),10007)); print(matdet(matrix(60,60,i,j,1/(i+j-1)))); print(bnfinit(x^2+23).cyc); print(polroots(x^5-x-1)[1]); print(nfinit(x^4-2).disc); print(isprime(10^50+151)); print(qflll(matrix(20,20,i,j,(i*j^2)%101)))
G
gp -q -f work.gp </dev/null
