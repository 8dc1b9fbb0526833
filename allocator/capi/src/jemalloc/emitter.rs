//! Values as jemalloc prints them, and JSON out of them.

use core::fmt::{self, Display, Write};

use super::arguments::Value;
use super::message::Sink;

impl Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => Display::fmt(value, out),
            Self::Unsigned(value) => Display::fmt(value, out),
            Self::Size(value) => Display::fmt(value, out),
            Self::Signed(value) => Display::fmt(value, out),
            // Texts are constants of ours: nothing in them needs an escape.
            Self::Text(value) => write!(out, "\"{}\"", value.to_str().unwrap_or("")),
        }
    }
}

/// A JSON document in the making. Objects and arrays are closed by who opened them.
pub struct Json<'a> {
    out: &'a mut Sink,
    /// Whether something precedes what comes next on its level.
    follows: bool,
}

impl<'a> Json<'a> {
    /// An empty document.
    pub fn new(out: &'a mut Sink) -> Self {
        Self { out, follows: false }
    }

    /// Opens an object or an array (`bracket`), called `key` if it is in an object.
    pub fn open(&mut self, key: Option<&str>, bracket: char) -> fmt::Result {
        self.separate()?;
        if let Some(key) = key {
            write!(self.out, "\"{key}\":")?;
        }
        self.follows = false;
        self.out.write_char(bracket)
    }

    /// Closes it.
    pub fn close(&mut self, bracket: char) -> fmt::Result {
        self.follows = true;
        self.out.write_char(bracket)
    }

    /// A value in an object.
    pub fn field(&mut self, key: &str, value: impl Display) -> fmt::Result {
        self.separate()?;
        write!(self.out, "\"{key}\":{value}")
    }

    fn separate(&mut self) -> fmt::Result {
        if self.follows {
            self.out.write_char(',')?;
        }
        self.follows = true;
        Ok(())
    }
}
