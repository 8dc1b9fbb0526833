//! The lock of glibc's list of open streams, which `fork` takes between its handlers.
//!
//! A thread that flushes all streams holds that lock and may allocate. Were a forking thread to take our locks
//! first and that one second, the two would wait for each other (glibc bug 19431); so our handlers take it
//! before they take ours. It can be taken several times by one thread. C libraries without it have no such
//! problem.

use super::elf::weak_address;
use super::own_libc::Function;
use core::mem::transmute;

/// Calls the function at `address`, unless there is none.
///
/// # Safety
/// 0 or the address of a function that takes and returns nothing, and that may be called now.
unsafe fn call(address: usize) {
    if address != 0 {
        // SAFETY: by the caller's word.
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

/// Gives the lock back.
///
/// # Safety
/// The calling thread has called `acquire`.
pub unsafe fn release() {
    static UNLOCK: Function = Function::new(c"_IO_list_unlock");
    let address = UNLOCK.address(weak_address!("_IO_list_unlock"));
    // SAFETY: glibc's function of this name takes and returns nothing; the caller took the lock.
    unsafe { call(address) }
}

/// Makes the lock free in a forked child, as `fork` itself does.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_in_child() {
    static RESET: Function = Function::new(c"_IO_list_resetlock");
    let address = RESET.address(weak_address!("_IO_list_resetlock"));
    // SAFETY: glibc's function of this name takes and returns nothing; nobody uses the lock.
    unsafe { call(address) }
}
