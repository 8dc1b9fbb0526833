//! Resident memory of this process, read exactly, for the moments before and after the work.
//!
//! `smaps_rollup` walks the page tables, so it is exact and slow; the kernel's quick counters
//! (which the sampler reads) may be off by some pages per processor.

use std::fs;
use std::io;

/// Resident memory now, in KiB.
pub fn resident_kib() -> io::Result<u64> {
    match fs::read_to_string("/proc/self/smaps_rollup") {
        Ok(text) => field_kib(&text, "Rss:"),
        // Kernels before 4.14, and some sandboxes, do not have it.
        Err(_) => field_kib(&fs::read_to_string("/proc/self/status")?, "VmRSS:"),
    }
}

/// Highest resident memory since the program was started, in KiB. Not from `getrusage`, whose
/// figure is inherited from the process that started this one.
pub fn peak_kib() -> io::Result<u64> {
    field_kib(&fs::read_to_string("/proc/self/status")?, "VmHWM:")
}

/// The number behind `name` at the start of a line.
fn field_kib(text: &str, name: &str) -> io::Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no field {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_and_says_which_one_is_missing() {
        let text = "VmPeak:\t  10 kB\nVmHWM:\t    5220 kB\n";
        assert_eq!(field_kib(text, "VmHWM:").expect("it is there"), 5220);
        let missing = field_kib(text, "VmRSS:").expect_err("it is not there");
        assert!(missing.to_string().contains("VmRSS"));
    }
}
