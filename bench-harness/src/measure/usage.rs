//! What the kernel has charged to this process or to one thread.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Add;

/// Counters of `getrusage`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time in user mode, in seconds.
    pub user_s: f64,
    /// Processor time in the kernel, in seconds.
    pub system_s: f64,
    /// Page faults that needed no reading from disk.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// Times that a thread waited of its own will.
    pub voluntary_switches: u64,
    /// Times that a thread was preempted.
    pub involuntary_switches: u64,
}

impl Usage {
    /// All threads of this process, the ended ones included.
    pub fn of_process() -> io::Result<Self> {
        Self::of(libc::RUSAGE_SELF)
    }

    /// This process and all its children that have ended and were waited for.
    pub fn of_all() -> io::Result<Self> {
        Ok(Self::of(libc::RUSAGE_SELF)? + Self::of(libc::RUSAGE_CHILDREN)?)
    }

    /// The calling thread alone.
    pub fn of_thread() -> io::Result<Self> {
        Self::of(libc::RUSAGE_THREAD)
    }

    fn of(who: libc::c_int) -> io::Result<Self> {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the pointer is valid for writing one `rusage`.
        if unsafe { libc::getrusage(who, usage.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all zero bytes are a valid `rusage`, and `getrusage` has filled it in.
        let usage = unsafe { usage.assume_init() };
        Ok(Self::from(&usage))
    }

    /// What was used after `earlier`; never below zero.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user_s: (self.user_s - earlier.user_s).max(0.0),
            system_s: (self.system_s - earlier.system_s).max(0.0),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(earlier.involuntary_switches),
        }
    }
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        Self {
            user_s: seconds(usage.ru_utime),
            system_s: seconds(usage.ru_stime),
            minor_faults: usage.ru_minflt as u64,
            major_faults: usage.ru_majflt as u64,
            voluntary_switches: usage.ru_nvcsw as u64,
            involuntary_switches: usage.ru_nivcsw as u64,
        }
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user_s: self.user_s + other.user_s,
            system_s: self.system_s + other.system_s,
            minor_faults: self.minor_faults + other.minor_faults,
            major_faults: self.major_faults + other.major_faults,
            voluntary_switches: self.voluntary_switches + other.voluntary_switches,
            involuntary_switches: self.involuntary_switches + other.involuntary_switches,
        }
    }
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}
