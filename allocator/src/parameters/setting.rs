//! Reading and setting values from the program: once the environment was read, so that it cannot
//! undo what the program sets.

use super::environment::read_environment_once;
use super::table::{Id, Parameter, TABLE};
use super::value::Value;
use super::values::{choose, get};

/// Sets a value for good: the environment is read before, so that it cannot undo this. Returns
/// whether the value is in range; if not, nothing changes.
pub fn set(id: Id, number: usize) -> bool {
    read_environment_once();
    let admitted = TABLE[id as usize].kind.admits(number);
    if admitted {
        choose(id, number);
    }
    admitted
}

impl Parameter {
    /// The value that holds now.
    ///
    /// ```
    /// for option in stratalloc::options::all() {
    ///     println!("{} = {}", option.name, option.current());
    /// }
    /// ```
    pub fn current(&self) -> Value {
        read_environment_once();
        Value { kind: self.kind, number: get(self.id) }
    }

    /// The value as the allocator has it: bytes, milliseconds, or the place of a word.
    pub(crate) fn number(&self) -> usize {
        get(self.id)
    }

    /// Sets the value from text, as in the environment. Returns whether the text is a value of its
    /// kind, and in range; if not, nothing changes.
    pub(crate) fn set_text(&self, text: &[u8]) -> bool {
        self.kind.parse(text).is_some_and(|number| set(self.id, number))
    }
}
