//! A client of the web services: orders are sent and asked for on connections that stay open.

use super::{connect, nonsense, together};
use crate::programs::digest;
use crate::random::Random;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// Connections.
const CONNECTIONS: usize = 4;
/// Orders that a connection has at the service at once; a later one takes an earlier one's number.
const KEPT: u64 = 4_000;

/// Sends so many requests in all; a digest of the answers.
pub(in crate::programs) fn web(socket: &Path, seed: u64, requests: usize) -> io::Result<u64> {
    together(CONNECTIONS, |index| {
        let mut random = Random::stream(seed, index);
        let mut stream = connect(socket)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let (mut sum, mut sent) = (0_u64, 0_u64);
        for request in 0..requests / CONNECTIONS {
            let first = index as u64 * KEPT;
            let text = if request % 3 == 2 {
                let id = first + random.below(sent.min(KEPT) as usize) as u64;
                format!("GET /orders/{id} HTTP/1.1\r\nHost: local\r\n\r\n")
            } else {
                let body = order(&mut random, first + sent % KEPT);
                sent += 1;
                format!(
                    "POST /orders HTTP/1.1\r\nHost: local\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            stream.write_all(text.as_bytes())?;
            sum = sum.rotate_left(5) ^ digest(&answer(&mut answers)?);
        }
        Ok(sum)
    })
}

/// An order of some lines, in JSON.
fn order(random: &mut Random, id: u64) -> String {
    let mut text = format!("{{\"id\":{id},\"customer\":\"c{}\",\"lines\":[", random.below(100_000));
    for line in 0..random.between(1, 24) {
        let separator = if line == 0 { "" } else { "," };
        let (price, count) = (random.below(10_000), random.between(1, 9));
        let note = "n".repeat(random.log_between(4, 256));
        let _ =
            write!(text, "{separator}{{\"item\":\"i{}\",\"note\":\"{note}\",", random.below(5_000));
        let _ = write!(text, "\"price\":{price},\"count\":{count}}}");
    }
    let tags: Vec<_> = (0..random.below(6)).map(|_| format!("\"t{}\"", random.below(99))).collect();
    let _ = write!(text, "],\"tags\":[{}]}}", tags.join(","));
    text
}

/// The body of the next answer.
fn answer(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(nonsense(format!("the service said '{}'", line.trim())));
    }
    let mut length = None;
    while line.trim_end() != "" {
        line.clear();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.ok_or_else(|| nonsense("an answer without a length"))?];
    from.read_exact(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_by_their_length_and_refusals_are_errors() {
        let text =
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabcHTTP/1.1 404 Not Found\r\n\r\n";
        let mut from = text.as_bytes();
        assert_eq!(answer(&mut from).expect("it is whole"), b"abc");
        assert!(answer(&mut from).expect_err("it is refused").to_string().contains("404"));
    }
}
