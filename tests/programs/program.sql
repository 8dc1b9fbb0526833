PRAGMA journal_mode = WAL;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER, payload BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO item SELECT i, 'name ' || (i * 7919 % 100003), i * 31 % 1009, zeroblob(i % 60) FROM n;
COMMIT;
CREATE INDEX by_name ON item (name);
CREATE INDEX by_amount ON item (amount, length(payload));
SELECT count(*), sum(amount), min(name), max(name), sum(length(payload)) FROM item;
SELECT amount, count(*), group_concat(id, ',') FROM item GROUP BY amount HAVING amount % 101 = 3;
SELECT a.id, b.id FROM item a JOIN item b ON b.name = 'name ' || (a.id % 1000) WHERE a.id % 997 = 0;
UPDATE item SET name = upper(name) || hex(payload) WHERE id % 3 = 0;
DELETE FROM item WHERE amount BETWEEN 100 AND 200;
SELECT count(*), sum(length(name)), max(name) FROM item;
SELECT name FROM item ORDER BY substr(name, -3), id LIMIT 40 OFFSET 20000;
VACUUM;
PRAGMA integrity_check;
