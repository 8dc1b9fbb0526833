//! A free object, as it lies in a magazine, and a chain of such objects.
//!
//! The first word of a free object links to the next one of the same magazine; the second holds
//! [`FREE_MARK`], which `free` looks for: an object that carries it is probably free already, and the
//! slow path finds out. Allocation clears the mark, so that a block which the program never wrote to is
//! not suspected. Both words are the program's while the object is allocated.

use crate::config::FREE_MARK;
use core::ptr;

/// A free object's first two words.
#[repr(C)]
pub struct FreeObject {
    /// Next object of the chain.
    pub next: *mut FreeObject,
    /// [`FREE_MARK`].
    pub mark: usize,
}

/// Free objects of one class, linked; the unit that moves between tiers.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// First object; null if empty.
    pub head: *mut FreeObject,
    /// Number of objects.
    pub count: usize,
}

// SAFETY: a chain owns its objects; nothing in it is bound to a thread.
unsafe impl Send for Chain {}

impl Chain {
    /// No objects.
    pub const EMPTY: Self = Self { head: ptr::null_mut(), count: 0 };

    /// Whether there are no objects.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A chain of one.
    ///
    /// # Safety
    /// `object` is free memory of a small object and belongs to the caller.
    pub unsafe fn single(object: *mut FreeObject) -> Self {
        // SAFETY: every small object has room for two words (caller: it is one, and free).
        unsafe { object.write(FreeObject { next: ptr::null_mut(), mark: FREE_MARK }) };
        Self { head: object, count: 1 }
    }

    /// Whether `addr` is one of the objects.
    pub fn contains(&self, addr: usize) -> bool {
        let mut object = self.head;
        for _ in 0..self.count {
            if object.is_null() {
                break;
            }
            if object as usize == addr {
                return true;
            }
            // SAFETY: the chain owns `count` linked objects.
            object = unsafe { (*object).next };
        }
        false
    }
}
