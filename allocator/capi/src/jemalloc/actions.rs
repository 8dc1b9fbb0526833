//! Names of `mallctl` that make something happen.

use core::ffi::{c_char, c_int, c_uint};
use core::sync::atomic::{AtomicUsize, Ordering};

use allocator::{MallocExtension, Ownership};

use super::arenas;
use super::arguments::{Arguments, Place, Value};
use super::numbers::Numbers;

/// Writes of `epoch`, and one. Relaxed: nothing depends on it.
static EPOCH: AtomicUsize = AtomicUsize::new(1);

/// `epoch`: a write of any value counts, a read tells the count. In jemalloc a write also renews
/// the figures, which are always new here.
pub fn epoch(_: Place, arguments: Arguments) -> c_int {
    match arguments.written::<usize>() {
        Ok(None) => {}
        Ok(Some(_)) => {
            EPOCH.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => return error,
    }
    arguments.read(Value::Size(EPOCH.load(Ordering::Relaxed)))
}

/// Does what needs no data, unless there is some.
fn without_data(arguments: Arguments, act: impl FnOnce() -> c_int) -> c_int {
    match arguments.none() {
        0 => act(),
        refused => refused,
    }
}

/// `thread.tcache.flush`, `thread.idle`: gives up the calling thread's cache.
pub fn flush_thread_cache(_: Place, arguments: Arguments) -> c_int {
    without_data(arguments, || {
        MallocExtension::mark_thread_idle();
        0
    })
}

/// Numbers of explicit caches; jemalloc has as many. Blocks allocated through one come from the
/// cache of the thread that asks, like all others.
static CACHES: Numbers<63> = Numbers::new();

/// `tcache.create`
pub fn create_cache(_: Place, arguments: Arguments) -> c_int {
    if arguments.writes() {
        return libc::EPERM;
    }
    give_number(arguments, || CACHES.take(), libc::EFAULT)
}

/// `tcache.flush`: gives up the calling thread's cache, where its part of that cache's blocks is.
pub fn flush_cache(_: Place, arguments: Arguments) -> c_int {
    match arguments.only_written::<c_uint>() {
        Ok(number) if CACHES.contains(number as usize) => {
            MallocExtension::mark_thread_idle();
            0
        }
        Ok(_) => libc::EFAULT,
        Err(error) => error,
    }
}

/// `tcache.destroy`
pub fn destroy_cache(place: Place, arguments: Arguments) -> c_int {
    let flushed = flush_cache(place, arguments);
    if flushed == 0
        && let Ok(number) = arguments.only_written::<c_uint>()
    {
        CACHES.give_back(number as usize);
    }
    flushed
}

/// Makes a number for a caller that has room for it; `without` if there is none left.
fn give_number(
    arguments: Arguments,
    make: impl FnOnce() -> Option<usize>,
    without: c_int,
) -> c_int {
    let refused = arguments.expects::<c_uint>();
    if refused != 0 {
        return refused;
    }
    match make().and_then(|number| c_uint::try_from(number).ok()) {
        Some(number) => arguments.read(Value::Unsigned(number)),
        None => without,
    }
}

/// `arenas.create`. An arena with functions of the program's own for its memory cannot be had.
pub fn create_arena(_: Place, arguments: Arguments) -> c_int {
    let refused = arguments.expects::<c_uint>();
    if refused != 0 {
        return refused;
    }
    match arguments.written::<usize>() {
        Ok(None | Some(0)) => give_number(arguments, arenas::create, libc::EAGAIN),
        Ok(Some(_)) => libc::EPERM,
        Err(error) => error,
    }
}

/// `arenas.lookup`: all blocks are arena 0's; `EINVAL` for what is none of ours.
pub fn look_arena_up(_: Place, arguments: Arguments) -> c_int {
    match arguments.written::<*const c_char>() {
        Ok(Some(block)) if MallocExtension::ownership(block.cast()) == Ownership::Owned => {
            arguments.read(Value::Unsigned(0))
        }
        _ => libc::EINVAL,
    }
}

/// Does something to the one heap, whichever arena it is asked of.
fn to_the_heap(place: Place, arguments: Arguments, act: fn()) -> c_int {
    without_data(arguments, || {
        if place.arena == arenas::DESTROYED {
            return libc::EFAULT;
        }
        if arenas::is_heap(place.arena) || arenas::is_created(place.arena) {
            act();
        }
        0
    })
}

/// `arena.<i>.decay`: gives back free pages whose time is over.
pub fn decay(place: Place, arguments: Arguments) -> c_int {
    to_the_heap(place, arguments, allocator::release_due_pages)
}

/// `arena.<i>.purge`: gives all free memory back.
pub fn purge(place: Place, arguments: Arguments) -> c_int {
    to_the_heap(place, arguments, || {
        MallocExtension::release_free_memory();
    })
}

/// `arena.<i>.reset`: discards what is left in an arena that was created, which must be nothing.
pub fn reset_arena(place: Place, arguments: Arguments) -> c_int {
    without_data(arguments, || {
        let empty = arenas::is_created(place.arena) && arenas::is_empty(place.arena);
        if empty { 0 } else { libc::EFAULT }
    })
}

/// `arena.<i>.destroy`: the same, and gives the arena's number back.
pub fn destroy_arena(place: Place, arguments: Arguments) -> c_int {
    without_data(arguments, || match arenas::destroy(place.arena) {
        Ok(()) => 0,
        Err(arenas::InUse) => libc::EFAULT,
    })
}
