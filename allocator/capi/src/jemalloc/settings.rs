//! Values of `mallctl` that can be read and written. Where this allocator has such an option, a
//! write sets it. What it does not offer is refused with the number that jemalloc has for that:
//! `EFAULT` for a value that is not admitted, `EPERM` for one that this allocator does not offer.
//!
//! Each value has a function that reads it, for `malloc_stats_print`, and one that carries out a
//! call of `mallctl`.

use core::ffi::{CStr, c_int, c_uint};
use core::sync::atomic::{AtomicIsize, Ordering};
use core::time::Duration;

use allocator::options;

use super::arenas;
use super::arguments::{Arguments, Place, Value};

/// jemalloc's "never".
const NEVER: isize = -1;

/// The option that says whether there may be a thread that gives memory back.
const BACKGROUND: &str = "background";

/// Whether the option `background` allows a thread.
fn background_is_on() -> bool {
    let mut table = options::all();
    table.find(|option| option.name == BACKGROUND).is_some_and(|found| found.current().number != 0)
}

/// `background_thread`: whether one may be started, by the option `background`.
pub fn background_thread(_: Place) -> Option<Value> {
    Some(Value::Bool(background_is_on()))
}

/// Reads and writes `background_thread`.
pub fn set_background_thread(_: Place, arguments: Arguments) -> c_int {
    let wanted = match arguments.written::<u8>() {
        Ok(wanted) => wanted.map(|byte| byte != 0),
        Err(error) => return error,
    };
    let before = background_is_on();
    let error = arguments.read(Value::Bool(before));
    match wanted {
        Some(wanted) if error == 0 && wanted != before => {
            let word = if wanted { "on" } else { "off" };
            if options::set(BACKGROUND, word).is_ok() { 0 } else { libc::EFAULT }
        }
        _ => error,
    }
}

/// `max_background_threads`: there is one at most.
pub fn one_thread(_: Place) -> Option<Value> {
    Some(Value::Size(1))
}

/// Reads `max_background_threads`; only 1 can be written.
pub fn set_max_background_threads(_: Place, arguments: Arguments) -> c_int {
    let wanted = match arguments.written::<usize>() {
        Ok(wanted) => wanted,
        Err(error) => return error,
    };
    let error = arguments.read(Value::Size(1));
    if error == 0 && wanted.is_some_and(|wanted| wanted != 1) { libc::EINVAL } else { error }
}

/// `thread.arena`: all threads use arena 0.
pub fn thread_arena(_: Place) -> Option<Value> {
    Some(Value::Unsigned(0))
}

/// Reads `thread.arena`; only 0 can be written. An arena that was created cannot be a thread's.
pub fn set_thread_arena(_: Place, arguments: Arguments) -> c_int {
    let wanted = match arguments.written::<c_uint>() {
        Ok(wanted) => wanted.unwrap_or(0) as usize,
        Err(error) => return error,
    };
    match arguments.read(Value::Unsigned(0)) {
        0 if wanted == 0 => 0,
        0 if arenas::is_created(wanted) => libc::EPERM,
        0 => libc::EFAULT,
        error => error,
    }
}

/// `thread.tcache.enabled`: every thread has a cache.
pub fn thread_cache(_: Place) -> Option<Value> {
    Some(Value::Bool(true))
}

/// Reads `thread.tcache.enabled`; it cannot be switched off.
pub fn set_thread_cache(_: Place, arguments: Arguments) -> c_int {
    match arguments.written::<u8>() {
        Ok(Some(0)) => libc::EPERM,
        Ok(_) => arguments.read(Value::Bool(true)),
        Err(error) => error,
    }
}

/// `dirty_decay_ms`: the option `decay_ms`, -1 for never.
pub fn dirty_decay(_: Place) -> Option<Value> {
    let milliseconds = |time: Duration| isize::try_from(time.as_millis()).unwrap_or(isize::MAX);
    Some(Value::Signed(options::decay().map_or(NEVER, milliseconds)))
}

