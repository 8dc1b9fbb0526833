#!/bin/sh
set -eu
cat >w.m4 <<'M'
define(`repeat', `ifelse($1, 0, `', `$2`'repeat(decr($1), `$2')')')define(`fib', `ifelse(eval($1 < 2), 1, $1, `eval(fib(decr($1)) + fib(eval($1 - 2)))')')dnl
fib(18) len(repeat(500, `abcdef')) define(`x', 1)repeat(300, `define(`x', eval((x * 1103 + 12345) % 65536))x ')
patsubst(repeat(50, `a1b2 '), `[0-9]', `<\&>') format(`%08d', 42) divert(1)late divert(0)early translit(`hello', `a-y', `b-z') esyscmd(`echo shell')
M
m4 -L 2000 w.m4; m4 -d w.m4 2>&1 | md5sum
cat >configure.ac <<'A'
AC_INIT([w], [1.0])
AM_INIT_AUTOMAKE([foreign])
AC_PROG_CC
AC_CHECK_HEADERS([stdlib.h string.h nothing.h])
AC_CHECK_FUNCS([malloc realloc nothing])
AC_CHECK_SIZEOF([long])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
A
printf 'bin_PROGRAMS = w\nw_SOURCES = w.c\n' >Makefile.am; printf '#include <stdio.h>\nint main(void) { puts("built"); }\n' >w.c
aclocal; autoconf; automake --add-missing --copy >/dev/null 2>&1; md5sum <configure; ./configure -q; make -s >/dev/null; ./w; grep -v '^/\*' confdefs.h config.status 2>/dev/null | grep -c define
