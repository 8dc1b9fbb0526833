#!/bin/sh
set -eu
cat >work.pl <<'PL'
use strict; use warnings; use threads; use JSON::XS; use XML::LibXML; use DBI; use Digest::MD5 'md5_hex'; use Encode; use Math::BigInt; use Compress::Zlib;
my $data = { map { ("k$_" => [1 .. $_ % 50]) } 1 .. 3000 };
my $json = JSON::XS->new->canonical->encode($data); print md5_hex($json), " ", scalar keys %{ decode_json $json }, "\n";
my $xml = "<r>" . join("", map { "<e n='$_'>t$_</e>" } 1 .. 5000) . "</r>"; my $doc = XML::LibXML->load_xml(string => $xml);
print $doc->findvalue('sum(//@n)'), " ", scalar($doc->findnodes('//e[@n > 4000]')), "\n";
my $db = DBI->connect("dbi:SQLite:dbname=:memory:", "", "", { RaiseError => 1 }); $db->do("create table t(a,b)"); $db->begin_work;
my $st = $db->prepare("insert into t values(?,?)"); $st->execute($_, "x" x ($_ % 100)) for 1 .. 10000; $db->commit;
print join(",", $db->selectrow_array("select count(*), sum(length(b)) from t")), "\n";
print md5_hex(encode("UTF-16", decode("UTF-8", "h\xc3\xa4user" x 10000))), "\n";
print Math::BigInt->new(3)->bpow(1500), "\n"; my $z = compress($json); print uncompress($z) eq $json ? "same\n" : "differs\n";
my @t = map { my $n = $_; threads->create(sub { my %h; $h{ $_ % 97 } .= $_ for 1 .. 20000; length join "", map { $h{$_} } sort keys %h }) } 1 .. 5;
print join(",", map { $_->join } @t), "\n";
PL
perl work.pl
