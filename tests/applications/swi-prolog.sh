#!/bin/sh
set -eu
cat >work.pl <<'P'
:- initialization(main, main).
lcg(X, Y) :- Y is (X * 1103515245 + 12345) mod 2147483648.
list(0, _, []) :- !. list(N, X, [X|T]) :- lcg(X, Y), M is N - 1, list(M, Y, T).
queens(N, Qs) :- numlist(1, N, Ns), select_q(Ns, [], Qs). select_q([], Qs, Qs). select_q(U, S, Qs) :- select(Q, U, R), safe(Q, 1, S), select_q(R, [Q|S], Qs).
safe(_, _, []). safe(Q, D, [Q1|T]) :- Q =\= Q1 + D, Q =\= Q1 - D, D1 is D + 1, safe(Q, D1, T).
main :- list(40000, 1, L), msort(L, S), length(P, 5), append(P, _, S), print(P), nl, findall(Q, queens(7, Q), All), length(All, N), print(N), nl,
    X is 7 ** 500, print(X), nl, forall(member(K, L), assertz(fact(K))), aggregate_all(count, fact(_), C), print(C), nl,
    concurrent_maplist([A, B]>>(numlist(1, A, Z2), sum_list(Z2, B)), [1000, 20000, 3000], Rs), print(Rs), nl, atomic_list_concat(L, A2), atom_length(A2, AL), print(AL), nl, garbage_collect.
P
swipl work.pl
