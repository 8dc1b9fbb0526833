//! What is done on a signal, by raw calls: the C library's `sigaction` is a name that programs
//! define as their own (runtimes that chain handlers do), and the pool of guarded blocks looks at
//! the action from slow paths.

use super::syscall::{call, failed};
use core::ffi::c_int;
use core::ptr;

/// The kernel's `struct sigaction`. All zero it is the default action.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Action {
    /// The handler's address, `SIG_DFL` or `SIG_IGN`.
    pub handler: usize,
    /// As for `sigaction`.
    pub flags: usize,
    /// Where a handler returns to; x86-64 needs it.
    restorer: usize,
    /// The signals that wait while the handler runs.
    mask: u64,
}

/// The flag that says that there is a restorer; private to the kernel and C libraries.
const SA_RESTORER: usize = 0x0400_0000;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    // Unwinders and debuggers recognise the end of a handler by exactly these instructions, where
    // no table describes them. They read the byte before, too, which must not belong to another
    // function.
    ".pushsection .text.stratalloc_restore_signal, \"ax\", @progbits",
    ".globl stratalloc_restore_signal_0_1",
    ".hidden stratalloc_restore_signal_0_1",
    ".type stratalloc_restore_signal_0_1, @function",
    "nop",
    "stratalloc_restore_signal_0_1:",
    ".byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0", // mov rax, 15 (rt_sigreturn)
    ".byte 0x0f, 0x05",                      // syscall
    ".size stratalloc_restore_signal_0_1, . - stratalloc_restore_signal_0_1",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    fn stratalloc_restore_signal_0_1();
}

impl Action {
    /// The default.
    pub const DEFAULT: Self = Self { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };

    /// This action, with another handler and other flags.
    pub fn with_handler(mut self, handler: usize, flags: c_int) -> Self {
        self.handler = handler;
        self.flags = flags as usize;
        #[cfg(target_arch = "x86_64")]
        {
            self.flags |= SA_RESTORER;
            self.restorer = stratalloc_restore_signal_0_1 as *const () as usize;
        }
        #[cfg(target_arch = "aarch64")]
        {
            // The kernel's own way back serves; a C library's, if there was one, goes with its
            // flag.
            self.flags &= !SA_RESTORER;
        }
        self
    }
}

/// What is done on `signal` now.
pub fn action(signal: c_int) -> Option<Action> {
    let mut found = Action::DEFAULT;
    let args = [signal as usize, 0, &raw mut found as usize, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel writes an action; the set of signals has its size.
    (!failed(unsafe { call(libc::SYS_rt_sigaction, args) })).then_some(found)
}

/// Sets what is done on `signal`. Returns whether that worked.
///
/// # Safety
/// The handler of `action`, if it names one, may be called with that signal at any time from now
/// on.
pub unsafe fn set_action(signal: c_int, action: &Action) -> bool {
    let args = [signal as usize, ptr::from_ref(action) as usize, 0, size_of::<u64>(), 0, 0];
    // SAFETY: the kernel reads a whole action; what it names is the caller's duty.
    !failed(unsafe { call(libc::SYS_rt_sigaction, args) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{AtomicUsize, Ordering};

    static CAUGHT: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_signal: c_int) {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
    }

    /// A handler runs and returns to where the signal came, and the C library sees the same action.
    #[test]
    fn a_handler_runs_and_returns() {
        let signal = libc::SIGWINCH;
        let before = action(signal).expect("an action");
        let ours = before.with_handler(count as extern "C" fn(c_int) as usize, libc::SA_RESTART);
        // SAFETY: a handler that only counts.
        assert!(unsafe { set_action(signal, &ours) });
        // SAFETY: sends the signal to this thread; a valid target.
        let seen = unsafe {
            libc::raise(signal);
            let mut seen: libc::sigaction = core::mem::zeroed();
            libc::sigaction(signal, ptr::null(), &raw mut seen);
            seen
        };
        assert_eq!(CAUGHT.load(Ordering::Relaxed), 1);
        assert_eq!(seen.sa_sigaction, ours.handler);
        assert_eq!(seen.sa_flags & libc::SA_RESTART, libc::SA_RESTART);
        // SAFETY: the action that was there before the test.
        assert!(unsafe { set_action(signal, &before) });
        assert_eq!(action(signal).expect("an action").handler, before.handler);
        assert!(action(0).is_none(), "no signal has the number 0");
    }
}
