//! The C library's streams: flushing them all at the end of a process, and the lock of glibc's list
//! of open streams, which `fork` takes between its handlers.
//!
//! A thread that flushes all streams holds that lock and may allocate. If a forking thread took the
//! allocator's locks first and that one second, the two threads would wait for each other (glibc
//! bug 19431). So the allocator's `fork` handlers take it before their own locks. One thread can
//! take it several times. C libraries without it have no such problem.

use super::elf::weak_address;
use super::linux::sleep_ms;
use super::own_libc::Function;
use core::ffi::{c_int, c_void};
use core::mem::transmute;

/// Calls the function at `address`, unless there is none.
///
/// # Safety
/// 0 or the address of a function that takes and returns nothing, and that may be called now.
unsafe fn call(address: usize) {
    if address != 0 {
        // SAFETY: the caller says that this is such a function and that it may be called now.
        unsafe { transmute::<usize, extern "C" fn()>(address)() }
    }
}

/// Takes the lock.
pub fn acquire() {
    static LOCK: Function = Function::new(c"_IO_list_lock");
    let address = LOCK.address(weak_address!("_IO_list_lock"));
    // SAFETY: glibc's function of this name takes and returns nothing, and is made for `fork`.
    unsafe { call(address) }
}

/// Releases the lock.
///
/// # Safety
/// The calling thread has called `acquire`.
pub unsafe fn release() {
    static UNLOCK: Function = Function::new(c"_IO_list_unlock");
    let address = UNLOCK.address(weak_address!("_IO_list_unlock"));
    // SAFETY: glibc's function of this name takes and returns nothing; the caller took the lock.
    unsafe { call(address) }
}

/// Writes out what all streams of the C library hold, as `exit` does. For the end of a process.
/// Returns whether there is the function for it: a static program may have streams, and not have
/// it.
///
/// `fflush` of all streams waits for the lock of each, and so for a thread that waits for input as
/// long as that does. glibc's `exit` does not, so this does not where its functions are found.
pub fn flush_all() -> bool {
    if let Some(streams) = Streams::find() {
        streams.flush_all();
        return true;
    }
    static FLUSH: Function = Function::new(c"fflush");
    let address = FLUSH.address(weak_address!("fflush"));
    if address != 0 {
        // SAFETY: the C library's function of this name has this type; null stands for all streams.
        unsafe { transmute::<usize, extern "C" fn(usize) -> i32>(address)(0) };
    }
    address != 0
}

/// A stream of the C library's (`FILE*`), or a place in the list of all.
type Stream = *mut c_void;
type OfStream<R> = unsafe extern "C" fn(Stream) -> R;

/// Milliseconds for which a stream is waited for that another thread uses.
const TIMEOUT_MS: u32 = 20;

/// glibc's functions that go through the list of streams and flush one.
struct Streams {
    begin: extern "C" fn() -> Stream,
    next: OfStream<Stream>,
    file: OfStream<Stream>,
    pending: OfStream<usize>,
    try_lock: OfStream<c_int>,
    unlock: OfStream<()>,
    flush_unlocked: OfStream<c_int>,
}

impl Streams {
    /// `None` where one of them is not found.
    fn find() -> Option<Self> {
        static FUNCTIONS: [Function; 7] = [
            Function::new(c"_IO_iter_begin"),
            Function::new(c"_IO_iter_next"),
            Function::new(c"_IO_iter_file"),
            Function::new(c"__fpending"),
            Function::new(c"ftrylockfile"),
            Function::new(c"funlockfile"),
            Function::new(c"fflush_unlocked"),
        ];
        let found = FUNCTIONS.each_ref().map(|function| function.address(0));
        if found.contains(&0) {
            return None;
        }
        let [begin, next, file, pending, try_lock, unlock, flush_unlocked] = found;
        // SAFETY: none is 0, so these are glibc's functions of these names, which have these types;
        // an iterator is a pointer.
        unsafe {
            Some(Self {
                begin: transmute::<usize, extern "C" fn() -> Stream>(begin),
                next: transmute::<usize, OfStream<Stream>>(next),
                file: transmute::<usize, OfStream<Stream>>(file),
                pending: transmute::<usize, OfStream<usize>>(pending),
                try_lock: transmute::<usize, OfStream<c_int>>(try_lock),
                unlock: transmute::<usize, OfStream<()>>(unlock),
                flush_unlocked: transmute::<usize, OfStream<c_int>>(flush_unlocked),
            })
        }
    }

    /// Writes out every stream that holds something. One that another thread goes on using is
    /// written out all the same, as `exit` does.
    fn flush_all(&self) {
        acquire();
        // SAFETY: the functions are glibc's. The streams and places come from its list, whose lock
        // keeps them there. A stream is unlocked if this locked it. The lock of the list was taken
        // above.
        unsafe {
            let mut place = (self.begin)();
            while !place.is_null() {
                let stream = (self.file)(place);
                if (self.pending)(stream) > 0 {
                    let is_locked = (0..TIMEOUT_MS).any(|_| {
                        let is_locked = (self.try_lock)(stream) == 0;
                        if !is_locked {
                            sleep_ms(1);
                        }
                        is_locked
                    });
                    (self.flush_unlocked)(stream);
                    if is_locked {
                        (self.unlock)(stream);
                    }
                }
                place = (self.next)(place);
            }
            release();
        }
    }
}

/// Makes the lock free in a forked child, as `fork` itself does.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_in_child() {
    static RESET: Function = Function::new(c"_IO_list_resetlock");
    let address = RESET.address(weak_address!("_IO_list_resetlock"));
    // SAFETY: glibc's function of this name takes and returns nothing. No other thread exists, so
    // nothing uses the lock meanwhile.
    unsafe { call(address) }
}
