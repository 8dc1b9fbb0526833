#!/bin/sh
set -eu
cat >work.lisp <<'L'
(let ((x 1) (l nil) (h (make-hash-table :test 'equal)))
  (dotimes (i 100000) (setf x (mod (+ (* x 1103515245) 12345) 2147483648)) (push x l) (incf (gethash (format nil "~x" (mod x 3000)) h 0)))
  (print (subseq (sort (copy-list l) #'<) 0 5)) (print (hash-table-count h)) (print (expt 7 300)) (print (reduce #'+ (map 'vector #'integer-length l))))
(print (mapcar #'sb-thread:join-thread (loop for n below 6 collect (let ((n n)) (sb-thread:make-thread (lambda () (loop for i below 100000 sum (length (make-array (mod (* i n) 50))))))))))
(dotimes (i 30) (make-array 100000)) (sb-ext:gc :full t) (let ((p (sb-alien:make-alien sb-alien:int 10000))) (dotimes (i 10000) (setf (sb-alien:deref p i) i)) (print (sb-alien:deref p 777)) (sb-alien:free-alien p))
(defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (print (fib 27)) (terpri)
L
sbcl --script work.lisp
