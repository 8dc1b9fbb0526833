//! `malloc_message`: where jemalloc's text goes that no caller takes.

use core::ffi::{c_char, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::text::Text;

/// Takes a piece of text: what the caller passed through, and a NUL-terminated string.
pub type Write = unsafe extern "C" fn(*mut c_void, *const c_char);

/// jemalloc's variable `malloc_message`: null, or the function of type [`Write`] that takes over
/// from standard error. Written by the program, as a plain variable, before threads print.
#[cfg_attr(not(feature = "prefixed"), unsafe(export_name = "malloc_message"))]
#[cfg_attr(feature = "prefixed", unsafe(export_name = "st_malloc_message"))]
pub static MALLOC_MESSAGE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The program's function, if it has set one.
fn program_write() -> Option<Write> {
    // Relaxed: the program orders its write to the variable before the calls that print.
    let function = MALLOC_MESSAGE.load(Ordering::Relaxed);
    // SAFETY: null, which is `None`, or a function of this type by the variable's declaration.
    unsafe { transmute::<*mut c_void, Option<Write>>(function) }
}

/// Text on its way to a function of the program's, or to standard error, in pieces.
pub struct Sink {
    piece: Text<PIECE>,
    write: Option<Write>,
    passed: *mut c_void,
}

/// Bytes of a piece, with its NUL: it lies on the stack of who asks.
const PIECE: usize = 128;

impl Sink {
    /// To `write` or, if that is null, to `malloc_message`; to standard error if both are.
    ///
    /// # Safety
    /// The function can be called with `passed` for as long as the result lives.
    pub unsafe fn new(write: Option<Write>, passed: *mut c_void) -> Self {
        Self { piece: Text::new(), write: write.or_else(program_write), passed }
    }

    fn flush(&mut self) {
        match self.write {
            Some(write) if !self.piece.as_bytes().is_empty() => {
                // One byte was left for it.
                let _ = core::fmt::Write::write_str(&mut self.piece, "\0");
                // SAFETY: by the word given to `new`; the text ends in NUL and outlives the call.
                unsafe { write(self.passed, self.piece.as_bytes().as_ptr().cast()) };
            }
            Some(_) => {}
            None => self.piece.write_to_stderr(),
        }
        self.piece.clear();
    }
}

impl core::fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            // All that is printed here is ASCII; anything else is cut where a character ends.
            let mut room = (PIECE - 1 - self.piece.as_bytes().len()).min(rest.len());
            while !rest.is_char_boundary(room) {
                room -= 1;
            }
            let (now, later) = rest.split_at(room);
            self.piece.write_str(now)?;
            if !later.is_empty() {
                self.flush();
            }
            rest = later;
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}
