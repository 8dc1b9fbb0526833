//! System calls as the tiers make them: raw ones (`base::syscall` says why), which tests can let
//! fail (`faults`) and count (`base::steps`).

pub use crate::base::syscall::failed;
use crate::base::syscall::raw;

/// A system call of up to six arguments; the result as the kernel gives it, errors as `-errno`.
///
/// # Safety
/// The arguments fit the call, and its effect on memory is one that the caller may have.
#[inline]
pub unsafe fn call(number: libc::c_long, args: [usize; 6]) -> isize {
    #[cfg(feature = "faults")]
    if let Some(error) = super::faults::error_of(number, &args) {
        return error;
    }
    // Not the calls that wait for a lock or wake a waiter: how many there are depends on other
    // threads.
    if number != libc::SYS_futex {
        crate::base::steps::system_call();
    }
    // SAFETY: the arguments fit the call, and its effect on memory is one that the caller may have:
    // so says the caller.
    unsafe { raw(number, args) }
}
