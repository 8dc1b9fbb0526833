//! JSON: documents parsed into trees of values, looked at, and dropped.
//!
//! The daily work of web back ends. A tree is thousands of strings, vectors and maps of a few
//! entries that die together; a few documents are alive at a time. The parser is `serde_json`; the
//! documents are made beforehand, of the kind that interfaces exchange: records with names, tags,
//! numbers and nested addresses. One operation is one document.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

pub(super) const WORKLOAD: Workload = Workload {
    name: "json",
    stands_for: "web back ends: JSON documents parsed into values and dropped",
    origin: "serde_json on records as interfaces exchange them",
    unit: "documents",
    threaded: false,
    prepare,
};

/// Documents of a full run.
const DOCUMENTS: usize = 700;
/// Different documents.
const TEXTS: usize = 24;
/// Records in a document, at most.
const RECORDS: usize = 400;
/// Documents alive at once.
const ALIVE: usize = 4;

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(DOCUMENTS);
    let texts: Vec<String> =
        (0..TEXTS.min(goal)).map(|_| document(&mut random).to_string()).collect();
    Box::new(move || {
        let mut alive: VecDeque<Value> = VecDeque::with_capacity(ALIVE + 1);
        let mut checksum = 0_u64;
        for index in 0..goal {
            let text = &texts[index % texts.len()];
            let value: Value = serde_json::from_str(text).expect("it was written by the same");
            checksum = checksum.wrapping_add(weight(&value));
            alive.push_back(value);
            if alive.len() > ALIVE {
                alive.pop_front();
            }
        }
        drop(alive);
        Outcome { operations: goal as u64, checksum }
    })
}

/// A document of records.
fn document(random: &mut Random) -> Value {
    let records = random.between(RECORDS / 4, RECORDS);
    let records: Vec<_> = (0..records).map(|id| record(id, random)).collect();
    json!({ "version": 3, "count": records.len(), "records": records })
}

fn record(id: usize, random: &mut Random) -> Value {
    let tags: Vec<_> = (0..random.below(6)).map(|_| word(random)).collect();
    let mut attributes = Map::new();
    for _ in 0..random.below(8) {
        attributes.insert(word(random), json!(random.below(100_000)));
    }
    json!({
        "id": id,
        "name": format!("{} {}", word(random), word(random)),
        "active": random.below(2) == 0,
        "score": random.below(10_000) as f64 / 16.0,
        "tags": tags,
        "address": { "street": word(random), "number": random.below(200), "city": word(random) },
        "attributes": attributes,
    })
}

/// 3 to 16 letters.
pub(super) fn word(random: &mut Random) -> String {
    let length = random.between(3, 16);
    (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// A number that every part of the value adds to.
fn weight(value: &Value) -> u64 {
    match value {
        Value::Null => 1,
        Value::Bool(yes) => 2 + u64::from(*yes),
        Value::Number(number) => number.as_f64().map_or(5, |number| (number * 16.0) as u64),
        Value::String(text) => text.bytes().map(u64::from).sum(),
        Value::Array(values) => values.iter().map(weight).sum::<u64>() + values.len() as u64,
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| key.len() as u64 * 3 + weight(value)).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_document_survives_the_way_through_text() {
        let mut random = Random::new(9);
        let value = document(&mut random);
        let again: Value = serde_json::from_str(&value.to_string()).expect("it is JSON");
        assert_eq!(weight(&value), weight(&again));
        assert_eq!(weight(&json!({ "ab": [true, "c", null, 2] })), 6 + 3 + 99 + 1 + 32 + 4);
    }
}
