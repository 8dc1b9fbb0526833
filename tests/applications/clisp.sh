#!/bin/sh
set -eu
cat >work.lisp <<'L'
(let ((x 1) (l nil) (h (make-hash-table)))
  (dotimes (i 30000) (setq x (mod (+ (* x 1103515245) 12345) 2147483648)) (push x l) (incf (gethash (mod x 997) h 0)))
  (print (subseq (sort (copy-list l) #'<) 0 5)) (print (hash-table-count h)) (print (expt 7 300)) (print (length (format nil "~{~a~}" l))))
(dotimes (i 20) (make-array 100000)) (ext:gc) (defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (print (fib 20))
(setf (ext:long-float-digits) 1000) (print (length (prin1-to-string (sqrt 2l0))))
L
clisp -q -norc work.lisp
