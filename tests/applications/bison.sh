#!/bin/sh
set -eu
. "$(dirname "$0")/common"
cat >e.y <<'Y'
%{
#include <stdio.h>
#include <stdlib.h>
int yylex(void); void yyerror(const char *s) { puts(s); }
%}
%union { long n; struct e *e; }
%token <n> NUM
%type <n> expr
%left '+' '-'
%left '*' '/'
%%
lines: | lines expr '\n' { printf("%ld\n", $2); } | lines '\n' | lines error '\n' { yyerrok; };
expr: NUM | expr '+' expr { $$ = ($1 + $3) % 1000003; } | expr '-' expr { $$ = $1 - $3; } | expr '*' expr { $$ = $1 * $3 % 1000003; } | expr '/' expr { $$ = $3 ? $1 / $3 : 0; } | '(' expr ')' { $$ = $2; };
%%
int main(void) { return yyparse(); }
Y
cat >e.l <<'L'
%option noyywrap nounput noinput
%{
#include <stdlib.h>
#include "e.tab.h"
%}
%%
[0-9]+ { yylval.n = atol(yytext) % 1000; return NUM; }
[ \t] ;
.|\n { return yytext[0]; }
L
bison -d -v e.y; flex -Cf e.l; md5sum e.tab.c e.tab.h | cut -c1-32; md5sum <lex.yy.c; gcc -w -o e e.tab.c lex.yy.c
numbers 2000 | awk '{ printf "%d + (%d * %d) - %d / %d", $1, $1 % 99, NR, $1 % 7, NR % 5; if (NR % 9 == 0) print ""; else printf " * " } END { print "1\n2 + * 3\n4" }' | ./e | md5sum
bison -Wcounterexamples -o x.c - <<'Y' 2>&1 | head -20
%token I T E
%%
s: I s | I s E s | T;
Y
