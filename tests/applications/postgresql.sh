#!/bin/sh
set -eu
. "$(dirname "$0")/common"
bin=$(echo /usr/lib/postgresql/*/bin)
install -d -o postgres data
chmod 755 .
as() { setpriv --reuid=postgres --regid=postgres --clear-groups env PGHOST="$PWD/data" PGUSER=postgres PGDATABASE=postgres "$@"; }
as "$bin/initdb" -D data/db -A trust --no-sync >/dev/null
as "$bin/pg_ctl" -D data/db -w -l data/log -o "-k $PWD/data -p 5432" start >/dev/null
as psql -qAt <<'SQL'
create table t(id int primary key, n bigint, s text, j jsonb);
insert into t select i, (i::bigint * 1103515245 + 12345) % 2147483648, repeat('x', i % 200), jsonb_build_object('k', i, 'l', array[i, i * 2]) from generate_series(1, 40000) i;
create index on t(n); create index on t using gin(j); analyze t;
select count(*), sum(n), max(length(s)) from t; select id from t where j @> '{"k": 777}';
select n % 10, count(*), sum(id) from t group by 1 order by 1; select a.id, b.id from t a join t b on a.n = b.n + 0 where a.id < 5 order by 1;
create function f(n int) returns bigint language plpgsql as $$ declare s bigint := 0; begin for i in 1..n loop s := s + length(repeat('y', i % 100)); end loop; return s; end $$;
select f(50000); select md5(string_agg(s || n, ',' order by id)) from t; with recursive r(x) as (select 1 union all select x + 1 from r where x < 20000) select sum(x) from r;
set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set min_parallel_table_scan_size = 0; select sum(length(s) * (n % 7)) from t;
update t set s = s || 'z' where id % 3 = 0; delete from t where id % 5 = 0; vacuum full t; select count(*), sum(length(s)) from t; select regexp_replace('a1b22', '\d+', '#', 'g'), xmlelement(name a, 'b');
select 1 / 0;
SQL
as "$bin/pgbench" -i -q -s 2 >/dev/null 2>&1
as "$bin/pgbench" -c 4 -j 2 -t 200 --random-seed=1 2>/dev/null | grep 'actually processed'
as "$bin/pgbench" -C -S -c 2 -t 50 2>/dev/null | grep 'actually processed'
as "$bin/pg_dump" -t t | grep -v '^--\|restrict' | md5sum
as "$bin/pg_ctl" -D data/db -w -m fast stop >/dev/null && echo stopped
grep -cE 'PANIC|FATAL|terminated by signal' data/log || true
