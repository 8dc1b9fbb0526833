#!/bin/sh
set -eu
cat >w.f90 <<'F'
program w
  implicit none
  integer :: i, j; integer(8) :: x = 1; real(8), allocatable :: a(:,:), b(:,:); character(:), allocatable :: s
  type t; integer :: n; type(t), pointer :: next => null(); end type; type(t), pointer :: head => null(), p
  do i = 1, 200; allocate(a(i, i), b(i, i)); forall (j = 1:i) a(j, :) = j; b = matmul(a, transpose(a)); if (mod(i, 40) == 0) print '(F20.1)', sum(b); deallocate(a, b); end do
  s = ''; do i = 1, 5000; x = mod(x * 1103515245_8 + 12345_8, 2147483648_8); s = s // achar(97 + int(mod(x, 26_8))); end do; print *, len(s), s(1:40)
  do i = 1, 100000; allocate(p); p%n = i; p%next => head; head => p; end do; x = 0; do while (associated(head)); x = x + head%n; p => head%next; deallocate(head); head => p; end do; print *, x
  x = 0
  !$omp parallel do reduction(+:x) private(a) num_threads(4)
  do i = 1, 200; allocate(a(i, 10)); a = i; x = x + int(sum(a), 8); deallocate(a); end do; print *, x
end program
F
gfortran -ffree-line-length-none -O2 -fopenmp -o w w.f90
./w
gfortran -ffree-line-length-none -O0 -S -o - w.f90 | grep -v ident | md5sum
