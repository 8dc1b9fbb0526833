#!/bin/sh
set -eu
# Hashes, regular expressions, sorting, sprintf, closures, references that die in cycles.
. "$(dirname "$0")/common"
text 2000 >text
export PERL_HASH_SEED=0
perl -MData::Dumper -MList::Util=sum -MStorable=dclone -MDigest::SHA=sha256_hex -e '
    use strict; use warnings;
    my %count; open my $in, "<", "text" or die; while (<$in>) { $count{lc $_}++ for /\w+/g }
    print "$_ $count{$_}\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 30];
    my @lists = map { [map { $_ * $_ % 1009 } 1 .. $_] } 1 .. 800;
    print sum(map { sum @$_ } @lists), "\n";
    my $copy = dclone \@lists; print sha256_hex(join ",", map { "@$_" } @$copy), "\n";
    for (1 .. 20000) { my %node = (id => $_); $node{self} = \%node; delete $node{self} if $_ % 2 }
    my $long = ""; $long .= sprintf "%05d;", $_ for 1 .. 50000; print length $long, "\n";
    $Data::Dumper::Sortkeys = 1; print Dumper { map { $_ => [1 .. $_] } 1 .. 5 };
    (my $packed = join ",", map { pack "N", $_ } 65 .. 70) =~ tr|\0||d; print "$packed\n";
    my @threads = map { my $pid = open(my $pipe, "-|") // die; unless ($pid) { print $_ x 1000; exit } $pipe } 1 .. 5;
    print length(do { local $/; readline $_ }), "\n" for @threads;'
