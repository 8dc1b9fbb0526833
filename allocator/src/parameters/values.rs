//! The values of the parameters: one relaxed atomic each, which slow paths load when they need it.
//! Hot paths read none.
//!
//! Every value may change at any time, and counts from the next slow path on. Reading one does not
//! read the environment; `environment` does that once, and stores what it finds here.

use super::choices::{Background, HugePages};
use super::table::{COUNT, Id, TABLE};
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// The values. Relaxed throughout: numbers that no other memory depends on.
pub(super) static VALUES: [AtomicUsize; COUNT] = {
    let mut values = [const { AtomicUsize::new(0) }; COUNT];
    let mut index = 0;
    while index < COUNT {
        values[index] = AtomicUsize::new(TABLE[index].default);
        index += 1;
    }
    values
};

/// A bit for each parameter that the environment or the program has set. Relaxed: see `VALUES`;
/// read only when the values that are compiled into a program arrive.
static CHOSEN: AtomicU32 = AtomicU32::new(0);

/// The value of a parameter, for slow paths.
#[inline]
pub fn get(id: Id) -> usize {
    // Relaxed: see `VALUES`.
    VALUES[id as usize].load(Ordering::Relaxed)
}

/// Stores a value that outweighs what is compiled into the program.
pub(super) fn choose(id: Id, number: usize) {
    // Relaxed: see `CHOSEN` and `VALUES`.
    CHOSEN.fetch_or(id.bit(), Ordering::Relaxed);
    VALUES[id as usize].store(number, Ordering::Relaxed);
}

/// Whether the environment or the program has set this parameter.
pub(super) fn was_chosen(id: Id) -> bool {
    // Relaxed: see `CHOSEN`.
    CHOSEN.load(Ordering::Relaxed) & id.bit() != 0
}

/// [`Id::Background`] as what it stands for.
pub fn background() -> Background {
    match get(Id::Background) {
        0 => Background::Off,
        1 => Background::On,
        _ => Background::Auto,
    }
}

/// [`Id::HugePages`] as what it stands for.
pub fn huge_pages() -> HugePages {
    match get(Id::HugePages) {
        0 => HugePages::Never,
        1 => HugePages::Auto,
        _ => HugePages::Always,
    }
}
