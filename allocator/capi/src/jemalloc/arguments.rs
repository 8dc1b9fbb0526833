//! What the caller of `mallctl` gives and wants, and jemalloc's rules for lengths.
//!
//! A value is read if the caller has room for one, and written if it gives one. A length that is
//! not the type's is `EINVAL`; of a value that is read, what fits is copied nevertheless. Data for
//! what has none, or only tells or only takes, is `EPERM`. All functions give 0 or an error number.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// The arena and the size class that a path names, 0 if it names none.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// `<i>`
    pub arena: usize,
    /// `<j>`
    pub class: usize,
}

/// A value in one of the types that jemalloc's names have.
#[derive(Clone, Copy)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `unsigned` or `uint32_t`
    Unsigned(c_uint),
    /// `size_t` or `uint64_t`
    Size(usize),
    /// `ssize_t` or `int64_t`
    Signed(isize),
    /// `const char *`
    Text(&'static CStr),
}

/// The caller's four arguments.
#[derive(Clone, Copy)]
pub struct Arguments {
    old: *mut c_void,
    old_length: *mut usize,
    new: *const c_void,
    new_length: usize,
}

impl Arguments {
    /// The caller's word for it.
    ///
    /// # Safety
    /// For as long as the result is used: `old` is null or has room for `*old_length` bytes,
    /// `old_length` is null or valid, `new` is null or has `new_length` bytes.
    pub unsafe fn new(
        old: *mut c_void,
        old_length: *mut usize,
        new: *const c_void,
        new_length: usize,
    ) -> Self {
        Self { old, old_length, new, new_length }
    }

    /// Whether the caller wants a value.
    pub fn wants_value(self) -> bool {
        !self.old.is_null() && !self.old_length.is_null()
    }

    /// Whether the caller gives a value.
    pub fn gives_value(self) -> bool {
        !self.new.is_null()
    }

    /// Whether the caller gives a value, or the length of one.
    pub fn writes(self) -> bool {
        self.gives_value() || self.new_length != 0
    }

    /// Gives `value` to the caller, if it wants one.
    pub fn read(self, value: Value) -> c_int {
        match value {
            Value::Bool(value) => self.copy_out(&value),
            Value::Unsigned(value) => self.copy_out(&value),
            Value::Size(value) => self.copy_out(&value),
            Value::Signed(value) => self.copy_out(&value),
            Value::Text(value) => self.copy_out::<*const c_char>(&value.as_ptr()),
        }
    }

    /// As `read` for what cannot be written.
    pub fn read_only(self, value: Value) -> c_int {
        if self.writes() { libc::EPERM } else { self.read(value) }
    }

    /// As `read` for a value that exists for the caller only: it has to want one, in the right
    /// length, or nothing is done and 0 bytes are announced. For use before the value is made.
    pub fn expects<T>(self) -> c_int {
        // SAFETY: `old_length` is valid where it is not null, by the word given to `new`.
        unsafe {
            if self.wants_value() && *self.old_length == size_of::<T>() {
                return 0;
            }
            if !self.old_length.is_null() {
                *self.old_length = 0;
            }
        }
        libc::EINVAL
    }

    /// The value that the caller gives: `None` if it gives none, `EINVAL` for a wrong length.
    pub fn written<T: Plain>(self) -> Result<Option<T>, c_int> {
        if !self.gives_value() {
            return Ok(None);
        }
        if self.new_length != size_of::<T>() {
            return Err(libc::EINVAL);
        }
        // SAFETY: `new` has that many bytes by the word given to `new`; any bytes are a `T`.
        Ok(Some(unsafe { self.new.cast::<T>().read_unaligned() }))
    }

    /// The value of a name that can only be written: `EPERM` if the caller wants one, `EINVAL`
    /// if it gives none.
    pub fn only_written<T: Plain>(self) -> Result<T, c_int> {
        if !self.old.is_null() || !self.old_length.is_null() {
            return Err(libc::EPERM);
        }
        self.written()?.ok_or(libc::EINVAL)
    }

    /// 0 if the caller neither gives nor wants data, else `EPERM`.
    pub fn none(self) -> c_int {
        let none = self.old.is_null() && self.old_length.is_null();
        if none && !self.writes() { 0 } else { libc::EPERM }
    }

    fn copy_out<T: Copy>(self, value: &T) -> c_int {
        if !self.wants_value() {
            return 0;
        }
        // SAFETY: `old` has room for `*old_length` bytes by the word given to `new`; `value` has at
        // least as many bytes as are copied.
        unsafe {
            let fits = size_of::<T>().min(*self.old_length);
            let from = core::ptr::from_ref(value).cast::<u8>();
            self.old.cast::<u8>().copy_from_nonoverlapping(from, fits);
            let right = *self.old_length == size_of::<T>();
            *self.old_length = fits;
            if right { 0 } else { libc::EINVAL }
        }
    }
}

/// Types of which any bytes are a value.
///
/// # Safety
/// That is so.
pub unsafe trait Plain: Copy {}

// SAFETY: any bytes are a number.
unsafe impl Plain for u8 {}
// SAFETY: any bytes are a number.
unsafe impl Plain for c_uint {}
// SAFETY: any bytes are a number.
unsafe impl Plain for usize {}
// SAFETY: any bytes are a number.
unsafe impl Plain for isize {}
// SAFETY: any bytes are an address; what it points to is another question.
unsafe impl Plain for *const c_char {}
