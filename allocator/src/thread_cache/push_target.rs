//! Where a `push` puts an object: an address, from which the number that the page map has for the
//! object's class leads to the head of a magazine and to the room that is left there.
//!
//! In threads that do not sample, that is the address of the cache, and one counter has the room:
//! `pop` adds to it, `push` takes from it. A thread that samples needs two counters, so that what
//! it pops does not make up for what it pushes, and yet one head, so that it gets again what it
//! freed last. The hot paths spend no instruction on the difference. They reach head and counter
//! from one address, the head at eight times the class's number, the counter at four times. So in
//! processes that sample, the page map has *class aliases* (`MappedClass`), which are [`ALIAS`]
//! higher, and the third word of a thread's slot has an address that is `8 * ALIAS` lower. It leads
//! to the same head, and to a counter `4 * ALIAS` below `free_slots`. There lie the `budgets`.
//!
//! `ALIAS` is twice the number of classes, and the fields of a cache follow each other as they do,
//! because of two other combinations. Both must read as "no room":
//!
//! * class 0 from the lower address: finds the head of class 0, which is always null;
//! * class aliases from the address of a placeholder: find the heads of its spare magazines, which
//!   are null.
//!
//! A `push` belongs to the owner of the cache and takes no lock.

use super::cache::ThreadCache;
use crate::central::chain::FreeObject;
use crate::config::CLASS_COUNT;
use crate::os::thread_slot;
use crate::page::size_class::{ALIAS, MappedClass, SizeClass};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use core::mem::offset_of;
use core::ptr;

/// Where the heads of a cache are.
const HEADS: usize = offset_of!(ThreadCache, heads);
/// Where the free slots of a cache are.
const FREE_SLOTS: usize = offset_of!(ThreadCache, free_slots);
/// Bytes of a head.
const HEAD: usize = size_of::<AtomicPtr<FreeObject>>();
/// Bytes of a counter of free slots.
const FREE_SLOT: usize = size_of::<AtomicU32>();
/// How much lower the address is for class aliases.
const LOWER: usize = HEAD * ALIAS;

const _: () = {
    assert!(FREE_SLOTS + FREE_SLOT * ALIAS - LOWER == offset_of!(ThreadCache, budgets));
    assert!(FREE_SLOTS - LOWER == HEADS, "class 0 finds its own head");
    let placeholder = FREE_SLOTS + FREE_SLOT * ALIAS;
    let spares = offset_of!(ThreadCache, spare_heads);
    assert!(
        spares <= placeholder
            && placeholder + FREE_SLOT * CLASS_COUNT <= spares + HEAD * CLASS_COUNT
    );
};

/// The address that a `push` goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushTarget(*mut u8);

/// Where the calling thread puts objects whose class the page map says.
#[allow(dead_code, reason = "the hardened build pushes into the quarantine")]
#[inline(always)]
pub fn push_target() -> PushTarget {
    PushTarget(thread_slot::get_to_push())
}

/// Where the calling thread puts objects whose class follows from what the caller says: for
/// classes' own numbers.
#[allow(dead_code, reason = "the hardened build does not trust sizes")]
#[inline(always)]
pub fn push_target_sized() -> PushTarget {
    PushTarget(thread_slot::get_to_push_sized())
}

impl PushTarget {
    /// That of a cache, for classes' own numbers, or of a placeholder, for any number.
    #[inline(always)]
    pub fn of(cache: &ThreadCache) -> Self {
        Self(ptr::from_ref(cache).cast_mut().cast())
    }

    /// That of a sampling thread's cache, for class aliases.
    #[inline(always)]
    pub fn of_sampling(cache: &ThreadCache) -> Self {
        Self(Self::of(cache).0.wrapping_sub(LOWER))
    }

    /// As a word of the slot.
    pub fn as_word(self) -> *mut u8 {
        self.0
    }

    /// Puts an object into the loaded magazine of its class, unless that is full or the object
    /// carries the mark of being free already. Returns whether it did.
    ///
    /// # Safety
    /// The address is that of the calling thread's cache, for numbers of the kind of `class`, or
    /// that of a placeholder. If the magazine has room, `object` is an object of `class` that the
    /// caller gives up. (Class 0 and the placeholders never have room, so that foreign pointers are
    /// not even read.)
    #[inline(always)]
    pub unsafe fn push(self, class: MappedClass, object: *mut u8) -> bool {
        // SAFETY: the address is for numbers of this kind, and where the magazine has room, the
        // caller gives up `object`, one of `class`.
        unsafe { self.push_at(class.index(), object) }
    }

    /// As `push`, by the alias of the class with the number `index`, which is not 0.
    ///
    /// # Safety
    /// As `push`, for class aliases.
    #[inline(always)]
    pub unsafe fn push_alias(self, index: usize, object: *mut u8) -> bool {
        // SAFETY: the address is for class aliases, and where the magazine has room, the caller
        // gives up `object`, one of the class. (The compiler makes this sum a part of the
        // addresses; it would not do so with the one in `MappedClass::alias`.)
        unsafe { self.push_at(index + ALIAS, object) }
    }

    /// As `push`, for the number `index`.
    ///
    /// # Safety
    /// As `push`, with `index` for the number of the class.
    #[inline(always)]
    unsafe fn push_at(self, index: usize, object: *mut u8) -> bool {
        let object = object.cast::<FreeObject>();
        let room: *mut AtomicU32 = self.0.wrapping_add(FREE_SLOTS + FREE_SLOT * index).cast();
        let mark = FreeObject::mark_of(object);
        // SAFETY: a word of a cache, whichever of the combinations at the head of this file this
        // is; caches are never unmapped. Only this thread writes it, so its own read need not be
        // atomic; the compiler does not merge an atomic one with the comparison. With room in the
        // magazine, `object` is a small object (caller), which has two words.
        if unsafe { *room.cast::<u32>() == 0 || FreeObject::is_marked_as(object, mark) } {
            return false;
        }
        let head: *mut AtomicPtr<FreeObject> = self.0.wrapping_add(HEADS + HEAD * index).cast();
        // SAFETY: there is room, so both words are those of the class in the calling thread's
        // cache, and `object` is one of the class that the caller gives up.
        let (head, room) = unsafe {
            FreeObject::link(object, (*head).load(Ordering::Relaxed));
            FreeObject::mark_as(object, mark);
            (&*head, &*room)
        };
        // Release: a forked child finds this cache as it was at some instruction. The link must be
        // there when the head is. (The kernel's copy sees one thread's stores in order. On x86-64
        // this keeps the compiler from reordering them, and costs nothing.)
        head.store(object, Ordering::Release);
        // A second load: a compare and a decrement in memory are two instructions less than a value
        // kept in a register.
        room.store(room.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        true
    }
}

impl ThreadCache {
    /// Puts an object into the loaded magazine, as `PushTarget::push` does. For slow paths of the
    /// owner.
    ///
    /// # Safety
    /// `object` is an object of `class` that the caller gives up.
    #[inline]
    pub unsafe fn push(&self, class: SizeClass, object: *mut u8) -> bool {
        // SAFETY: addresses of this cache, whose owner calls this, each with a number of its kind.
        // The caller gives up `object`, one of `class`.
        unsafe {
            match self.counter() {
                None => PushTarget::of(self).push(MappedClass::first(class), object),
                Some(_) => PushTarget::of_sampling(self).push_alias(class.index(), object),
            }
        }
    }
}
