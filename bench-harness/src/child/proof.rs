//! The proof that the allocator under test is the one that serves this process.

use super::Subject;
use crate::block::Block;
use std::time::Duration;

/// Blocks that the proof allocates.
const BLOCKS: usize = 4_000;
/// Size of each of them.
const SIZE: usize = 500;

/// Times that the proof is tried: threads of the work that are just ending may give memory back
/// meanwhile, which the counts show.
const TRIES: u32 = 10;
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(30);

/// Whether the allocator under test is the one in use, where threads may be ending: what was seen,
/// or why it is not.
pub fn prove(subject: &Subject) -> Result<String, String> {
    let mut proof = prove_once(subject);
    for _ in 1..TRIES {
        if proof.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
        proof = prove_once(subject);
    }
    proof
}

/// Allocates a known amount and looks whether the allocator under test accounts for it, and whether
/// the other one does not. Returns what was seen.
fn prove_once(subject: &Subject) -> Result<String, String> {
    let asked = BLOCKS * SIZE;
    let count = |counter: Option<fn() -> usize>| counter.map(|read| read());
    let (own_before, other_before) = (count(subject.live_bytes), count(subject.other_live_bytes));
    let mut blocks = Vec::with_capacity(BLOCKS);
    blocks.extend((0..BLOCKS).map(|_| Block::new(SIZE, 1)));
    let (own_after, other_after) = (count(subject.live_bytes), count(subject.other_live_bytes));

    let mut seen = Vec::new();
    if let (Some(before), Some(after)) = (own_before, own_after) {
        let grown = after.saturating_sub(before);
        if grown < asked || grown > 2 * asked {
            return Err(format!(
                "not in use: its count of live bytes grew by {grown} when {asked} were allocated"
            ));
        }
        seen.push(format!("its live bytes grew by {grown} for {asked} allocated"));
    }
    if let Some(owns) = subject.owns {
        let strange = blocks.iter().filter(|block| !owns(block.address())).count();
        if strange > 0 {
            return Err(format!("not in use: it does not know {strange} of {BLOCKS} blocks"));
        }
        seen.push(format!("it knows all of {BLOCKS} blocks as its own"));
    }
    if let Some(witness) = subject.witness {
        seen.push(witness()?);
    }
    if let (Some(before), Some(after)) = (other_before, other_after) {
        let grown = after.saturating_sub(before);
        if grown > asked / 10 {
            return Err(format!(
                "not in use: the system's allocator grew by {grown} when {asked} were allocated"
            ));
        }
        seen.push("the system's allocator did not grow".to_owned());
    }
    if seen.is_empty() {
        return Err("there is no way to prove that it is in use".to_owned());
    }
    Ok(seen.join("; "))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::child::{Answer, describe};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Each call counts as many bytes more as the proof allocates.
    fn growing() -> usize {
        static BYTES: AtomicUsize = AtomicUsize::new(0);
        BYTES.fetch_add(BLOCKS * SIZE, Ordering::Relaxed)
    }

    /// One that every witness vouches for.
    pub fn subject() -> Subject {
        Subject {
            name: "test".to_owned(),
            title: "Test".to_owned(),
            order: 0,
            version: || "1".to_owned(),
            live_bytes: Some(growing),
            owns: Some(|_| true),
            witness: Some(|| Ok("seen".to_owned())),
            other_live_bytes: Some(|| 0),
            tune: None,
            largest_alignment: Some(1 << 15),
            trim: None,
            release: None,
        }
    }

    #[test]
    fn proof_is_given_only_where_every_witness_agrees() {
        assert!(prove(&subject()).is_ok());
        let cases = [
            (Subject { live_bytes: Some(|| 0), ..subject() }, "grew by 0"),
            (Subject { owns: Some(|_| false), ..subject() }, "does not know 4000"),
            (Subject { witness: Some(|| Err("elsewhere".to_owned())), ..subject() }, "elsewhere"),
            (Subject { other_live_bytes: Some(growing), ..subject() }, "system's allocator grew"),
            (
                Subject {
                    live_bytes: None,
                    owns: None,
                    witness: None,
                    other_live_bytes: None,
                    ..subject()
                },
                "no way to prove",
            ),
        ];
        for (case, expected) in cases {
            let reason = prove(&case).expect_err(expected);
            assert!(reason.contains(expected), "{reason}");
            assert!(matches!(describe(&case), Answer::Refused(_)));
        }
    }
}
