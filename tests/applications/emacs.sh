#!/bin/sh
set -eu
. "$(dirname "$0")/common"
export HOME="$PWD"; text 3000 >t
cat >w.el <<'EL'
(with-temp-buffer (insert-file-contents "t") (sort-lines nil (point-min) (point-max)) (princ (md5 (buffer-string))) (terpri) (goto-char 1) (let ((n 0)) (while (re-search-forward "\\(the\\|to\\) \\([a-z]+\\)" nil t) (replace-match "\\2 \\1") (setq n (1+ n))) (princ n)) (terpri) (fill-region 1 20000) (princ (md5 (buffer-string))) (terpri))
(let ((h (make-hash-table :test 'equal)) (x 1)) (dotimes (_ 100000) (setq x (mod (+ (* x 1103515245) 12345) 2147483648)) (puthash (number-to-string (mod x 5003)) x h)) (princ (list (hash-table-count h) (expt 7 200))) (terpri))
(dotimes (i 20) (make-list 50000 (make-string 10 ?x)) (garbage-collect))
(princ (mapcar #'thread-join (mapcar (lambda (n) (make-thread (lambda () (length (number-sequence 1 (* n 1000)))))) '(1 2 3)))) (terpri)
(require 'org) (with-temp-buffer (insert "* A\n** B\n| a | b |\n| 1 | 2 |\n") (org-mode) (princ (md5 (org-export-as 'ascii))) (terpri)) (princ (json-encode (json-read-from-string "{\"a\":[1,2,{\"b\":null}]}"))) (terpri)
(with-temp-buffer (insert "int f(int x) {\nif (x) {\nreturn 1;\n}\n}\n") (c-mode) (indent-region 1 (point-max)) (princ (buffer-string)))
(with-temp-buffer (call-process "sort" "t" t nil "-r") (princ (md5 (buffer-string))) (terpri)) (require 'calc) (princ (calc-eval "integ(x^3*sin(x),x)")) (terpri)
EL
emacs --batch -Q -l w.el 2>/dev/null
emacs --batch -Q -f batch-byte-compile w.el 2>/dev/null
emacs --batch -Q -l ./w.elc 2>/dev/null | md5sum
