//! The clock, as the kernel's own shared object (the vDSO) tells it: without a system call, and
//! without the C library's `clock_gettime`, a name that programs define as their own (time machines
//! such as libfaketime, sanitizers, profilers). Such a function may allocate or take locks under
//! which others allocate, and the clock is read under locks of ours.
//!
//! The kernel says where the object lies (`auxv`). Its symbols are looked through once, at the
//! first question, within the bounds of its mapping; where it is missing, or is not as it should
//! be, the system call does it.

use super::auxv::{Fact, fact};
use crate::base::syscall::raw;
use core::ffi::c_int;
use core::mem::transmute;
use core::num::NonZeroUsize;
use core::slice;
use once_cell::race::OnceNonZeroUsize;

/// The function's name in the vDSO.
#[cfg(target_arch = "x86_64")]
const NAME: &[u8] = b"__vdso_clock_gettime";
#[cfg(target_arch = "aarch64")]
const NAME: &[u8] = b"__kernel_clock_gettime";

type ClockGettime = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int;

/// Stands for the address of a function that is missing.
const MISSING: NonZeroUsize = NonZeroUsize::MIN;

/// The address of the function, once it was searched. Every search finds the same.
static FUNCTION: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// The time on one of the kernel's own clocks, which cannot fail.
pub fn now(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Not `get_or_init`, whose code would not lie in the section of `find`.
    let function = FUNCTION.get().unwrap_or_else(find);
    if function != MISSING {
        // SAFETY: the kernel's function of that name, which has the type of the system call.
        let gettime = unsafe { transmute::<usize, ClockGettime>(function.get()) };
        // SAFETY: a valid target.
        if unsafe { gettime(clock, &raw mut time) } == 0 {
            return time;
        }
    }
    // SAFETY: a valid target.
    unsafe { raw(libc::SYS_clock_gettime, [clock as usize, &raw mut time as usize, 0, 0, 0, 0]) };
    time
}

/// Nanoseconds on the monotonic clock.
pub fn now_ns() -> u64 {
    let time = now(libc::CLOCK_MONOTONIC);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of the vDSO that are there in any case: one page, with the headers.
const FIRST: usize = 4096;
/// Most bytes that a vDSO is taken to have; it has two or three pages.
const MOST: usize = 1 << 20;

/// Finds the function, or that there is none, and notes it. Cold: once in the life of a process.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn find() -> NonZeroUsize {
    let found = search().and_then(NonZeroUsize::new).unwrap_or(MISSING);
    // Of threads that search at once each finds the same.
    let _ = FUNCTION.set(found);
    found
}

fn search() -> Option<usize> {
    let start = fact(Fact::Vdso);
    if start == 0 {
        return None;
    }
    // SAFETY: the kernel mapped at least a page there, and nothing writes to it.
    let first = unsafe { slice::from_raw_parts(start as *const u8, FIRST) };
    let bytes = Image { bytes: first, base: 0 }.length()?.min(MOST);
    // SAFETY: the kernel maps the whole of the file, whose length the header tells.
    let all = unsafe { slice::from_raw_parts(start as *const u8, bytes.max(FIRST)) };
    function_in(all, NAME).map(|offset| start + offset)
}

/// The offset of the function `name` in an ELF object that lies in memory as in its file; `None` if
/// there is none, or if the object is not sound.
fn function_in(bytes: &[u8], name: &[u8]) -> Option<usize> {
    let mut image = Image { bytes, base: 0 };
    let (load, dynamic) = (image.segment(PT_LOAD)?, image.segment(PT_DYNAMIC)?);
    image.base = load.address.wrapping_sub(load.offset);
    let tables = image.tables(&dynamic)?;
    // The most symbols that can be in the object, whatever it says.
    let most = bytes.len() / SYMBOL_BYTES;
    (1..tables.count.min(most)).find_map(|index| {
        let symbol = tables.symbols.checked_add(index * SYMBOL_BYTES)?;
        let is_function = image.byte(symbol + 4)? & 15 == STT_FUNC;
        let is_defined = image.half(symbol + 6)? != 0;
        let text = tables.strings.checked_add(image.word(symbol)?)?;
        let found = image.bytes.get(text..)?;
        let is_it = found.starts_with(name) && found.get(name.len()) == Some(&0);
        let offset = image.place(image.long(symbol + 8)?)?;
        (is_function && is_defined && is_it).then_some(offset)
    })
}

