//! The threads of a process, stopped by `ptrace` so that its memory holds still, and their
//! registers. They go on when the value ends, and also if this program is killed: the kernel lets
//! go of them.

use std::collections::HashMap;
use std::fs;
use std::io;

use anyhow::{Result, bail};

use crate::process::Process;

/// The allocator's thread that answers requests, by its name.
const ANSWERING: &str = "stratalloc-ctl";

/// General registers of a thread, as words.
pub type Registers = Vec<u64>;

/// The kernel's name of the set of general registers.
const NT_PRSTATUS: usize = 1;
/// Which of them is the stack pointer.
#[cfg(target_arch = "x86_64")]
const STACK_POINTER: usize = 19;
#[cfg(not(target_arch = "x86_64"))]
const STACK_POINTER: usize = 31;
/// Most registers in that set.
const MOST: usize = 64;

/// A thread that is stopped.
pub struct Thread {
    pub registers: Registers,
    /// Whether it is the allocator's own, which answers.
    pub answers: bool,
}

impl Thread {
    /// Where its stack ends.
    pub fn stack_pointer(&self) -> u64 {
        self.registers.get(STACK_POINTER).copied().unwrap_or(0)
    }
}

/// The stopped threads of a process, by their numbers.
pub struct Stopped {
    process: Process,
    pub threads: HashMap<i32, Thread>,
}

impl Stopped {
    /// Stops all threads but the one that answers.
    pub fn all(process: Process) -> Result<Self> {
        let mut stopped = Self { process, threads: HashMap::new() };
        stopped.stop(false)?;
        Ok(stopped)
    }

    /// Stops the one that answers, too.
    pub fn stop_answering(&mut self) -> Result<()> {
        self.stop(true)
    }

    /// Looks for threads until there are no new ones: those that run may make some.
    fn stop(&mut self, answering: bool) -> Result<()> {
        loop {
            let before = self.threads.len();
            for entry in fs::read_dir(self.process.path("task"))?.flatten() {
                let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                else {
                    continue;
                };
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                let answers = name.trim_end() == ANSWERING;
                if (answers && !answering) || self.threads.contains_key(&number) {
                    continue;
                }
                if let Some(registers) = stop(number)? {
                    self.threads.insert(number, Thread { registers, answers });
                }
            }
            if self.threads.len() == before {
                return Ok(());
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &number in self.threads.keys() {
            // SAFETY: a thread that this program has stopped; no memory is involved.
            unsafe { libc::ptrace(libc::PTRACE_DETACH, number, 0, 0) };
        }
    }
}

/// Stops a thread. Returns its registers; `None` if it has ended.
fn stop(number: i32) -> Result<Option<Registers>> {
    // SAFETY: no memory of this program is involved.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0) } != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(None),
            // A thread that is ending, or that has ended before the others, is refused too.
            Some(libc::EPERM) if has_ended(number) => Ok(None),
            _ => bail!(
                "thread {number} cannot be stopped ({error}): that takes the right to trace the \
                 process; run stratalloc-ctl as root, or allow it by kernel.yama.ptrace_scope=0"
            ),
        };
    }
    let mut status = 0;
    // SAFETY: a thread that this program traces; `status` is a valid target.
    let is_stopped = unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, number, 0, 0) == 0
            && libc::waitpid(number, &raw mut status, libc::__WALL) == number
    };
    if !is_stopped || !libc::WIFSTOPPED(status) {
        return Ok(None);
    }
    let mut words = vec![0_u64; MOST];
    let mut room =
        libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size_of_val(&words[..]) };
    // SAFETY: `room` describes `words`; the kernel writes no more, and how much it wrote.
    let got = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, number, NT_PRSTATUS, &raw mut room) };
    if got != 0 {
        return Ok(None);
    }
    words.truncate(room.iov_len / size_of::<u64>());
    Ok(Some(words))
}

/// Whether a thread has ended, though its number is still there.
fn has_ended(number: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}
