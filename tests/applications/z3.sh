#!/bin/sh
set -eu
{ for i in $(seq 1 8); do echo "(declare-const q$i Int)(assert (and (>= q$i 1) (<= q$i 8)))"; done; for i in $(seq 1 8); do for j in $(seq $((i + 1)) 8); do echo "(assert (distinct q$i q$j))(assert (distinct (- q$i q$j) $((i - j)) $((j - i))))"; done; done; echo '(check-sat)(get-value (q1 q2 q3 q4 q5 q6 q7 q8))'; } >q.smt2
z3 q.smt2; printf '(declare-const x (_ BitVec 32))(assert (= (bvmul x x) #x00000031))(assert (bvugt x #x00001000))(check-sat)(get-model)\n(declare-fun f (Int) Int)(assert (forall ((y Int)) (> (f y) y)))(assert (< (f 5) 5))(check-sat)(declare-const s String)' | z3 -in
awk 'BEGIN { n = 60; print "p cnf", n, 250; x = 1; for (i = 0; i < 250; i++) { l = ""; for (k = 0; k < 3; k++) { x = (x * 1103515245 + 12345) % 2147483648; v = int(x / 65536) % n + 1; l = l (x / 32768 % 2 < 1 ? v : -v) " " } print l 0 } }' >c.cnf; z3 -dimacs c.cnf | md5sum
