//! Running a program and waiting for it, without the C library: no memory, no handlers of `fork`.
//!
//! For the report at exit, which `stratalloc-ctl` writes where it is there. The child does nothing
//! but system calls until it becomes that program; the caller's signals wait meanwhile. Beside that
//! stand a few questions to the kernel about the calling thread: its mask of signals, its name, and
//! whether a word of memory can be read. No state, no locks; nothing here changes `errno`.

use super::syscall::{call, failed};
use core::ffi::{CStr, c_char};
use core::ptr;

/// The kernel's set of signals.
pub type SignalSet = u64;

/// Runs `program` with `arguments` (the last is null) and an empty environment, with descriptor
/// `stdin` as its input and `output` as its output, and waits for its end. Whether it ran and
/// exited with 0. Signals of the calling thread wait meanwhile, so that no handler of the program's
/// sees the child. With `may_trace` the child may read this process's memory, even where only
/// parents may trace their children.
pub fn run(
    program: &CStr,
    arguments: &[*const c_char],
    stdin: usize,
    output: usize,
    may_trace: bool,
) -> bool {
    debug_assert!(arguments.last().is_some_and(|last| last.is_null()));
    let all: SignalSet = !0;
    let mut before: SignalSet = 0;
    set_mask(libc::SIG_SETMASK, &all, Some(&mut before));
    // SAFETY: a plain fork: the child has a copy of this stack.
    let child = unsafe { call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]) };
    if child == 0 {
        become_program(program, arguments, stdin, output, before);
    }
    if may_trace && !failed(child) {
        set_tracer(child as usize);
    }
    let done = !failed(child) && wait_for(child as usize);
    if may_trace {
        set_tracer(0);
    }
    set_mask(libc::SIG_SETMASK, &before, None);
    done
}

/// Lets the process `tracer` trace this one (0: none but those that may anyway).
fn set_tracer(tracer: usize) {
    // SAFETY: numbers alone. A kernel without such a restriction refuses the call.
    unsafe { call(libc::SYS_prctl, [libc::PR_SET_PTRACER as usize, tracer, 0, 0, 0, 0]) };
}

/// The child's part: nothing but system calls.
fn become_program(
    program: &CStr,
    arguments: &[*const c_char],
    stdin: usize,
    output: usize,
    mask: SignalSet,
) -> ! {
    let no_environment: [*const c_char; 1] = [ptr::null()];
    // SAFETY: descriptors are numbers; the strings and vectors outlive the calls, and end as they
    // must.
    unsafe {
        // Out of the way of 0 and 1 first; `dup3` clears the mark that closes a descriptor on
        // `exec`.
        let input = call(libc::SYS_fcntl, [stdin, libc::F_DUPFD as usize, 3, 0, 0, 0]);
        let output = call(libc::SYS_fcntl, [output, libc::F_DUPFD as usize, 3, 0, 0, 0]);
        let moves = |fd: isize, to| {
            !failed(fd) && !failed(call(libc::SYS_dup3, [fd as usize, to, 0, 0, 0, 0]))
        };
        if moves(input, 0) && moves(output, 1) {
            set_mask(libc::SIG_SETMASK, &mask, None);
            let (path, environment) = (program.as_ptr() as usize, no_environment.as_ptr() as usize);
            let arguments = arguments.as_ptr() as usize;
            call(libc::SYS_execve, [path, arguments, environment, 0, 0, 0]);
        }
        call(libc::SYS_exit_group, [127, 0, 0, 0, 0, 0]);
    }
    unreachable!("exit_group does not return")
}

/// Whether the child exited with 0.
fn wait_for(child: usize) -> bool {
    let mut status: i32 = 0;
    loop {
        let args = [child, &raw mut status as usize, 0, 0, 0, 0];
        // SAFETY: a valid target for the status.
        let result = unsafe { call(libc::SYS_wait4, args) };
        if result == -(libc::ECHILD as isize) {
            // The program ignores SIGCHLD: the kernel waited, and keeps no status.
            return true;
        }
        if result != -(libc::EINTR as isize) {
            return !failed(result) && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        }
    }
}

/// Ends the process with this status, without any handlers.
pub fn exit(status: usize) -> ! {
    // SAFETY: ends every thread; nothing runs after it.
    unsafe { call(libc::SYS_exit_group, [status, 0, 0, 0, 0, 0]) };
    unreachable!("exit_group does not return")
}

/// Changes the calling thread's set of blocked signals as `how` says, and reads the one before.
pub fn set_mask(how: i32, mask: &SignalSet, before: Option<&mut SignalSet>) {
    let before = before.map_or(0, |before| ptr::from_mut(before) as usize);
    let args = [how as usize, ptr::from_ref(mask) as usize, before, size_of::<SignalSet>(), 0, 0];
    // SAFETY: valid sets of the kernel's size.
    unsafe { call(libc::SYS_rt_sigprocmask, args) };
}

/// The calling thread's name, as the kernel has it, up to the first 0.
pub fn thread_name() -> [u8; 16] {
    let mut name = [0; 16];
    let place = (&raw mut name) as usize;
    // SAFETY: the kernel writes up to sixteen bytes there.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_NAME as usize, place, 0, 0, 0, 0]) };
    name
}

/// Whether a word can be read at `addr`, a multiple of its size. Asks the kernel by a call that
/// reads a set of signals and then fails: what to do with it is not a thing it can do.
pub fn is_readable(addr: usize) -> bool {
    const NO_OPERATION: usize = 0x7fff;
    // SAFETY: the kernel reads the address or finds that it cannot, and changes nothing.
    let result = unsafe { call(libc::SYS_rt_sigprocmask, [NO_OPERATION, addr, 0, 8, 0, 0]) };
    addr != 0 && result == -(libc::EINVAL as isize)
}
