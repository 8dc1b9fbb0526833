//! How allocations are watched in this process: a choice that is made once, from the options.
//!
//! The slow paths ask [`mode`], which is one load; the hot paths know nothing of it. The choice is
//! made when the environment has been read, before the process has a second thread that allocates,
//! and never changes. This file starts nothing: `front::init` does what the mode asks for.

use crate::parameters::{self, Id, NEVER, TextId, text};
use crate::sync::{AtomicU8, Ordering};

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

const UNDECIDED: u8 = 0;
const OFF: u8 = 1;
const TRACE: u8 = 2;
const SAMPLE: u8 = 3;
const RECORD: u8 = 4;

/// Which mode was decided. Relaxed throughout: written once, before the process has a second thread
/// that allocates.
static MODE: AtomicU8 = AtomicU8::new(UNDECIDED);

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
    MODE.store(decided, Ordering::Relaxed);
    Some(mode())
}
