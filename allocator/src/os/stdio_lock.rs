//! The C library's streams: flushing them all, and the lock of glibc's list of open streams, which
//! `fork` takes between its handlers.
//!
//! A thread that flushes all streams holds that lock and may allocate. If a forking thread took the
//! allocator's locks first and that one second, the two threads would wait for each other (glibc
//! bug 19431). So the allocator's `fork` handlers take it before their own locks. One thread can
//! take it several times. C libraries without it have no such problem.

use super::elf::weak_address;
use super::own_libc::Function;
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
pub fn flush_all() -> bool {
    static FLUSH: Function = Function::new(c"fflush");
    let address = FLUSH.address(weak_address!("fflush"));
    if address != 0 {
        // SAFETY: the C library's function of this name has this type; null stands for all streams.
        unsafe { transmute::<usize, extern "C" fn(usize) -> i32>(address)(0) };
    }
    address != 0
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
