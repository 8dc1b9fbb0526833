//! The clock that times single calls: the processor's counter.
//!
//! A call of an allocator takes a few nanoseconds, and `clock_gettime` some twenty. The counter is
//! read by one instruction, so that most of what is measured is the call.
//!
//! The processor runs instructions out of order. The reading must not move into the call or the
//! call around the reading, so a fence stands on both sides of it. On x86-64 that is `lfence;
//! rdtsc; lfence`: `lfence` waits until all earlier instructions have run and lets no later one
//! begin. `rdtscp` waits for the earlier ones by itself, but not for the later ones, and so needs a
//! fence behind it as well; it saves nothing and is missing from the oldest processors. Stores of
//! the call may still be on their way to the caches at the second reading, as they are for the
//! program that made the call. On aarch64 it is `isb; mrs cntvct_el0; isb`.

use crate::machine::{has_flag, read};
use std::time::Instant;

/// The counter, in ticks.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
pub fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions exist on every x86-64 processor and touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// The counter, in ticks.
#[inline(always)]
#[cfg(target_arch = "aarch64")]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets every program read this register, and `isb` only waits. Memory is not
    // named as untouched, so that the compiler keeps loads and stores on their side, too.
    unsafe {
        std::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) ticks, options(nostack));
    }
    ticks
}

/// A clock that every machine has, in nanoseconds.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn ticks() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for writing, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Readings from which the clock's own share is taken.
const READINGS: usize = 10_001;

/// Ticks between two readings with nothing between them: what the clock adds to every time. The
/// median, which no interruption moves.
pub fn overhead() -> u64 {
    let mut gaps: Vec<u64> = (0..READINGS)
        .map(|_| {
            let start = ticks();
            ticks().saturating_sub(start)
        })
        .collect();
    gaps.sort_unstable();
    gaps[READINGS / 2]
}

/// Whether the counter runs at one rate, whatever the processor's frequency and sleep. On x86-64 by
/// the kernel's word; elsewhere the architecture says so.
pub fn is_steady() -> bool {
    if !cfg!(target_arch = "x86_64") {
        return true;
    }
    let cpuinfo = read("/proc/cpuinfo");
    ["constant_tsc", "nonstop_tsc"].iter().all(|flag| has_flag(&cpuinfo, flag))
}

/// Relates ticks to nanoseconds of `CLOCK_MONOTONIC` over the time since it was made.
pub struct Calibration {
    clock: Instant,
    ticks: u64,
}

impl Calibration {
    /// Begins now.
    pub fn start() -> Self {
        Self { clock: Instant::now(), ticks: ticks() }
    }

    /// Nanoseconds to a tick.
    pub fn tick_ns(&self) -> f64 {
        let passed = ticks().saturating_sub(self.ticks).max(1);
        self.clock.elapsed().as_nanos() as f64 / passed as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_agree_with_the_systems_clock() {
        let calibration = Calibration::start();
        std::thread::sleep(Duration::from_millis(50));
        let tick_ns = calibration.tick_ns();
        let (clock, start) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(50));
        let told = (ticks() - start) as f64 * tick_ns;
        let off = told / clock.elapsed().as_nanos() as f64;
        // A thread that is held up between two readings is off by as much.
        assert!((0.8..1.2).contains(&off), "{tick_ns} ns to a tick, off by {off}");
    }

    #[test]
    fn reading_the_clock_takes_well_below_a_microsecond() {
        let calibration = Calibration::start();
        let overhead = overhead();
        assert!((overhead as f64 * calibration.tick_ns()) < 1_000.0, "{overhead} ticks");
    }
}
