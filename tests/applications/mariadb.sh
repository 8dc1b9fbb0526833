#!/bin/sh
set -eu
. "$(dirname "$0")/common"
install -d -o mysql data
chmod 755 .
mariadb-install-db --no-defaults --user=mysql --datadir="$PWD/data" --auth-root-authentication-method=normal >/dev/null 2>&1
mariadbd --no-defaults --user=mysql --datadir="$PWD/data" --socket="$PWD/data/s" --skip-networking --pid-file="$PWD/data/pid" >log 2>&1 &
server=$!
ask() { mariadb --no-defaults --socket="$PWD/data/s" -uroot -N "$@"; }
for try in $(seq 300); do ask -e 'select 1' >/dev/null 2>&1 && break; sleep 0.1; done
numbers 5000 | awk 'BEGIN { print "create database d; use d; create table t(id int primary key, n bigint, s text, key(n)); create table m(a int, b varchar(99)) engine=myisam; begin;" }
    { printf "insert into t values(%d,%d,repeat(\"x\",%d)); insert into m values(%d,\"v%d\");\n", NR, $1, NR % 300, NR % 50, $1 } END { print "commit;" }' | ask
ask d <<'SQL'
select count(*), sum(n), max(length(s)) from t; select a, count(*), min(b), max(b) from m group by a order by a limit 10;
select t.id, m.b from t join m on t.n % 5000 = substr(m.b, 2) % 5000 where t.id < 10 order by 1, 2 limit 10;
delimiter //
create procedure p(n int) begin declare i int default 0; declare s bigint default 0; while i < n do set s = s + i * 3; set i = i + 1; end while; select s; end //
delimiter ;
call p(20000); with recursive r(x) as (select 1 union all select x + 1 from r where x < 900) select sum(x) from r; select json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), regexp_replace('a1b22', '[0-9]+', '#');
update t set s = concat(s, 'z') where id % 3 = 0; delete from t where id % 5 = 0; optimize table t; check table t, m; checksum table t, m; select md5(group_concat(s order by id)) from t where id < 500;
SQL
mariadb-dump --no-defaults --socket="$PWD/data/s" -uroot --skip-dump-date --skip-comments d | md5sum
mariadb-slap --no-defaults --socket="$PWD/data/s" -uroot --concurrency=6 --iterations=2 --auto-generate-sql --number-of-queries=300 2>&1 | grep 'Number of clients'
mariadb-admin --no-defaults --socket="$PWD/data/s" -uroot shutdown
wait $server; echo "server ended $?"
