#!/bin/sh
set -eu
cat >work.R <<'R'
x <- 1; v <- numeric(20000); for (i in seq_along(v)) { x <- (x * 69069 + 1) %% 2147483648; v[i] <- x }
print(summary(v)); print(head(sort(v))); m <- matrix(v[1:10000], 100); print(round(sum(solve(m / 2^31) %*% (m / 2^31)), 4)); print(table(v %% 7))
set.seed(1); d <- data.frame(a = rnorm(5000), g = sample(letters, 5000, TRUE)); print(round(aggregate(a ~ g, d, mean)$a, 6)); print(coef(lm(a ~ g, d))[1:3])
l <- lapply(1:3000, function(i) paste(rep(letters[i %% 26 + 1], i %% 50), collapse = "")); print(sum(nchar(unlist(l)))); print(unlist(parallel::mclapply(1:4, function(n) sum(1:(n * 1000)), mc.cores = 2)))
for (i in 1:20) { z <- as.list(1:50000); gc() }; print(length(z)); pdf("p.pdf"); plot(v[1:500]); invisible(dev.off()); print(file.size("p.pdf")); print(regmatches("a1b22", gregexpr("[0-9]+", "a1b22")))
R
Rscript --vanilla work.R
