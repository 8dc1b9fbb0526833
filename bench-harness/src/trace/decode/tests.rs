use super::*;
use crate::random::Random;
use crate::trace::{Stored, replay as replay_stored};

fn replay(trace: &Trace, seed: u64) -> u64 {
    replay_stored(&Stored::store(trace).expect("there is memory for it"), seed)
}

/// A file with these bytes behind its beginning.
fn file(events: &[u8]) -> Vec<u8> {
    [MAGIC, events].concat()
}

fn decode(events: &[u8]) -> Result<Trace, Problem> {
    Trace::decode(&file(events), usize::MAX).map_err(|error| error.problem)
}

/// The bytes that the documentation shows.
const EXAMPLE: &[u8] = &[
    0x01, // thread 0
    0x2a, // allocates 5 bytes: block 0
    0x84, 0x80, 0x02, 0x0c, // 4096 bytes at a multiple of 4096: block 1
    0x09, // thread 1
    0x0e, // frees the block before the newest: block 0
    0xa5, 0x3e, 0x00, // resizes the newest, block 1, to 996 bytes: block 2
    0x01, // thread 0
    0x1b, // allocates 3 zeroed bytes: block 3, never freed
    0x0e, // frees block 2
];

#[test]
fn the_example_is_decoded_as_documented_and_replayed() {
    let trace = decode(EXAMPLE).expect("it is sound");
    assert_eq!((trace.events, trace.peak_live, trace.shared.len()), (6, 4101, 4));
    let kinds = |thread: usize| -> Vec<_> {
        trace.threads[thread].ops.iter().map(|op| (op.kind, op.size)).collect()
    };
    use Kind::{Allocate, AllocateZeroed, Free, Reallocate, Start, Window};
    let first = [
        (Window, 0),
        (Allocate, 5),
        (Allocate, 4096),
        (Start, 0),
        (AllocateZeroed, 3),
        (Free, 996),
    ];
    assert_eq!(kinds(0), first);
    assert_eq!(kinds(1), [(Window, 0), (Free, 5), (Reallocate, 996)]);
    assert_eq!(trace.windows, [2]);
    let sum = |seed: u64| [5, 4096, 996].map(|size: u64| (size ^ seed) & 255).iter().sum::<u64>();
    assert_eq!((replay(&trace, 0), replay(&trace, 9)), (sum(0), sum(9)));
}

#[test]
fn zeros_end_a_trace_and_a_part_of_it_is_a_trace() {
    let whole = decode(EXAMPLE).expect("it is sound");
    assert_eq!(decode(&[EXAMPLE, &[0; 100]].concat()), Ok(whole));
    assert_eq!(decode(&[EXAMPLE, &[0, 0, 1]].concat()), Err(Problem::BehindTheEnd));
    for events in 1..=6 {
        let part = Trace::decode(&file(EXAMPLE), events).expect("it is sound");
        assert_eq!(part.events, events);
        replay(&part, 1);
    }
}

