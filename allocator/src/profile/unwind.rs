//! The calling thread's stack, as return addresses.
//!
//! Each step asks the unwind tables for the rule at the address (`cfi`, which caches it); where
//! they know nothing, as in code made at run time, it follows the frame pointer. On aarch64 it
//! follows the frame pointer only. It allocates nothing and takes no lock. A step must lead upwards
//! and to readable memory; the walk ends at the first that does not, so what it finds on a damaged
//! or an odd stack is short, not wrong or fatal.

use super::readable::Reader;
use core::arch::asm;

pub use super::registers::Registers;

/// Most return addresses of one stack; what is beyond is cut off.
pub const MAX_FRAMES: usize = 64;

/// Writes the return addresses of the calling thread to `frames`, innermost first; returns how
/// many.
#[inline(never)]
pub fn capture(frames: &mut [usize]) -> usize {
    let at = here();
    walk(at, Reader::of_own_stack(at.sp), frames, 0)
}

/// As `capture`, from an instruction on that a signal interrupted; its address is the first one.
/// There is room for one.
pub fn capture_from(at: Registers, frames: &mut [usize]) -> usize {
    frames[0] = at.pc;
    walk(at, Reader::at(at.sp), frames, 1)
}

/// Appends the return addresses above `at` to the first `count` frames.
fn walk(mut at: Registers, mut reader: Reader, frames: &mut [usize], mut count: usize) -> usize {
    // The frames of the first steps are ours; only addresses that something returns to are kept.
    let mut is_return = false;
    while count < frames.len() {
        let Some((next, trampoline)) = step(at, is_return, &mut reader) else { break };
        if next.pc == 0 {
            break;
        }
        frames[count] = next.pc;
        count += 1;
        // A signal's frame was interrupted, not called: its address is exact, and its stack another
        // one.
        is_return = !trampoline;
        at = next;
    }
    count
}

/// The caller's registers, and whether `at` was a signal trampoline.
#[cfg(target_arch = "x86_64")]
fn step(at: Registers, is_return: bool, reader: &mut Reader) -> Option<(Registers, bool)> {
    // The address behind a call may belong to the next function.
    let pc = if is_return { at.pc - 1 } else { at.pc };
    match super::cfi::rule(pc) {
        Some(rule) => rule.apply(at, reader),
        None => by_frame_pointer(at, reader).map(|next| (next, false)),
    }
}

/// The caller's registers.
#[cfg(not(target_arch = "x86_64"))]
fn step(at: Registers, _is_return: bool, reader: &mut Reader) -> Option<(Registers, bool)> {
    by_frame_pointer(at, reader).map(|next| (next, false))
}

/// The caller's registers, if the frame pointer names a pair of its own value and a return address.
fn by_frame_pointer(at: Registers, reader: &mut Reader) -> Option<Registers> {
    if at.fp < at.sp {
        return None;
    }
    reader.distrust();
    let fp = reader.word(at.fp)?;
    let pc = reader.word(at.fp.checked_add(8)?)?;
    Some(Registers { pc, sp: at.fp.checked_add(16)?, fp })
}

/// The registers of the function that this is inlined into.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn here() -> Registers {
    let (pc, sp, fp);
    // SAFETY: copies three registers.
    unsafe {
        asm!(
            "lea {pc}, [rip]", "mov {sp}, rsp", "mov {fp}, rbp",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers { pc, sp, fp }
}

/// The registers of the function that this is inlined into.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn here() -> Registers {
    let (pc, sp, fp);
    // SAFETY: copies three registers.
    unsafe {
        asm!(
            "adr {pc}, .", "mov {sp}, sp", "mov {fp}, x29",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers { pc, sp, fp }
}