/// Sets the option. Returns whether it takes the value.
fn store_dirty_decay(wanted: isize) -> bool {
    let time = match u64::try_from(wanted) {
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
        Err(_) if wanted == NEVER => None,
        Err(_) => return false,
    };
    options::set_decay(time).is_ok()
}

/// How long muzzy pages would stay. No page is ever muzzy here: memory goes back at once after the
/// dirty decay. So any time is kept, as jemalloc does on systems that cannot give back lazily.
/// Relaxed: a number that nothing depends on.
static MUZZY: AtomicIsize = AtomicIsize::new(0);

/// `muzzy_decay_ms`
pub fn muzzy_decay(_: Place) -> Option<Value> {
    Some(Value::Signed(MUZZY.load(Ordering::Relaxed)))
}

/// Stores the time. Returns whether it is one.
fn store_muzzy_decay(wanted: isize) -> bool {
    if wanted >= NEVER {
        MUZZY.store(wanted, Ordering::Relaxed);
    }
    wanted >= NEVER
}

/// Carries out a call: reads the old time, and stores the new one, if any.
fn exchange_decay(
    arguments: Arguments,
    before: Option<Value>,
    store: impl FnOnce(isize) -> bool,
) -> c_int {
    let Some(before) = before else {
        return libc::ENOENT;
    };
    match arguments.read(before) {
        0 => match arguments.written::<isize>() {
            Ok(Some(wanted)) if !store(wanted) => libc::EFAULT,
            Ok(_) => 0,
            Err(error) => error,
        },
        error => error,
    }
}

/// As `exchange_decay`, for arena `<i>`. An arena that was created has the heap's times, which can
/// be read there, but not changed.
fn exchange_arena_decay(
    place: Place,
    arguments: Arguments,
    before: Option<Value>,
    store: fn(isize) -> bool,
) -> c_int {
    if arenas::is_heap(place.arena) {
        return exchange_decay(arguments, before, store);
    }
    if !arenas::is_created(place.arena) {
        return libc::EFAULT;
    }
    exchange_decay(
        arguments,
        before,
        |wanted| matches!(before, Some(Value::Signed(now)) if now == wanted),
    )
}

/// `arenas.dirty_decay_ms`
pub fn set_dirty_decay(place: Place, arguments: Arguments) -> c_int {
    exchange_decay(arguments, dirty_decay(place), store_dirty_decay)
}

/// `arenas.muzzy_decay_ms`
pub fn set_muzzy_decay(place: Place, arguments: Arguments) -> c_int {
    exchange_decay(arguments, muzzy_decay(place), store_muzzy_decay)
}

/// `arena.<i>.dirty_decay_ms`
pub fn set_arena_dirty_decay(place: Place, arguments: Arguments) -> c_int {
    exchange_arena_decay(place, arguments, dirty_decay(place), store_dirty_decay)
}

/// `arena.<i>.muzzy_decay_ms`
pub fn set_arena_muzzy_decay(place: Place, arguments: Arguments) -> c_int {
    exchange_arena_decay(place, arguments, muzzy_decay(place), store_muzzy_decay)
}

/// `arena.<i>.dss`: "disabled" for every arena, as `sbrk` is not used. The other words that
/// jemalloc knows are refused, and all that it does not know.
pub fn set_dss(place: Place, arguments: Arguments) -> c_int {
    let wanted = match arguments.written::<*const core::ffi::c_char>() {
        Ok(wanted) => wanted.filter(|word| !word.is_null()),
        Err(error) => return error,
    };
    // SAFETY: the caller of `mallctl` passes a `const char *` for this name: a NUL-terminated
    // string.
    let word = wanted.map(|word| unsafe { CStr::from_ptr(word) }.to_bytes());
    match word {
        None | Some(b"disabled") => {}
        Some(b"primary" | b"secondary") => return libc::EFAULT,
        Some(_) => return libc::EINVAL,
    }
    if arenas::is_heap(place.arena) || arenas::is_created(place.arena) {
        arguments.read(Value::Text(c"disabled"))
    } else {
        libc::EFAULT
    }
}
