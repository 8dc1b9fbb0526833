#!/bin/sh
set -eu
cat >p.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { int value; struct node *next; };
static struct node *list(int n) { struct node *head = 0; for (int i = 0; i < n; i++) { struct node *x = malloc(sizeof *x); x->value = i * i; x->next = head; head = x; } return head; }
int main(void) { struct node *head = list(50); char *copy = strdup("text"); printf("%d %s\n", head->value, copy); return 0; }
C
gcc -O0 -g -o p p.c
cat >commands <<'G'
set pagination off
set disable-randomization on
set startup-with-shell off
break main
run
next
print head->value
print *head->next->next
print sizeof(struct node)
ptype head
next
print copy
print (int)strlen(copy)
info breakpoints
continue
info functions list
quit
G
gdb -nx -q -batch -x commands ./p 2>/dev/null | sed 's/0x[0-9a-f]*/ADDRESS/g; s/process [0-9]*/process N/; /thread_db/d; /Thread debugging/d'
