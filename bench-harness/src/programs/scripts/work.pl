# Reads an access log, builds indexes of hashes and arrays, rewrites text, and prints figures of it.
use strict;
use warnings;

my (%by_user, %parts, $lines);
open my $log, '<', $ARGV[0] or die "$ARGV[0]: $!";
while (<$log>) {
    my ($address, $user, $time, $method, $path, $status, $size, $agent) =
        /^(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) [^"]*" (\d+) (\d+) "([^"]*)"/ or next;
    push @{ $by_user{$user} },
        { time => $time, path => $path, status => $status, size => $size, agent => $agent };
    $parts{$_}++ for grep { length } split m{[/?&=]}, $path;
    $lines++;
}
my ($text, $bytes) = ('', 0);
for my $user (sort keys %by_user) {
    my @visits = sort { $a->{time} cmp $b->{time} || $a->{path} cmp $b->{path} } @{ $by_user{$user} };
    $bytes += $_->{size} for @visits;
    my %paths = map { $_->{path} => 1 } @visits;
    $text .= "$user: " . join(', ', sort keys %paths) . "\n";
    $text .= join('', map { "  $_->{time} $_->{status} $_->{agent}\n" } grep { $_->{status} >= 400 } @visits);
}
my %words;
(my $lower = lc $text) =~ s/([a-z]+)/$words{$1}++; reverse $1/ge;
my @most = (sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words)[0 .. 7];
print "$lines ", scalar(keys %by_user), ' ', length($lower), " $bytes\n";
print "$_ $words{$_}\n" for @most;
print "$_ $parts{$_}\n" for (sort { $parts{$b} <=> $parts{$a} || $a cmp $b } keys %parts)[0 .. 4];
