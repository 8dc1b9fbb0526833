//! What the C library, the tests and the benchmarks use of the tiers. No part of the interface: it
//! changes without notice.

/// The entry points below every interface.
pub mod front {
    pub use crate::front::*;
}

/// Leak reports and heap profiles.
pub mod profile {
    pub use crate::profile::*;
}

/// Traces of every call.
pub mod trace {
    pub use crate::trace::*;
}

/// Heaps with lifetimes, as the C library calls them.
pub mod heaps {
    pub use crate::heaps::*;
    pub use crate::page::heap_record::HeapRecord;
}

pub use crate::base::fatal::abort;
pub use crate::base::syscall;
pub use crate::os::elf;
pub use crate::os::linux::write_stderr;
pub use crate::os::own_libc;

#[cfg(feature = "faults")]
pub use crate::os::faults;

#[cfg(feature = "counts")]
pub use crate::sync::{Rank, counts};
