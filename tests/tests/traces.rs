//! Traces: what the library records of a program is what the program called, and can be replayed.

use std::path::Path;
use std::time::Duration;

use bench_harness::trace::{Kind, Op, Stored, Thread, Trace, load, replay, unpack};
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);
const FIRST: u32 = 700_001;

/// Runs `program` with `arguments` and returns the trace, decoded.
fn record(program: &str, arguments: &[&str], file: &Path) -> Trace {
    let mut program = command(program, Link::Preload);
    program.args(arguments).env("STRATALLOC_TRACE_FILE", file);
    let finished = run(program, LIMIT).expect_success();
    assert!(!finished.errors().contains("stratalloc"), "{finished}");
    load(file, usize::MAX).unwrap_or_else(|reason| panic!("{reason}"))
}

fn count(thread: &Thread, found: impl Fn(&Op) -> bool) -> usize {
    thread.ops.iter().filter(|op| found(op)).count()
}

#[test]
fn a_trace_holds_the_calls_of_every_thread_and_none_of_a_child() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("trace");
    for end in ["return", "_exit"] {
        let trace = record("traced.c", &[end], &file);
        assert_eq!(trace.threads.len(), 2, "{end}");
        let (main, other) = (&trace.threads[0], &trace.threads[1]);
        let of = |thread, kind, size| count(thread, |op| op.kind == kind && op.size == size);
        assert_eq!(of(main, Kind::Allocate, FIRST), 200);
        assert_eq!((of(main, Kind::Free, FIRST), of(other, Kind::Free, FIRST)), (0, 200));
        assert_eq!(of(main, Kind::AllocateZeroed, FIRST + 1), 1);
        assert_eq!(of(main, Kind::AllocateZeroed, 111), 1);
        let aligned = |size, power| {
            count(main, |op| (op.kind, op.size, op.align_log2) == (Kind::Allocate, size, power))
        };
        assert_eq!((aligned(FIRST + 2, 12), aligned(1_003, 8)), (1, 1));
        let resized = |old, new| {
            count(main, |op| (op.kind, op.old_size, op.size) == (Kind::Reallocate, old, new))
        };
        assert_eq!(resized(FIRST + 3, FIRST + 4), 1);
        assert_eq!(resized(FIRST + 4, 24 * FIRST), 1);
        // The resize that failed left the block as it was.
        assert_eq!(of(main, Kind::Free, 24 * FIRST), 1);
        assert_eq!(count(main, |op| op.size == FIRST + 9), 0, "a child was recorded");
        replay(&Stored::store(&trace).expect("there is memory for it"), 1);
        std::fs::remove_file(&file).expect("it is ours");
    }
}

/// Property: with threads that free each other's blocks, and are interrupted at any place, no free
/// comes before its allocation; the decoder would refuse it.
#[test]
fn the_order_of_many_threads_makes_sense() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for program in ["stress.c", "thread_churn.c"] {
        let trace = record(program, &[], &folder.path().join(program));
        assert!(trace.threads.len() > 4, "{program}: {} threads", trace.threads.len());
        assert!(trace.events > 10_000, "{program}: {} events", trace.events);
    }
}

#[test]
fn a_file_that_exists_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("trace");
    std::fs::write(&file, "mine").expect("it can be written");
    let mut program = command("traced.c", Link::Preload);
    program.env("STRATALLOC_TRACE_FILE", &file);
    let finished = run(program, LIMIT).expect_success();
    assert!(finished.errors().contains("exists already"), "{finished}");
    assert_eq!(std::fs::read(&file).expect("it is there"), b"mine");
}

/// What ships is a trace, of as many calls as the documentation says.
#[test]
fn the_traces_that_ship_are_as_documented() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench-harness/traces");
    for (name, events, threads) in [("redis", 517_471, 4), ("sqlite", 305_639, 1)] {
        let packed = std::fs::read(traces.join(format!("{name}.trace.zst"))).expect("it is there");
        assert!(packed.len() <= 300 << 10, "{name}: {} bytes", packed.len());
        let bytes = unpack(&packed).expect("it can be unpacked");
        let trace = Trace::decode(&bytes, usize::MAX).expect("it is sound");
        assert_eq!((trace.events, trace.threads.len()), (events, threads), "{name}");
    }
}
