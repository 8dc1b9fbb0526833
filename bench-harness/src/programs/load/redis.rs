//! A client of Redis: pipelines of commands on several connections, each with keys of its own.

use super::{connect, nonsense, together};
use crate::programs::digest;
use crate::random::Random;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Connections.
const CONNECTIONS: usize = 4;
/// Commands that are sent before their answers are read.
const PIPELINE: usize = 32;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::programs) enum Mix {
    /// A cache of sessions: strings of 16 bytes to 4 KiB, mostly read, some deleted.
    Cache,
    /// A queue and a leader board: lists, hashes and sorted sets that grow and shrink, strings that
    /// are appended to.
    Structures,
}

/// Sends so many commands in all; a digest of the answers.
pub(in crate::programs) fn redis(
    socket: &Path,
    mix: Mix,
    seed: u64,
    commands: usize,
) -> io::Result<u64> {
    together(CONNECTIONS, |index| {
        let mut random = Random::stream(seed, index);
        let mut stream = connect(socket)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let (mut sum, mut text) = (0_u64, Vec::new());
        for _ in 0..(commands / CONNECTIONS).div_ceil(PIPELINE) {
            text.clear();
            for _ in 0..PIPELINE {
                match mix {
                    Mix::Cache => cache(&mut random, index, &mut text),
                    Mix::Structures => structures(&mut random, index, &mut text),
                }
            }
            stream.write_all(&text)?;
            for _ in 0..PIPELINE {
                sum = sum.rotate_left(5) ^ answer(&mut answers)?;
            }
        }
        Ok(sum)
    })
}

fn cache(random: &mut Random, connection: usize, text: &mut Vec<u8>) {
    let key = format!("session:{connection}:{}", random.log_between(1, 16_384));
    match random.below(20) {
        0 => command(text, &["DEL", &key]),
        1..=8 => {
            let value = value(random, 16, 4_096);
            command(text, &["SET", &key, &value]);
        }
        _ => command(text, &["GET", &key]),
    }
}

fn structures(random: &mut Random, connection: usize, text: &mut Vec<u8>) {
    let number = random.below(400);
    let key = |kind: &str| format!("{kind}:{connection}:{number}");
    let (field, score) = (format!("f{}", random.below(300)), random.below(100_000).to_string());
    match random.below(16) {
        0..=2 => command(text, &["RPUSH", &key("list"), &value(random, 8, 512)]),
        3 => command(text, &["LPOP", &key("list")]),
        4 => command(text, &["LRANGE", &key("list"), "0", "9"]),
        5..=7 => command(text, &["HSET", &key("hash"), &field, &value(random, 8, 256)]),
        8 => command(text, &["HGET", &key("hash"), &field]),
        9 => command(text, &["HDEL", &key("hash"), &field]),
        10..=11 => command(text, &["ZADD", &key("board"), &score, &field]),
        12 => command(text, &["ZRANGE", &key("board"), "0", "9", "WITHSCORES"]),
        13..=14 => command(text, &["APPEND", &key("text"), &value(random, 8, 256)]),
        _ => {
            let kind = ["list", "hash", "board", "text"][random.below(4)];
            command(text, &["DEL", &key(kind)]);
        }
    }
}

/// A value of letters whose length is between these powers of two.
fn value(random: &mut Random, least: usize, most: usize) -> String {
    let length = random.log_between(least, most);
    let letter = char::from(b'a' + random.below(26) as u8);
    std::iter::repeat_n(letter, length).collect()
}

/// Adds a command in Redis's protocol.
fn command(text: &mut Vec<u8>, words: &[&str]) {
    let mut add = |part: String| text.extend(part.into_bytes());
    add(format!("*{}\r\n", words.len()));
    for word in words {
        add(format!("${}\r\n{word}\r\n", word.len()));
    }
}

/// Reads one answer; a digest of it.
fn answer(from: &mut impl BufRead) -> io::Result<u64> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
    let number = || text[1..].parse::<i64>().map_err(|_| nonsense(format!("'{text}'")));
    match line.first() {
        Some(b'+' | b':') => Ok(digest(&line)),
        Some(b'$') => match number()? {
            -1 => Ok(digest(&line)),
            length => {
                let mut bytes = vec![0; length as usize + 2];
                from.read_exact(&mut bytes)?;
                Ok(digest(&bytes))
            }
        },
        Some(b'*') => {
            (0..number()?).try_fold(digest(&line), |sum, _| Ok(sum.rotate_left(3) ^ answer(from)?))
        }
        _ => Err(nonsense(format!("the server said '{text}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_kind_are_read_to_their_end() {
        let text = b"+OK\r\n:5\r\n$3\r\nabc\r\n$-1\r\n*2\r\n$1\r\nx\r\n:1\r\n*0\r\n";
        let mut from = &text[..];
        let digests: Vec<_> = (0..6).map(|_| answer(&mut from).expect("it is whole")).collect();
        assert!(from.is_empty());
        assert_eq!(digests.iter().collect::<std::collections::HashSet<_>>().len(), 6);
        let error = answer(&mut &b"-ERR wrong\r\n"[..]).expect_err("an error is none");
        assert!(error.to_string().contains("-ERR wrong"), "{error}");
    }

    #[test]
    fn commands_are_the_same_for_the_same_seed() {
        let of = |seed: u64| {
            let (mut random, mut text) = (Random::new(seed), Vec::new());
            for _ in 0..200 {
                cache(&mut random, 1, &mut text);
                structures(&mut random, 1, &mut text);
            }
            text
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
