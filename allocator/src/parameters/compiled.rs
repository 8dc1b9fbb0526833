//! Values that are compiled into a program: its own defaults.
//!
//! They arrive with the first allocation, which may be after the environment was read. So setting
//! an option leaves a mark (`values::choose`), and compiled values count only where there is no
//! mark.

use super::table::{COUNT, Id, Parameter, TABLE};
use super::value::Value;
use super::values::{VALUES, was_chosen};
use crate::sync::{AtomicU32, Ordering};

/// A value for some of the parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compiled {
    /// A bit for each parameter that has one.
    named: u32,
    /// Their values, in the order of [`TABLE`]; 0 for the others.
    numbers: [usize; COUNT],
}

/// 1 once the values of a program have been applied. Release and Acquire: whoever sees that they
/// were sees them, and decides by them what is decided once and for all.
static APPLIED: AtomicU32 = AtomicU32::new(0);

impl Compiled {
    /// Values for none.
    pub const NONE: Self = Self { named: 0, numbers: [0; COUNT] };

    /// With `number` for the parameter `id`; `None` if it does not take it.
    pub const fn with(mut self, id: Id, number: usize) -> Option<Self> {
        if !TABLE[id as usize].kind.admits(number) {
            return None;
        }
        self.named |= id.bit();
        self.numbers[id as usize] = number;
        Some(self)
    }

    /// Whether there is a value for the parameter `id`.
    #[inline(always)]
    pub const fn names(&self, id: Id) -> bool {
        self.named & id.bit() != 0
    }

    /// The value for a parameter, if there is one.
    pub fn value(&self, parameter: &Parameter) -> Option<Value> {
        let number = self.numbers[parameter.id as usize];
        let named = self.named & parameter.id.bit() != 0;
        named.then_some(Value { kind: parameter.kind, number })
    }

    /// Makes these the values of all parameters that were not set, once.
    #[inline]
    pub fn apply_once(&self) {
        // Acquire: pairs with the Release below, see `APPLIED`.
        if APPLIED.load(Ordering::Acquire) == 0 {
            self.apply();
            // Release: see `APPLIED`.
            APPLIED.store(1, Ordering::Release);
        }
    }

    /// Cold: once in the life of a process, or once per thread of those that allocate first at the
    /// same time.
    #[cold]
    #[inline(never)]
    fn apply(&self) {
        for parameter in TABLE {
            let (id, default) = (parameter.id, parameter.default);
            if self.named & id.bit() != 0 && !was_chosen(id) {
                let number = self.numbers[id as usize];
                // Exchanged with the default, so that what is set at this moment stays. Relaxed:
                // see `VALUES`.
                let relaxed = Ordering::Relaxed;
                let _ = VALUES[id as usize].compare_exchange(default, number, relaxed, relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::values::{choose, get};

    #[test]
    fn a_value_out_of_range_is_none() {
        assert!(Compiled::NONE.with(Id::HardLimit, 10).is_none());
        assert!(Compiled::NONE.with(Id::HardLimit, 1 << 20).is_some());
    }

    /// A program's own defaults must not undo what its user or its code has set before.
    #[test]
    fn what_was_set_outweighs_what_is_compiled_in() {
        choose(Id::VerifyAtExit, 1);
        let values = Compiled::NONE.with(Id::VerifyAtExit, 0).and_then(|values| {
            // The default again: what is applied here is seen by all tests of the process.
            values.with(Id::Deepbind, TABLE[Id::Deepbind as usize].default)
        });
        values.expect("values in range").apply();
        assert_eq!(get(Id::VerifyAtExit), 1);
        assert!(!was_chosen(Id::Deepbind));
    }
}
