//! The environment, read once: inside the first slow path, so without memory, and before anything
//! that the values decide.
//!
//! Weakest first: what is compiled into the program (`compiled`), glibc's `MALLOC_` variables,
//! `GLIBC_TUNABLES`, `STRATALLOC_OPTIONS`, `STRATALLOC_<NAME>`. Of glibc's settings, those that
//! have a meaning here count. All others are ignored in silence, as they were meant for another
//! allocator; `docs/tuning.md` lists them. Other variables that start with `STRATALLOC_` are
//! ignored, too: the prefix is not reserved for options.
//!
//! The user cannot tune a program that has more rights than the user (`AT_SECURE`). Another thread
//! that allocates meanwhile uses what is set so far. If the C library's `environ` is still null, as
//! before libc has started, the next slow path tries again.

use super::choices::HugePages;
use super::options::{self, Found};
use super::table::{Id, Parameter};
use super::texts;
use super::value::{NEVER, decimal};
use super::values::{choose, get};
use crate::config::{DIRECT_BYTES, MAX_REQUEST};
use crate::os::auxv::{Fact, fact};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use core::ffi::{CStr, c_char};
use core::ptr;

const UNREAD: u32 = 0;
const READING: u32 = 1;
const READ: u32 = 2;

/// Whether the environment was read. Release and Acquire of `READ`: some decisions are made once
/// and for all when the environment was read (`profile::mode`), so whoever sees that it was must
/// see the values. A thread that sees it late acts as if it had come earlier.
static STATE: AtomicU32 = AtomicU32::new(UNREAD);

unsafe extern "C" {
    /// POSIX's `environ`, by the name that no program may define as its own variable; null before
    /// libc has started and after `clearenv`.
    static __environ: *const *const c_char;
}

/// The environment as it was when this code was loaded, for as long as libc has not started; null:
/// not known. Relaxed: set before there is a second thread.
static AT_LOAD: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// Notes where the environment is, which libc may not know yet.
///
/// # Safety
/// Null, or strings that end with NUL, then null, which stay until libc has started.
pub unsafe fn note_environment(variables: *const *const c_char) {
    // Relaxed: see `AT_LOAD`.
    AT_LOAD.store(variables.cast_mut(), Ordering::Relaxed);
}

/// Reads the environment if that was not done yet. For slow paths: one load when it was.
#[inline]
pub fn read_environment_once() {
    // Acquire: pairs with the Release in `read_now`, see `STATE`.
    if STATE.load(Ordering::Acquire) != READ {
        read_now();
    }
}

/// Whether the environment was read.
pub fn environment_was_read() -> bool {
    // Acquire: pairs with the Release in `read_now`, see `STATE`.
    STATE.load(Ordering::Acquire) == READ
}

/// Cold: once in the life of a process.
#[cold]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn read_now() {
    // SAFETY: libc defines the variable. The read is volatile because libc changes it meanwhile.
    let mut variables = unsafe { (&raw const __environ).read_volatile() };
    if variables.is_null() {
        variables = AT_LOAD.load(Ordering::Relaxed);
    }
    // The strings of the start may not stay.
    AT_LOAD.store(ptr::null_mut(), Ordering::Relaxed);
    if variables.is_null() {
        return;
    }
    // Relaxed: the exchange picks one thread, and publishes nothing yet.
    let relaxed = Ordering::Relaxed;
    if STATE.compare_exchange(UNREAD, READING, relaxed, relaxed).is_err() {
        return;
    }
    let secure = fact(Fact::Secure) != 0;
    let mut help = false;
    read(Variables { next: variables }, secure, &mut |found| match found {
        Found::Set(id, number) => choose(id, number),
        Found::Help => help = true,
        Found::Text(id, value) if texts::store(id, value) => {}
        mistake => options::complain(mistake),
    });
    // Release: see `STATE`.
    STATE.store(READ, Ordering::Release);
    if help {
        options::print_help(get);
    }
}

