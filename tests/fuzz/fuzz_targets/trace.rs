//! Any bytes as a trace file (`trace.rs`).
#![no_main]

#[path = "../trace.rs"]
mod trace;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    trace::run(data);
});
