# Perl's memory use: hashes, strings that grow, regular expressions, sorting, closures, a fork.
# Prints only what is the same in every run.
use strict;
use warnings;

my $state = 12345;
sub pick { $state = ($state * 1103515245 + 12345) % 2147483648; return $state % $_[0]; }

my %count;
my @words = map { join '', map { chr(97 + pick(26)) } 1 .. 2 + pick(6) } 1 .. 60000;
$count{$_}++ for @words;
my @common = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
print "common @common\n";

my $text = join ' ', @words;
my $vowels = () = $text =~ /[aeiou]/g;
(my $swapped = $text) =~ s/(\w)(\w+)/$2$1/g;
print "text ", length($text), " $vowels ", substr($swapped, 1000, 60), "\n";

my $grown = '';
$grown .= chr(65 + $_ % 26) x ($_ % 50) for 1 .. 40000;
print "grown ", length($grown), " ", unpack('%32C*', $grown), "\n";

my @tree = map { { id => $_, kids => [map { { n => $_ } } 1 .. $_ % 10] } } 1 .. 20000;
my $kids = 0;
$kids += @{ $_->{kids} } for @tree;
splice @tree, 5000, 10000;
my @closures = map { my $n = $_; sub { $n + $_[0] } } 1 .. 10000;
my $sum = 0;
$sum += $_->(1) for @closures;
print "tree $kids ", scalar(@tree), " $sum\n";

my @sorted = sort { $a->[1] <=> $b->[1] || $a->[0] cmp $b->[0] }
    map { [$_, length $_] } @words;
print "sorted $sorted[0][0] $sorted[-1][0]\n";

$| = 1;
my $child = fork();
die "fork: $!" unless defined $child;
if ($child == 0) {
    my %more = map { $_ => [($_) x 10] } 1 .. 20000;
    print "child ", scalar(keys %more), "\n";
    exit 0;
}
waitpid $child, 0;
print "status $?\n";
