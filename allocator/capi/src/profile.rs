//! Heap profiles and metrics on demand: `stratalloc_write_profile`, `stratalloc_metrics`.

use core::ffi::{CStr, c_char, c_int};
use core::fmt;
use core::ptr;

use allocator::{MallocExtension, ProfileError};

/// Writes a dump for `stratalloc-ctl report` to a file; 0, `ENOTSUP` or `EIO`.
///
/// # Safety
/// `path` is null or a string that a NUL ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stratalloc_write_profile(path: *const c_char) -> c_int {
    if path.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: a string (caller).
    let path = unsafe { CStr::from_ptr(path) };
    let Ok(path) = path.to_str() else { return libc::EINVAL };
    match MallocExtension::write_heap_profile(path) {
        Ok(()) => 0,
        Err(ProfileError::NotWatching) => libc::ENOTSUP,
        Err(ProfileError::NotWritten) => libc::EIO,
    }
}

/// A caller's buffer: keeps what fits and counts the rest.
struct Buffer {
    start: *mut c_char,
    room: usize,
    written: usize,
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.room.saturating_sub(self.written));
        if fits > 0 {
            // SAFETY: the caller's buffer has `room` bytes, of which `written` are used.
            unsafe {
                let to = self.start.add(self.written).cast::<u8>();
                ptr::copy_nonoverlapping(text.as_ptr(), to, fits);
            }
        }
        self.written += text.len();
        Ok(())
    }
}

/// Writes OpenMetrics text as `snprintf` would: the result is the length of the whole text.
///
/// # Safety
/// `buffer` has `length` bytes, or is null and `length` 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stratalloc_metrics(buffer: *mut c_char, length: usize) -> usize {
    let room = if buffer.is_null() { 0 } else { length.saturating_sub(1) };
    let mut out = Buffer { start: buffer, room, written: 0 };
    // Writing to a `Buffer` cannot fail.
    let _ = MallocExtension::write_metrics(&mut out);
    if !buffer.is_null() && length > 0 {
        // SAFETY: at most `length - 1` bytes are before the NUL.
        unsafe { buffer.add(out.written.min(room)).write(0) };
    }
    out.written
}