const PT_LOAD: usize = 1;
const PT_DYNAMIC: usize = 2;
const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const STT_FUNC: u8 = 2;
const SYMBOL_BYTES: usize = 24;

/// A 64-bit ELF object of this machine's byte order. Every read is within its bytes, or is `None`.
struct Image<'a> {
    bytes: &'a [u8],
    /// The address that its first byte was linked for.
    base: usize,
}

/// A program header.
struct Segment {
    offset: usize,
    address: usize,
    file_bytes: usize,
}

/// Offsets of tables in the object, and how many symbols there are.
struct Tables {
    symbols: usize,
    strings: usize,
    count: usize,
}

impl Image<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn half(&self, at: usize) -> Option<usize> {
        self.array(at).map(|bytes| u16::from_ne_bytes(bytes) as usize)
    }

    fn word(&self, at: usize) -> Option<usize> {
        self.array(at).map(|bytes| u32::from_ne_bytes(bytes) as usize)
    }

    fn long(&self, at: usize) -> Option<usize> {
        self.array(at).map(usize::from_ne_bytes)
    }

    /// The offset of what was linked for `address`.
    fn place(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        (offset < self.bytes.len()).then_some(offset)
    }

    /// The first segment of a kind.
    fn segment(&self, kind: usize) -> Option<Segment> {
        if self.array(0)? != *b"\x7fELF\x02" {
            return None;
        }
        let (start, size, count) = (self.long(32)?, self.half(54)?, self.half(56)?);
        (0..count).find_map(|index| {
            let at = start.checked_add(index * size)?;
            let found = self.word(at)? == kind;
            let (offset, address) = (self.long(at.checked_add(8)?)?, self.long(at + 16)?);
            let segment = Segment { offset, address, file_bytes: self.long(at + 32)? };
            found.then_some(segment)
        })
    }

    /// Bytes of the object, as its one segment to be loaded says.
    fn length(&self) -> Option<usize> {
        let load = self.segment(PT_LOAD)?;
        load.offset.checked_add(load.file_bytes)
    }

    fn tables(&self, dynamic: &Segment) -> Option<Tables> {
        let (mut hash, mut gnu_hash, mut strings, mut symbols) = (None, None, None, None);
        let end = dynamic.offset.checked_add(dynamic.file_bytes)?.min(self.bytes.len());
        for at in (dynamic.offset..end).step_by(16) {
            let value = self.long(at + 8)?;
            match self.long(at)? {
                0 => break,
                DT_HASH => hash = self.place(value),
                DT_GNU_HASH => gnu_hash = self.place(value),
                DT_STRTAB => strings = self.place(value),
                DT_SYMTAB => symbols = self.place(value),
                _ => {}
            }
        }
        let count = match (hash, gnu_hash) {
            (Some(hash), _) => self.word(hash + 4)?,
            (None, Some(hash)) => self.count_by_gnu_hash(hash)?,
            (None, None) => return None,
        };
        Some(Tables { symbols: symbols?, strings: strings?, count })
    }

    /// The table does not say how many symbols there are: one more than the last of the last chain.
    fn count_by_gnu_hash(&self, table: usize) -> Option<usize> {
        let (buckets, first, bloom) =
            (self.word(table)?, self.word(table + 4)?, self.word(table + 8)?);
        let heads = table.checked_add(16)?.checked_add(bloom.checked_mul(8)?)?;
        let chains = heads.checked_add(buckets.checked_mul(4)?)?;
        if chains > self.bytes.len() {
            return None;
        }
        let mut last = 0;
        for bucket in 0..buckets {
            last = last.max(self.word(heads + 4 * bucket)?);
        }
        // Symbols before `first` are not in the table, and are not functions to be called.
        while last >= first && self.word(chains.checked_add((last - first) * 4)?)? & 1 == 0 {
            last += 1;
        }
        Some(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// This kernel's vDSO; none under some emulators.
    fn image() -> Option<&'static [u8]> {
        let start = fact(Fact::Vdso);
        if start == 0 {
            return None;
        }
        // SAFETY: the kernel mapped at least a page there, and nothing writes to it.
        let first = unsafe { slice::from_raw_parts(start as *const u8, FIRST) };
        let bytes = Image { bytes: first, base: 0 }.length().expect("a vDSO with a length");
        // SAFETY: the kernel mapped the whole of the object, whose length its header tells.
        Some(unsafe { slice::from_raw_parts(start as *const u8, bytes) })
    }

    #[test]
    fn the_clock_is_that_of_the_system_call() {
        let ms = |time: libc::timespec| time.tv_sec * 1_000 + time.tv_nsec / 1_000_000;
        for clock in [libc::CLOCK_MONOTONIC, libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_REALTIME] {
            let mut true_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let args = [clock as usize, &raw mut true_time as usize, 0, 0, 0, 0];
            let before = ms(now(clock));
            // SAFETY: a valid target.
            unsafe { raw(libc::SYS_clock_gettime, args) };
            let after = ms(now(clock));
            assert!((before..=after).contains(&ms(true_time)), "{before} {after} {clock}");
            assert!(after - before < 10_000);
        }
        if image().is_some() {
            assert!(FUNCTION.get().is_some_and(|found| found > MISSING), "the vDSO is used");
        }
    }

    #[test]
    fn other_names_are_not_found() {
        let Some(image) = image() else { return };
        assert!(function_in(image, NAME).is_some());
        assert_eq!(function_in(image, b"__vdso_clock_gettim"), None, "a part of a name");
        assert_eq!(function_in(image, b"clock_gettime_of_nobody"), None);
    }

    /// An object that is cut off or damaged never leads out of itself, and never ends the process.
    #[test]
    fn a_damaged_object_stays_within_its_bounds() {
        let Some(image) = image() else { return };
        for length in 0..image.len() {
            let found = function_in(&image[..length], NAME);
            assert!(found.is_none_or(|offset| offset < length), "cut to {length} bytes");
        }
        // Headers and tables lie at the start; code does not matter.
        let mut damaged: Vec<u8> = image.to_vec();
        for at in 0..damaged.len().min(4096) {
            let sound = damaged[at];
            for value in [0, 1, 0x7f, 0x80, 0xff, sound ^ 1, sound ^ 0x80] {
                damaged[at] = value;
                let found = function_in(&damaged, NAME);
                assert!(found.is_none_or(|offset| offset < damaged.len()), "byte {at}");
            }
            damaged[at] = sound;
        }
    }

    /// Kernels have come with either table, so each must do by itself.
    #[test]
    fn either_kind_of_hash_table_is_enough() {
        let Some(image) = image() else { return };
        let wanted = function_in(image, NAME);
        let view = Image { bytes: image, base: 0 };
        let dynamic = view.segment(PT_DYNAMIC).expect("a dynamic segment");
        let tags: Vec<usize> = (dynamic.offset..dynamic.offset + dynamic.file_bytes)
            .step_by(16)
            .filter(|&at| matches!(view.long(at), Some(DT_HASH | DT_GNU_HASH)))
            .collect();
        for &removed in &tags {
            let mut other = image.to_vec();
            // A tag that means nothing here.
            other[removed..removed + 8].copy_from_slice(&0x7000_0000_usize.to_ne_bytes());
            let left = if tags.len() > 1 { wanted } else { None };
            assert_eq!(function_in(&other, NAME), left);
        }
    }
}
