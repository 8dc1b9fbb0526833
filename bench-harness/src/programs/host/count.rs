//! Counting a run: the share of its instructions that are `malloc`'s, and what it holds.
//!
//! Two passes under callgrind count all instructions, and those from the entry of a function of
//! glibc's allocator until it returns. One on glibc's `libmemusage` tells the largest amount that
//! the program held at once. Each is the same on a busy machine and on a quiet one.

use super::start::Wrap;
use super::{CURRENT, Request, run};
use crate::programs::Program;
use std::fs;

/// glibc's allocator, under each of its names.
const ENTRIES: [&str; 12] = [
    "malloc",
    "__libc_malloc",
    "free",
    "__libc_free",
    "cfree",
    "calloc",
    "__libc_calloc",
    "realloc",
    "__libc_realloc",
    "memalign",
    "posix_memalign",
    "aligned_alloc",
];

/// Share of the program's instructions that are glibc's allocator's.
pub(super) fn share(program: &Program, request: &Request) -> Result<f64, String> {
    let callgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"].map(str::to_owned);
    let toggles = ENTRIES.iter().map(|entry| format!("--toggle-collect={entry}"));
    let all = under(program, request, callgrind.to_vec())?;
    let inside = under(program, request, callgrind.iter().cloned().chain(toggles).collect())?;
    let nothing = "callgrind counted nothing";
    let all = sum(&all, "Collected :").filter(|all| *all > 0).ok_or(nothing)?;
    Ok(sum(&inside, "Collected :").ok_or(nothing)? as f64 / all as f64)
}

/// Most memory that the program's largest process held at once, in KiB.
pub(super) fn live(program: &Program, request: &Request) -> Result<u64, String> {
    let said = run(program, request, &Wrap::Quiet)?.errors;
    let peak = numbers(&said, "heap peak:").max().ok_or("libmemusage said nothing")?;
    Ok(peak / 1024)
}

/// What valgrind says of a run under one of its tools.
fn under(program: &Program, request: &Request, tool: Vec<String>) -> Result<String, String> {
    let valgrind = ["valgrind", "--trace-children=yes"].map(str::to_owned);
    let words = valgrind.into_iter().chain(tool).collect();
    let ended = run(program, request, &Wrap::Tool(words))?;
    // The next pass starts as this one did: a server finds no data of an earlier one.
    fs::remove_dir_all(request.work.join(CURRENT)).map_err(|error| error.to_string())?;
    Ok(ended.errors)
}

/// The first number behind `name` in every line that has it.
fn numbers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = u64> + 'a {
    text.lines().filter_map(move |line| number(line.split_once(name)?.1))
}

fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.trim_end_matches(',').parse().ok()
}

fn sum(text: &str, name: &str) -> Option<u64> {
    numbers(text, name).reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_processes_are_read() {
        let text = "==7== Collected : 1234\n==8== Collected : 6\n";
        assert_eq!(sum(text, "Collected :"), Some(1_240));
        assert_eq!(sum(text, "nothing"), None);
        let text = "usage: heap total: 9, heap peak: 2048, stack peak: 7\nheap peak: 5, stack";
        assert_eq!(numbers(text, "heap peak:").max(), Some(2_048));
    }
}
