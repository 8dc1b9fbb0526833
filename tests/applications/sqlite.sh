#!/bin/sh
set -eu
. "$(dirname "$0")/common"
numbers 20000 | awk '{ printf "insert into t values(%d,%d,\"%s\");\n", NR, $1, "row " $1 * 7 }' >rows.sql
{
    echo 'create table t(id integer primary key, n int, s text); begin;'
    cat rows.sql
    cat <<'SQL'
commit; create index i on t(n);
select count(*), sum(n), min(s), max(s) from t;
select n % 10 d, count(*), group_concat(id % 7, '') from t where id < 300 group by d order by d;
with recursive c(x) as (select 1 union all select x + 1 from c where x < 50000) select sum(x), count(*) from c;
select a.id, b.id from t a join t b on a.n % 997 = b.n % 991 where a.id < 20 and b.id < 400 order by 1, 2 limit 20;
create virtual table f using fts5(s); insert into f select s from t; select count(*) from f where f match 'row';
update t set s = s || hex(zeroblob(200)); delete from t where id % 3 = 0; vacuum; pragma integrity_check;
select json_group_array(json_object('id', id, 'n', n)) from t where id < 30;
SQL
} | sqlite3 new.db
sqlite3 new.db .dump | sha256sum
