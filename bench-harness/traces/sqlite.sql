-- Recorded as sqlite.trace by: sqlite3 :memory: < sqlite.sql
-- A small shop: orders come in, are looked up, changed, summed up and thrown away.
PRAGMA journal_mode = MEMORY;
CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, item TEXT, price REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO customers SELECT i, printf('customer %d', i), substr('LondonParis Berlin Madrid Rome  ', i % 5 * 6 + 1, 6) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
INSERT INTO orders SELECT i, i * 7919 % 2000 + 1, printf('item %d', i * 31 % 500), i % 97 * 1.25,
  substr(hex(randomblob(40)), 1, i % 80) FROM n;
CREATE INDEX by_customer ON orders(customer);
CREATE INDEX by_item ON orders(item, price);
SELECT city, count(*), round(sum(price), 2) FROM orders JOIN customers ON customer = customers.id GROUP BY city ORDER BY 3 DESC;
SELECT item, group_concat(note, '/') FROM orders GROUP BY item ORDER BY sum(price) DESC LIMIT 40;
UPDATE orders SET note = upper(note) || '!' WHERE id % 3 = 0;
SELECT json_group_array(json_object('id', id, 'item', item, 'price', price)) FROM orders WHERE customer < 200;
SELECT count(*) FROM (SELECT DISTINCT lower(item) || customer % 10 FROM orders);
SELECT name, (SELECT count(*) FROM orders WHERE customer = customers.id) FROM customers ORDER BY 2 DESC, 1 LIMIT 20;
SELECT id, row_number() OVER (PARTITION BY item ORDER BY price DESC) AS place FROM orders ORDER BY place DESC, id LIMIT 20;
DELETE FROM orders WHERE id % 2 = 0;
VACUUM;
SELECT count(*) FROM orders;
