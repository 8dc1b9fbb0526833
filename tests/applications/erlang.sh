#!/bin/sh
set -eu
cat >work.erl <<'ERL'
-module(work). -export([main/0]).
main() ->
    L = lists:map(fun(I) -> (I * 1103515245 + 12345) rem 2147483648 end, lists:seq(1, 100000)),
    io:format("~p~n", [lists:sublist(lists:sort(L), 5)]), io:format("~p~n", [erlang:phash2(lists:sort(L))]),
    Self = self(), Ps = [spawn(fun() -> M = maps:from_list([{I, integer_to_binary(I * N)} || I <- lists:seq(1, 500)]), Self ! {self(), maps:size(M)} end) || N <- lists:seq(1, 2000)],
    io:format("~p~n", [lists:sum([receive {P, S} -> S end || P <- Ps])]),
    T = ets:new(t, [ordered_set]), [ets:insert(T, {I rem 5003, I}) || I <- L], io:format("~p ~p~n", [ets:info(T, size), ets:first(T)]),
    Z = zlib:compress(term_to_binary(L)), io:format("~p~n", [binary_to_term(zlib:uncompress(Z)) =:= L]),
    B = << <<I:32>> || I <- L >>, io:format("~p ~p~n", [byte_size(B), erlang:crc32(B)]), io:format("~p~n", [length(re:split(integer_to_list(pow(7, 3000)), "7"))]),
    halt(0).
pow(_, 0) -> 1; pow(X, N) -> X * pow(X, N - 1).
ERL
export HOME="$PWD"
erlc work.erl
erl -noshell -s work main