/// The strings `NAME=value` of a process.
#[derive(Clone, Copy)]
struct Variables {
    next: *const *const c_char,
}

impl Iterator for Variables {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: `next` points into an array of strings that a null ends, and has not passed the
        // null. POSIX forbids other threads to change the environment while it is read.
        unsafe {
            let text = self.next.read();
            if text.is_null() {
                return None;
            }
            self.next = self.next.add(1);
            Some(CStr::from_ptr(text).to_bytes())
        }
    }
}

/// Reads `variables`, each `NAME=value`; what was found goes to `sink`, the strongest last.
pub fn read<'a>(
    variables: impl Iterator<Item = &'a [u8]> + Clone,
    secure: bool,
    sink: &mut impl FnMut(Found<'a>),
) {
    if secure {
        return;
    }
    for variable in variables.clone() {
        if let Some((name, value)) = split(variable, b'=')
            && let Some(name) = name.strip_prefix(b"MALLOC_")
            && let Some((id, number)) = glibc(name.strip_suffix(b"_").unwrap_or(name), value)
        {
            sink(Found::Set(id, number));
        }
    }
    for variable in variables.clone() {
        if let Some(list) = variable.strip_prefix(b"GLIBC_TUNABLES=") {
            read_tunables(list, sink);
        }
    }
    for variable in variables.clone() {
        if let Some(list) = variable.strip_prefix(b"STRATALLOC_OPTIONS=") {
            options::read_list(list, sink);
        }
    }
    for variable in variables {
        if let Some(rest) = variable.strip_prefix(b"STRATALLOC_")
            && let Some((name, value)) = split(rest, b'=')
        {
            if let Some(parameter) = Parameter::by_name(name) {
                sink(options::read_value(parameter, value));
            } else if let Some(id) = texts::by_name(name) {
                sink(Found::Text(id, value));
            }
        }
    }
}

/// glibc's own string: `glibc.malloc.name=value:...`.
fn read_tunables<'a>(list: &'a [u8], sink: &mut impl FnMut(Found<'a>)) {
    for item in list.split(|&byte| byte == b':') {
        if let Some((name, value)) = split(item, b'=')
            && let Some(name) = name.strip_prefix(b"glibc.malloc.")
            && let Some((id, number)) = glibc(name, value)
        {
            sink(Found::Set(id, number));
        }
    }
}

/// What a setting of glibc's malloc means here; `None` if it means nothing or has no valid value.
fn glibc(name: &[u8], value: &[u8]) -> Option<(Id, usize)> {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let number = glibc_number(value)?;
    if is("trim_threshold") {
        return (number > MAX_REQUEST).then_some((Id::DecayMs, NEVER));
    }
    if is("mmap_max") {
        return (number == 0).then_some((Id::DirectBytes, NEVER));
    }
    if is("mmap_threshold") {
        // A lower one would mean a mapping for each block (against docs/contract.md, C2.2).
        return (DIRECT_BYTES..=MAX_REQUEST).contains(&number).then_some((Id::DirectBytes, number));
    }
    if is("hugetlb") {
        return (number == 1).then_some((Id::HugePages, HugePages::Always as usize));
    }
    None
}

/// A number as glibc reads it: decimal, hexadecimal behind `0x`, octal behind `0`; a negative one
/// wraps.
fn glibc_number(text: &[u8]) -> Option<usize> {
    let (negative, digits) = match text.trim_ascii() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let number = match digits {
        [b'0', b'x' | b'X', hex @ ..] => radix(hex, 16)?,
        [b'0', octal @ ..] if !octal.is_empty() => radix(octal, 8)?,
        _ => decimal(digits)?,
    };
    Some(if negative { number.wrapping_neg() } else { number })
}

fn radix(digits: &[u8], radix: u32) -> Option<usize> {
    let text = core::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(text, radix).ok()
}

/// The parts before and behind the first `byte`.
fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&found| found == byte)?;
    Some((&text[..at], &text[at + 1..]))
}
