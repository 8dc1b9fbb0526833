//! Any bytes as a sequence of calls on three threads (`api.rs`).
#![no_main]

#[path = "../api.rs"]
mod api;

libfuzzer_sys::fuzz_target!(|data: &[u8]| api::run(data));
