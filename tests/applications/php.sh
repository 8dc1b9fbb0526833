#!/bin/sh
set -eu
cat >work.php <<'PHP'
<?php mt_srand(1); $w = []; for ($i = 0; $i < 50000; $i++) { $k = substr(md5((string)mt_rand()), 0, 3); $w[$k] = ($w[$k] ?? 0) + 1; }
ksort($w); echo md5(json_encode($w)), " ", count($w), "\n"; $s = serialize($w); var_dump(unserialize($s) === $w, strlen(gzdeflate($s)) > 100);
$d = new DOMDocument; $d->loadXML('<r>' . implode('', array_map(fn($i) => "<e n='$i'/>", range(1, 5000))) . '</r>'); echo (new DOMXPath($d))->evaluate('sum(//@n)'), "\n";
$p = new PDO('sqlite::memory:'); $p->exec('create table t(a,b)'); $p->beginTransaction(); $q = $p->prepare('insert into t values(?,?)'); for ($i = 0; $i < 10000; $i++) $q->execute([$i, str_repeat('x', $i % 90)]); $p->commit();
print_r($p->query('select count(*), sum(length(b)) from t')->fetch(PDO::FETCH_NUM)); echo mb_strtoupper(str_repeat('äöü', 3)), preg_match_all('/(\d)[a-f]\1/', implode('', array_keys($w))), "\n";
$im = imagecreatetruecolor(300, 200); for ($i = 0; $i < 200; $i++) imagefilledellipse($im, $i * 7 % 300, $i * 13 % 200, 40, 30, $i * 12345 % 16777216); ob_start(); imagepng($im); echo md5(ob_get_clean()), "\n";
for ($r = 0; $r < 10; $r++) { $a = []; for ($i = 0; $i < 30000; $i++) { $o = new stdClass; $o->self = $o; $o->x = str_repeat('y', $i % 100); $a[] = $o; } unset($a); gc_collect_cycles(); }
function gen($n) { for ($i = 0; $i < $n; $i++) yield $i * 3; } echo array_sum(iterator_to_array(gen(100000))), "\n"; echo strlen(str_repeat('abc', 1000000)), "\n";
PHP
php work.php
USE_ZEND_ALLOC=0 php work.php
