#!/bin/sh
set -eu
cat >work.m <<'M'
x = 1; v = zeros(1, 5000); for i = 1:5000, x = mod(x * 69069 + 1, 2^31); v(i) = x; end
printf('%d ', sort(v)(1:5)); printf('\n%.6f\n', sum(inv(reshape(v(1:900), 30, 30) / 2^31)(:))); c = cell(1, 3000); for i = 1:3000, c{i} = repmat('x', 1, mod(i, 90)); end
printf('%d\n', numel([c{:}])); s = struct(); for i = 1:500, s.(sprintf('f%d', i)) = 1:i; end; printf('%d\n', numfields(s)); printf('%.4f ', abs(fft(v(1:8)))); printf('\n%.6f\n', sum(svd(magic(50)))); p = polyfit(1:10, (1:10).^2, 2); printf('%.4f ', p);
m = sprand(100, 100, .1) > 2; printf('%d\n', nnz(m)); printf('%s\n', strjoin(regexp('a1b22c3', '\d+', 'match'), ','));
M
octave-cli --norc --no-history work.m
