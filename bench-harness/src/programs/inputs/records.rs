//! Records of people and their orders, as JSON and as XML, and the log of a web server.

use super::words::{city, person, sentence, word};
use crate::random::Random;
use std::fmt::Write;

/// A web server's access log of so many lines.
pub fn log(seed: u64, lines: usize) -> Vec<u8> {
    const AGENTS: [&str; 4] = [
        "Mozilla/5.0 (X11; Linux x86_64)",
        "curl/7.88.1",
        "Crawler/2.1 (+about)",
        "app/3.4 android",
    ];
    let random = &mut Random::new(seed);
    let mut text = String::new();
    for line in 0..lines {
        let (user, second) = (random.log_between(1, 4_096), line / 3);
        let _ =
            write!(text, "10.{}.{}.{} - ", random.below(4), random.below(256), random.below(256));
        let _ = write!(text, "user{user} [29/Nov/2026:{:02}:", second / 3_600 % 24);
        let _ = write!(text, "{:02}:{:02} +0000] ", second / 60 % 60, second % 60);
        let method = ["GET", "GET", "GET", "POST"][random.below(4)];
        let _ = write!(text, "\"{method} /{}/{}", word(random), word(random));
        if random.below(3) == 0 {
            let _ =
                write!(text, "?{}={}&page={}", word(random), random.below(5_000), random.below(40));
        }
        let status = [200, 200, 200, 200, 304, 302, 404, 500][random.below(8)];
        let size = random.log_between(64, 65_536);
        let agent = AGENTS[random.below(AGENTS.len())];
        let _ = writeln!(text, " HTTP/1.1\" {status} {size} \"{agent}\"");
    }
    text.into_bytes()
}

/// So many JSON objects, a line each.
pub fn json_lines(seed: u64, records: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let lines: Vec<String> = (0..records).map(|id| json(random, id) + "\n").collect();
    lines.concat().into_bytes()
}

/// The same objects as one array.
pub fn json_array(seed: u64, records: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let lines: Vec<String> = (0..records).map(|id| json(random, id)).collect();
    format!("[{}]\n", lines.join(",\n")).into_bytes()
}

fn json(random: &mut Random, id: usize) -> String {
    let mut text = format!("{{\"id\": {id}, \"name\": \"{}\", ", person(random));
    let active = random.below(2) == 0;
    let _ = write!(text, "\"city\": \"{}\", \"active\": {active}, ", city(random));
    let tags: Vec<_> = (0..random.below(6)).map(|_| format!("\"{}\"", word(random))).collect();
    let _ = write!(text, "\"tags\": [{}], ", tags.join(", "));
    let words = random.between(2, 24);
    let _ = write!(text, "\"note\": \"{}\", \"orders\": [", sentence(random, words));
    for order in 0..random.between(1, 6) {
        let separator = if order == 0 { "" } else { ", " };
        let _ =
            write!(text, "{separator}{{\"item\": \"{}-{}\", ", word(random), random.below(1_000));
        let _ = write!(text, "\"price\": {}.{:02}}}", random.below(500), random.below(100));
    }
    text + "]}"
}

/// So many records as an XML document.
pub fn xml(seed: u64, records: usize) -> Vec<u8> {
    let random = &mut Random::new(seed);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<records>\n");
    for id in 0..records {
        let _ = writeln!(text, "<record id=\"r{id}\" city=\"{}\">", city(random));
        let _ = writeln!(text, "  <name>{}</name>", person(random));
        for _ in 0..random.below(5) {
            let _ = writeln!(text, "  <tag>{}</tag>", word(random));
        }
        for _ in 0..random.between(1, 5) {
            let (price, words) = (random.below(500), random.between(1, 9));
            let _ = write!(text, "  <order price=\"{price}\">");
            let _ = writeln!(text, "{} &amp; more</order>", sentence(random, words));
        }
        text.push_str("</record>\n");
    }
    text.push_str("</records>\n");
    text.into_bytes()
}
