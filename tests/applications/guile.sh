#!/bin/sh
set -eu
cat >work.scm <<'S'
(use-modules (srfi srfi-1) (ice-9 threads) (ice-9 regex) (ice-9 format))
(define (lcg x) (modulo (+ (* x 1103515245) 12345) 2147483648))
(define l (let loop ((i 0) (x 1) (a '())) (if (= i 60000) a (loop (+ i 1) (lcg x) (cons x a)))))
(display (take (sort l <) 5)) (newline)
(define h (make-hash-table)) (for-each (lambda (x) (hashv-set! h (modulo x 997) (+ 1 (hashv-ref h (modulo x 997) 0)))) l)
(display (hash-count (const #t) h)) (newline) (display (expt 7 700)) (newline)
(display (par-map (lambda (n) (apply + (map string-length (map number->string (iota (* n 2000)))))) (iota 8))) (newline)
(let loop ((i 0)) (when (< i 20) (make-vector 100000 i) (gc) (loop (+ i 1))))
(display (string-length (apply string-append (map number->string l)))) (newline)
(display (call/cc (lambda (k) (for-each (lambda (x) (if (> x 2000000000) (k x))) l)))) (newline)
(define (tree d) (if (= d 0) '() (cons (tree (- d 1)) (tree (- d 1))))) (define (count t) (if (null? t) 1 (+ (count (car t)) (count (cdr t)))))
(display (count (tree 16))) (newline) (display (regexp-substitute/global #f "7+" (number->string (expt 7 300)) 'pre "<7>" 'post)) (newline)
S
GUILE_AUTO_COMPILE=0 guile -s work.scm