#[test]
fn every_mistake_is_told_apart() {
    let cases: &[(&[u8], Problem)] = &[
        (&[], Problem::Empty),
        (&[0x01], Problem::Empty),
        (&[0x2a], Problem::NoThread),
        (&[0x01, 0x82], Problem::Cut),
        (&[0x01, 0x04], Problem::Cut),
        (&[0x01, 0x2f], Problem::UnknownKind(7)),
        (&[0x09], Problem::ThreadOutOfOrder(1)),
        (&[0x01, 0x06], Problem::NoSuchBlock(0)),
        (&[0x01, 0x2a, 0x0e], Problem::NoSuchBlock(1)),
        (&[0x01, 0x2a, 0x06, 0x06], Problem::FreedTwice),
        (&[0x01, 0x04, 27], Problem::Alignment(27)),
        (&[0x01, 0xfa, 0xff, 0xff, 0xff, 0xff, 0x7f], Problem::TooLarge((1 << 39) - 1)),
        (
            &[0x01, 0xfa, 0xff, 0xff, 0xff, 0x7f, 0xfa, 0xff, 0xff, 0xff, 0x7f],
            Problem::TooMuchLive((1 << 33) - 2),
        ),
    ];
    for (events, problem) in cases {
        assert_eq!(decode(events).as_ref(), Err(problem), "{events:x?}");
        assert!(TraceError { at: 1, problem: problem.clone() }.to_string().starts_with("byte 1: "));
    }
    let huge = [&[0x01, 0xfa][..], &[0xff; 12]].concat();
    assert_eq!(decode(&huge), Err(Problem::HugeNumber));
    let foreign = Trace::decode(b"\x7fELF", usize::MAX).map_err(|error| error.problem);
    assert_eq!(foreign, Err(Problem::NotATrace));
    let mut crowd = Vec::new();
    for thread in 0..=MOST_THREADS_AT_ONCE as u32 {
        crowd.extend(if thread < 16 {
            vec![(thread as u8) << 3 | 1]
        } else {
            let rest = thread >> 4;
            vec![(thread as u8 & 15) << 3 | 0x81, (rest & 127) as u8]
        });
        crowd.push(0x2a);
    }
    let count = MOST_THREADS_AT_ONCE + 1;
    crowd.extend([0x01, 0x2a]);
    // Each has one call, so none is under way with another; but for the first.
    assert_eq!(decode(&crowd).map(|trace| trace.threads.len()), Ok(count));
}

/// Property: what was decoded from any bytes can be replayed, and whatever cannot is an error.
#[test]
fn any_bytes_are_an_error_or_can_be_replayed() {
    let mut random = Random::new(7);
    let mut sound = 0;
    for _ in 0..3_000 {
        let mut events = EXAMPLE.repeat(3);
        let length = random.below(events.len()) + 1;
        events.truncate(length);
        for _ in 0..random.below(4) {
            let at = random.below(length);
            events[at] = random.below(256) as u8;
        }
        if let Ok(trace) = decode(&events)
            && trace.peak_live < 1 << 20
        {
            replay(&trace, 3);
            sound += 1;
        }
    }
    assert!(sound > 100, "{sound} sound traces only");
}

/// A deterministic program of several threads, as bytes: each thread frees some of its own blocks
/// and some of others'.
fn crowd(threads: u64, calls: usize) -> Vec<u8> {
    let mut random = Random::new(11);
    let mut events = Vec::new();
    let number = |kind: u8, number: u64, events: &mut Vec<u8>| {
        let rest = number >> 4;
        events.push(kind | ((number & 15) as u8) << 3 | u8::from(rest > 0) << 7);
        let mut rest = rest;
        while rest > 0 {
            events.push((rest & 127) as u8 | u8::from(rest > 127) << 7);
            rest >>= 7;
        }
    };
    for thread in 0..threads {
        number(1, thread, &mut events);
        number(2, 8, &mut events);
    }
    let (mut live, mut made): (Vec<u64>, u64) = ((0..threads).collect(), threads);
    for _ in 0..calls {
        number(1, random.below(threads as usize) as u64, &mut events);
        if live.is_empty() || random.below(2) == 0 {
            number(2, random.below(3_000) as u64, &mut events);
            live.push(made);
            made += 1;
        } else {
            let block = live.swap_remove(random.below(live.len()));
            number(6, made - 1 - block, &mut events);
        }
    }
    events
}

#[test]
fn many_threads_that_free_each_others_blocks_come_to_the_same_sum_every_time() {
    let trace = decode(&crowd(8, 20_000)).expect("it is sound");
    assert_eq!(trace.threads.len(), 8);
    assert_eq!(trace.windows.len(), 20_008_usize.div_ceil(WINDOW));
    assert!(trace.shared.len() > 5_000, "{}", trace.shared.len());
    let sum = replay(&trace, 5);
    assert!((0..5).all(|_| replay(&trace, 5) == sum));
    assert_ne!(replay(&trace, 6), sum);
}
