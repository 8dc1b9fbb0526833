#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 60 | while read -r n; do echo "int f$n(int x) { return x + $n; }" >"part$n.c"; done
cat >Makefile <<'MK'
parts := $(sort $(wildcard part*.c))
lib.a: $(parts:.c=.o)
	@ar Drcs $@ $^
%.o: %.c
	@gcc -O1 -c $< -o $@
words := $(foreach a,1 2 3 4 5 6 7 8 9,$(foreach b,$(parts),$(a)$(b)))
print:
	@echo $(words $(words)) $(firstword $(sort $(words)))
MK
make -j4
nm lib.a | grep -c ' T f'
make -j4
touch -d 2001-01-01 lib.a
make -n | wc -l
make print
