//! How allocations are watched in this process: a choice that is made once, from the options.
//!
//! The slow paths ask [`mode`], which is one load; the hot paths know nothing of it. The choice is
//! made when the environment has been read, before the process has a second thread that allocates,
//! and never changes. This file starts nothing: `front::init` does what the mode asks for.

use crate::parameters::{self, Id, NEVER, TextId, text};
use crate::sync::{AtomicU32, Ordering};

/// How allocations are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Off,
    /// Each of them.
    Trace,
    /// By chance, in proportion to size.
    Sample,
    /// Not here, but by the module `trace`.
    Record,
}

const UNDECIDED: u32 = 0;
const OFF: u32 = 1;
const TRACE: u32 = 2;
const SAMPLE: u32 = 3;
const RECORD: u32 = 4;

/// Which mode was decided. Relaxed throughout: written once, mostly before the process has a second
/// thread that allocates, and a number by itself.
static MODE: AtomicU32 = AtomicU32::new(UNDECIDED);

/// How allocations are watched in this process; [`Mode::Off`] until that is decided.
#[inline]
pub fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        TRACE => Mode::Trace,
        SAMPLE => Mode::Sample,
        RECORD => Mode::Record,
        _ => Mode::Off,
    }
}

/// Decides the mode if that was not done yet and the environment was read. Returns the mode if it
/// was decided now.
#[inline]
pub fn decide_once() -> Option<Mode> {
    if MODE.load(Ordering::Relaxed) != UNDECIDED || !parameters::environment_was_read() {
        return None;
    }
    let decided = if text(TextId::TraceFile).is_some() {
        RECORD
    } else if parameters::get(Id::LeakReport) != 0 {
        TRACE
    } else if parameters::get(Id::SampleInterval) != NEVER {
        SAMPLE
    } else {
        OFF
    };
    // An exchange: of threads that come at the same moment, one carries the decision out. Relaxed:
    // a number by itself; what follows from it is set up under locks.
    let relaxed = Ordering::Relaxed;
    MODE.compare_exchange(UNDECIDED, decided, relaxed, relaxed).ok()?;
    Some(mode())
}
