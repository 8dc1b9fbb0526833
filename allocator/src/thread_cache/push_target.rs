//! Where a `push` puts an object: an address, from which the number that the page map has for the object's class leads
//! to the head of a magazine and to the room that is left there.
//!
//! In threads that do not count, that is the address of the cache, and one counter has the room: `pop` adds to it, `push`
//! takes from it. A thread that counts wants two, so that what it pops does not make up for what it pushes, and yet one
//! head, so that it gets again what it freed last. And all that without an instruction of the hot paths' for it. They reach
//! both from one address, the head at eight times the class's number, the room at four times. So in processes that count,
//! the page map has *class aliases* (`MappedClass`), which are [`ALIAS`] higher, and the third word of a thread's slot
//! has an address that is `8 * ALIAS` lower: it leads to the same head, and to a counter `4 * ALIAS` below `free_slots`. There
//! lie the `budgets`.
//!
//! That `ALIAS` is twice the number of classes, and how the fields of a cache follow each other, is for what else is
//! reached like this. All of it must read as "no room":
//!
//! * class 0 from the lower address: the head of class 0, which is always null;
//! * class aliases from the address of a placeholder: the heads of its spare magazines, which has none.

use super::cache::ThreadCache;
use crate::central::chain::FreeObject;
use crate::config::CLASS_COUNT;
#[cfg(not(feature = "hardened"))]
use crate::os::thread_slot;
use crate::page::size_class::{ALIAS, MappedClass, SizeClass};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use core::mem::offset_of;
use core::ptr;

/// Where the heads and free slots of a cache are.
const HEADS: usize = offset_of!(ThreadCache, heads);
const FREE_SLOTS: usize = offset_of!(ThreadCache, free_slots);
/// Bytes in an element of each.
const HEAD: usize = size_of::<AtomicPtr<FreeObject>>();
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

/// Such an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PushTarget(*mut u8);

/// Where the calling thread puts objects whose class the page map says.
#[cfg(not(feature = "hardened"))]
#[inline(always)]
pub fn push_target() -> PushTarget {
    PushTarget(thread_slot::get_to_push())
}

/// The same for objects whose class follows from what the caller says: for classes' own numbers.
#[cfg(not(feature = "hardened"))]
#[inline(always)]
pub fn push_target_sized() -> PushTarget {
    PushTarget(thread_slot::get_to_push_sized())
}

impl PushTarget {
    /// That of a cache, for classes' own numbers; of a placeholder, for any.
    #[inline(always)]
    pub fn of(cache: &ThreadCache) -> Self {
        Self(ptr::from_ref(cache).cast_mut().cast())
    }

    /// That of a thread's cache, for class aliases.
    #[inline(always)]
    pub fn of_counted(cache: &ThreadCache) -> Self {
        Self(Self::of(cache).0.wrapping_sub(LOWER))
    }

    /// As a word of the slot.
    pub fn as_word(self) -> *mut u8 {
        self.0
    }

    /// Puts an object into the loaded magazine of its class, unless that is full or the object carries the mark of
    /// being free already. Returns whether it did.
    ///
    /// # Safety
    /// The address is one of the calling thread's cache, for numbers of the kind of `class`, or of a placeholder. If the
    /// magazine has room, `object` is an object of `class` that the caller gives up. (Class 0 and the placeholders never
    /// have room, so that foreign pointers are not even read.)
    #[inline(always)]
    pub unsafe fn push(self, class: MappedClass, object: *mut u8) -> bool {
        // SAFETY: handed through.
        unsafe { self.push_at(class.index(), object) }
    }

    /// As `push` by the class alias of the class with the number `index`, which is not class 0.
    ///
    /// # Safety
    /// As `push`.
    #[inline(always)]
    pub unsafe fn push_alias(self, index: usize, object: *mut u8) -> bool {
        // SAFETY: handed through. (This sum is part of the addresses, as that in `MappedClass::alias` is not.)
        unsafe { self.push_at(index + ALIAS, object) }
    }

    /// As `push`, for the number `index`.
    #[inline(always)]
    unsafe fn push_at(self, index: usize, object: *mut u8) -> bool {
        let object = object.cast::<FreeObject>();
        let room: *mut AtomicU32 = self.0.wrapping_add(FREE_SLOTS + FREE_SLOT * index).cast();
        let mark = FreeObject::mark_of(object);
        // SAFETY: a counter of a cache (see above), which is never unmapped. Only this thread writes it, so that its own
        // read need not be an atomic one, which the compiler does not merge with the comparison. With room in the
        // magazine, `object` is a small object (caller): two words.
        if unsafe { *room.cast::<u32>() == 0 || FreeObject::is_marked_as(object, mark) } {
            return false;
        }
        let head: *mut AtomicPtr<FreeObject> = self.0.wrapping_add(HEADS + HEAD * index).cast();
        // SAFETY: as above, where there is room; and the caller gives the object up.
        let (head, room) = unsafe {
            FreeObject::link(object, (*head).load(Ordering::Relaxed));
            FreeObject::mark_as(object, mark);
            (&*head, &*room)
        };
        // Release: a forked child finds this cache as it was at some instruction. The link must be there
        // when the head is. (The kernel's copy sees one thread's stores in order; on x86-64 this keeps
        // the compiler from reordering them and costs nothing.)
        head.store(object, Ordering::Release);
        // A second load: a compare and a decrement in memory are two instructions less than a value kept
        // in a register.
        room.store(room.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        true
    }
}

impl ThreadCache {
    /// Puts an object into the loaded magazine as `PushTarget::push` does. For slow paths of the owner.
    ///
    /// # Safety
    /// `object` is an object of `class` that the caller gives up.
    #[inline]
    pub unsafe fn push(&self, class: SizeClass, object: *mut u8) -> bool {
        // SAFETY: addresses of this cache, for numbers of these kinds; the rest is handed through.
        unsafe {
            match self.counter() {
                None => PushTarget::of(self).push(MappedClass::first(class), object),
                Some(_) => PushTarget::of_counted(self).push_alias(class.index(), object),
            }
        }
    }
}
