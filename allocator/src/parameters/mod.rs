//! What can be set without rebuilding: one table of parameters, and their values.
//!
//! * `choices`: the words that some parameters take. `value`: a value as text, both ways.
//! * `texts`: the few parameters that are paths or lists of names.
//! * `table`: every parameter. `values`: what they are set to.
//! * `compiled`: values that are compiled into a program.
//! * `options`: `name=value,name=value`, and messages about mistakes.
//! * `environment`: the environment of the process, read once; glibc's own variables.
//! * `setting`: what the program sets.
//!
//! No locks, no memory: the environment is read inside the first allocation. The tiers act on the
//! values; nothing here does. A file uses only the files above it.

mod choices;
mod value;

mod texts;

mod table;

mod values;

mod compiled;
mod options;

mod environment;

mod setting;

#[cfg(test)]
mod tests;

pub use choices::{Background, HugePages, LeakReport};
pub use compiled::Compiled;
pub use environment::{environment_was_read, note_environment, read_environment_once};
pub use setting::set;
pub use table::{Id, Parameter, TABLE};
pub use texts::{TextId, text};
pub use value::{Kind, NEVER, Value};
pub use values::{background, get, huge_pages};
