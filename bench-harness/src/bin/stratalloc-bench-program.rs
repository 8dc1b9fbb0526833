//! `stratalloc-bench-program`: starts a real program for one run and measures it; also the web
//! service in Rust that is one of these programs. `stratalloc-bench` starts it. See
//! `bench_harness::programs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::programs::host::main()
}
