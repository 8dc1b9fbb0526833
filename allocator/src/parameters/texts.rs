//! Parameters that are text: paths and lists of names, which no number can stand for.
//!
//! Only the environment sets them, once. They are copied, as programs that change their title
//! overwrite the memory in which the kernel put the variables. A text that is too long is refused,
//! not cut. No lock: one thread writes, and a length of 0 keeps readers off until the text is
//! complete.

use crate::sync::{AtomicUsize, Ordering, UnsafeCell};

/// Which text: its place in [`TEXTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextId {
    /// Where the leak report goes; stderr if not set.
    LeakReportFile,
    /// Functions whose allocations are left out of leak reports.
    LeakSuppressions,
    /// A file of them, in LeakSanitizer's format.
    LeakSuppressionsFile,
    /// The program that turns addresses into names.
    CtlPath,
    /// The control socket: `1`, or a path.
    Control,
    /// Where a profile is written when a signal asks for it.
    ProfileFile,
    /// The trace, to which every call is written.
    TraceFile,
}

/// A parameter that is text.
#[derive(Debug)]
pub struct TextParameter {
    id: TextId,
    /// Its name, as that of a [`super::Parameter`].
    pub name: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

impl TextParameter {
    /// Which text it is.
    pub const fn id(&self) -> TextId {
        self.id
    }
}

/// Every parameter that is text, in the order of [`TextId`].
pub static TEXTS: [TextParameter; COUNT] = [
    TextParameter {
        id: TextId::LeakReportFile,
        name: "leak_report_file",
        meaning: "File that the leak report at exit is appended to instead of stderr; %p stands \
                  for the process's number.",
    },
    TextParameter {
        id: TextId::LeakSuppressions,
        name: "leak_suppressions",
        meaning: "Names of functions, with colons between; allocations with one of them on their \
                  stack are left out of the leak report. * stands for any text.",
    },
    TextParameter {
        id: TextId::LeakSuppressionsFile,
        name: "leak_suppressions_file",
        meaning: "File with lines leak:PATTERN, LeakSanitizer's format; allocations whose stack \
                  has a function, source or library that fits one are left out of the leak report.",
    },
    TextParameter {
        id: TextId::CtlPath,
        name: "ctl_path",
        meaning: "The program stratalloc-ctl, which the leak report at exit is made with; if not \
                  set, it is looked for beside the file that the allocator is in.",
    },
    TextParameter {
        id: TextId::Control,
        name: "control",
        meaning: "1: the process listens for stratalloc-ctl on a socket in a private folder; a \
                  path: on that socket (%p stands for the process's number).",
    },
    TextParameter {
        id: TextId::ProfileFile,
        name: "profile_file",
        meaning: "File that a profile is written to when dump_signal comes; if not set, \
                  stratalloc-%p.dump (%p stands for the process's number).",
    },
    TextParameter {
        id: TextId::TraceFile,
        name: "trace_file",
        meaning: "File that does not exist yet, to which every call is written, to be replayed by \
                  stratalloc-bench (%p stands for the process's number). Each call then takes tens \
                  of times as long, and leak_report and sample_interval do nothing.",
    },
];

const COUNT: usize = 7;

const _: () = {
    let mut index = 0;
    while index < COUNT {
        assert!(TEXTS[index].id as usize == index, "the table is in the order of `TextId`");
        index += 1;
    }
};

/// Longest text in bytes.
const LONGEST: usize = 512;

/// One text. `len` is stored by Release when the bytes are there, and loaded by Acquire; they do
/// not change afterwards.
struct Slot {
    len: AtomicUsize,
    bytes: UnsafeCell<[u8; LONGEST]>,
}

// SAFETY: one thread writes the bytes, the one that reads the environment, while `len` is 0. Other
// threads read them only once `len` is not 0.
unsafe impl Sync for Slot {}

#[unsafe(link_section = ".bss.stratalloc_large")]
static SLOTS: [Slot; COUNT] =
    [const { Slot { len: AtomicUsize::new(0), bytes: UnsafeCell::new([0; LONGEST]) } }; COUNT];

/// The text of a parameter; `None` if it was not set.
pub fn text(id: TextId) -> Option<&'static [u8]> {
    let slot = &SLOTS[id as usize];
    // Acquire: pairs with the Release in `store`; the bytes are visible.
    let len = slot.len.load(Ordering::Acquire);
    // SAFETY: the thread that stored `len` had written that many bytes before, and nothing writes
    // them after that.
    (len > 0).then(|| unsafe { core::slice::from_raw_parts(slot.bytes.get().cast(), len) })
}

/// Stores `value`, unless there is a value. Only the thread that reads the environment calls this.
/// Returns whether `value` is short enough.
pub fn store(id: TextId, value: &[u8]) -> bool {
    let slot = &SLOTS[id as usize];
    if value.len() > LONGEST {
        return false;
    }
    // Relaxed: this thread is the only writer.
    if slot.len.load(Ordering::Relaxed) == 0 {
        // SAFETY: readers read nothing while `len` is 0, and the one thread that reads the
        // environment is the only writer. `value` is no longer than the array.
        unsafe {
            slot.bytes.get().cast::<u8>().copy_from_nonoverlapping(value.as_ptr(), value.len())
        };
        // Release: pairs with the Acquire in `text`.
        slot.len.store(value.len(), Ordering::Release);
    }
    true
}

/// The text parameter called `name`.
pub fn by_name(name: &[u8]) -> Option<TextId> {
    let found = TEXTS.iter().find(|text| name.eq_ignore_ascii_case(text.name.as_bytes()));
    found.map(|text| text.id)
}
