//! A chain of free objects: what a magazine holds, and what moves between the tiers.
//!
//! Whoever has a chain owns its objects. A chain takes no lock; a structure that holds chains
//! guards them with its own. Objects are linked and marked as `free_object` says. What a chain is
//! built from, and in which order, is the business of `chain_builder`.

pub use super::free_object::FreeObject;
#[allow(unused_imports, reason = "the hardened build alone uses this")]
pub use super::free_object::overwritten;
use crate::page::link_encoding;
use core::ptr;

/// Free objects of one class, linked.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// First object; null if empty.
    pub head: *mut FreeObject,
    /// Number of objects.
    pub count: usize,
}

// SAFETY: a chain owns its objects, and nothing in a free object is bound to a thread.
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
    /// `object` is a free small object, and the caller gives it to the chain.
    pub unsafe fn single(object: *mut FreeObject) -> Self {
        link_encoding::ensure();
        // SAFETY: the caller owns the object, a free small one; the keys are there.
        unsafe {
            FreeObject::link(object, ptr::null_mut());
            FreeObject::mark(object);
        }
        Self { head: object, count: 1 }
    }

    /// Puts an object in front that is linked already.
    ///
    /// # Safety
    /// `object` is a free small object that was linked, and the caller gives it to the chain.
    pub unsafe fn push_linked(&mut self, object: *mut FreeObject) {
        // SAFETY: the caller owns the object, and says that it was linked.
        unsafe { FreeObject::relink(object, self.head) };
        *self = Self { head: object, count: self.count + 1 };
    }

    /// Takes the first object off the chain, which has one, and returns it.
    ///
    /// # Safety
    /// The chain owns its objects, of which all but the last are linked.
    #[inline(always)]
    pub unsafe fn pop(&mut self) -> *mut FreeObject {
        let object = self.head;
        self.count -= 1;
        if self.count > 0 {
            // SAFETY: an object of the chain and not the last one, hence linked.
            self.head = unsafe { FreeObject::next(object) };
        }
        object
    }

    /// The addresses of the objects, each of which is read before its address is returned.
    ///
    /// # Safety
    /// The chain owns `count` linked objects, and nobody changes one before its address was
    /// returned.
    pub unsafe fn addrs(self) -> impl Iterator<Item = usize> {
        let mut object = self.head;
        (0..self.count).map(move |_| {
            let addr = object as usize;
            // SAFETY: one of the chain's `count` objects, which are linked. Its address was not
            // returned yet, so that nobody has changed it, as the caller says.
            object = unsafe { FreeObject::next(object) };
            addr
        })
    }

    /// Whether the object of the search is in the chain, as far as the search may go.
    pub fn contains(&self, search: &mut Search) -> bool {
        let mut object = self.head;
        for _ in 0..self.count {
            if object.is_null() || search.is_over() {
                break;
            }
            search.left -= 1;
            if object as usize == search.addr {
                return true;
            }
            // SAFETY: the chain owns `count` objects, which are linked, and this is one of them.
            object = unsafe { FreeObject::next(object) };
        }
        false
    }

    /// The hardened build aborts if one of the objects was overwritten since it was linked. The
    /// check stops at a null link: a magazine may hold fewer objects than `count`.
    ///
    /// # Safety
    /// The chain's objects are linked, and no other thread changes them meanwhile.
    #[allow(dead_code, reason = "the hardened build alone calls this")]
    pub unsafe fn check_links(&self) {
        let mut object = self.head;
        for _ in 0..self.count {
            if object.is_null() {
                break;
            }
            // SAFETY: an object of the chain, hence linked; the caller says that no other thread
            // changes it.
            object = unsafe { FreeObject::next(object) };
        }
    }
}

/// A search for an object in chains, which takes no more steps than it was given.
#[derive(Debug)]
pub struct Search {
    addr: usize,
    left: usize,
}

impl Search {
    /// A search for the object at `addr`.
    pub const fn new(addr: usize, steps: usize) -> Self {
        Self { addr, left: steps }
    }

    /// Address of the object.
    pub const fn addr(&self) -> usize {
        self.addr
    }

    /// Steps that are left: each looks at one object.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Whether no step is left.
    pub const fn is_over(&self) -> bool {
        self.left == 0
    }
}
