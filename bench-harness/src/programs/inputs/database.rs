//! SQL: an embedded database's script, and a bank's tables and transfers for a server.

use super::words::{city, person, sentence, word};
use crate::random::Random;
use std::fmt::Write;

/// A script for sqlite3: tables of so many rows are filled, indexed, queried, changed and queried
/// again.
pub fn tables(seed: u64, rows: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from(
        "PRAGMA journal_mode=MEMORY;\nPRAGMA cache_size=-16000;\n\
         CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city TEXT, note TEXT);\n\
         CREATE TABLE purchase(id INTEGER PRIMARY KEY, person INTEGER, item TEXT, price INTEGER, day INTEGER);\n\
         BEGIN;\n",
    );
    for id in 0..rows {
        let words = random.between(2, 30);
        let (name, city) = (person(random), city(random));
        let note = sentence(random, words);
        let _ = writeln!(text, "INSERT INTO person VALUES({id},'{name}','{city}','{note}');");
        for order in 0..4 {
            let (price, day) = (random.below(50_000), random.below(365));
            let who = random.below(rows);
            let _ = write!(text, "INSERT INTO purchase VALUES({},{who},", id * 4 + order);
            let _ = writeln!(text, "'{}-{}',{price},{day});", word(random), random.below(100));
        }
    }
    text.push_str(
        "COMMIT;\nCREATE INDEX by_city ON person(city, name);\nCREATE INDEX by_person ON purchase(person, day);\n\
         SELECT city, count(*), sum(price), max(length(note)) FROM person JOIN purchase ON person.id = person \
         GROUP BY city ORDER BY 3 DESC;\n",
    );
    for _ in 0..rows / 4 {
        let (one, day) = (random.below(rows), random.below(365));
        let _ = writeln!(
            text,
            "SELECT name, item, price FROM person JOIN purchase ON person.id = person"
        );
        let _ = writeln!(text, "  WHERE person.id = {one} AND day > {day} ORDER BY price, item;");
        let _ =
            write!(text, "UPDATE person SET note = note || '{}' WHERE id = {};", word(random), one);
        let _ = writeln!(
            text,
            " DELETE FROM purchase WHERE person = {} AND day < 20;",
            random.below(rows)
        );
    }
    text.push_str(
        "SELECT substr(note, 1, 12) AS head, group_concat(DISTINCT city) FROM person GROUP BY head ORDER BY head;\n\
         SELECT item, total, rank() OVER (ORDER BY total DESC, item) FROM (SELECT item, sum(price) AS total FROM \
         purchase GROUP BY item) ORDER BY 3 LIMIT 200;\nSELECT count(*), sum(price), sum(day) FROM purchase;\n",
    );
    text.into_bytes()
}

/// Makes a bank's tables with so many accounts, for MariaDB.
pub fn bank(seed: u64, accounts: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from(
        "CREATE DATABASE bank;\nUSE bank;\n\
         CREATE TABLE account(id INT PRIMARY KEY, owner VARCHAR(60), city VARCHAR(30), balance BIGINT, KEY(city));\n\
         CREATE TABLE entry(id BIGINT AUTO_INCREMENT PRIMARY KEY, account INT, amount INT, note TEXT, KEY(account));\n",
    );
    for first in (0..accounts).step_by(100) {
        let rows: Vec<_> = (first..accounts.min(first + 100))
            .map(|id| {
                format!("({id},'{}','{}',{})", person(random), city(random), random.below(10_000))
            })
            .collect();
        let _ = writeln!(text, "INSERT INTO account VALUES {};", rows.join(","));
    }
    text.into_bytes()
}

/// What one client does: so many transfers on accounts of its own, of which there are fifty, so
/// that clients neither wait for one another nor see what others did.
pub fn transfers(seed: u64, client: usize, number: usize) -> Vec<u8> {
    const OWN: usize = 50;
    let random = &mut Random::stream(seed, client);
    let mut text = String::from("USE bank;\n");
    let first = client * OWN;
    for _ in 0..number {
        let (from, to) = (first + random.below(OWN), first + random.below(OWN));
        let (amount, words) = (random.between(1, 500), random.between(1, 20));
        let note = sentence(random, words);
        let _ = writeln!(
            text,
            "BEGIN; UPDATE account SET balance = balance - {amount} WHERE id = {from};"
        );
        let _ = writeln!(text, "UPDATE account SET balance = balance + {amount} WHERE id = {to};");
        let _ = write!(
            text,
            "INSERT INTO entry(account, amount, note) VALUES ({from}, -{amount}, '{note}'),"
        );
        let _ = writeln!(text, " ({to}, {amount}, '{note}');");
        let _ = writeln!(text, "SELECT balance, owner FROM account WHERE id = {from}; COMMIT;");
        if random.below(8) == 0 {
            let _ = write!(
                text,
                "SELECT owner, count(*), sum(amount), max(note) FROM account JOIN entry "
            );
            let _ =
                write!(text, "ON entry.account = account.id WHERE account.id BETWEEN {first} AND ");
            let _ = writeln!(text, "{} GROUP BY account.id ORDER BY owner, 3;", first + OWN - 1);
        }
    }
    text.into_bytes()
}
