//! A free object: what the allocator keeps in its first two words.
//!
//! The first word links to the next object of the same magazine. The second word is the object's
//! mark (`page::link_encoding`), which `free` looks for. An object with its mark is free already,
//! unless the program read the mark and wrote it back; the slow path finds out which. Allocation
//! clears the mark, so that a block that the program never wrote to is not suspected.
//!
//! In the hardened build both words hold the link, each encoded with a key of its own, and a link
//! is checked before it is followed. That build has no marks: the allocation bitmap knows what is
//! free.
//!
//! Both words belong to the program while the object is allocated. Nothing here takes a lock: an
//! object belongs to one thread, or to the structure whose lock that thread holds.
//!
//! Duties of the callers, the same for all functions: `this` is the start of a small object, whose
//! memory no other thread uses meanwhile, and `link_encoding::ensure` was called before. Small
//! objects have at least 16 bytes and are aligned to 16, so two words fit.

use crate::base::fatal::fatal;
use crate::base::hint::unlikely;
use crate::base::memcheck::Opened;
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::link_encoding;
use crate::page::page_map::PAGE_MAP;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use core::ptr;

/// A free object's first two words.
#[repr(C)]
pub struct FreeObject {
    /// The next object of the chain, encoded in the hardened build.
    next: *mut FreeObject,
    /// The mark; in the hardened build the link once more, encoded with the other key.
    mark: usize,
}

impl FreeObject {
    /// Lets the allocator use the two words in the build for valgrind, as long as the result lives.
    #[inline(always)]
    fn open(this: *mut Self) -> Opened {
        Opened::new(this as usize, size_of::<Self>())
    }

    /// The object that this one links to. The hardened build aborts if the words were overwritten.
    ///
    /// # Safety
    /// `this` is a free small object that the caller owns, and it was linked.
    #[inline(always)]
    pub unsafe fn next(this: *mut Self) -> *mut Self {
        let _opened = Self::open(this);
        // SAFETY: the caller owns the object, so its first word may be read; `link` has set it.
        let first = unsafe { (*this).next };
        if !HARDENED {
            return first;
        }
        // SAFETY: the same holds for the second word, which `link` sets in this build.
        let second = unsafe { (*this).mark };
        let next = link_encoding::first(this as usize, first as usize);
        if unlikely(link_encoding::second(second) != next) {
            overwritten(this as usize);
        }
        next as *mut Self
    }

    /// Links the object to another one, or to null.
    ///
    /// # Safety
    /// `this` is a free small object that the caller owns.
    #[inline(always)]
    pub unsafe fn link(this: *mut Self, next: *mut Self) {
        let _opened = Self::open(this);
        if HARDENED {
            // SAFETY: the caller owns the object, which has room for two words.
            unsafe {
                (*this).next = link_encoding::first(this as usize, next as usize) as *mut Self;
                (*this).mark = link_encoding::second(next as usize);
            }
        } else {
            // SAFETY: the caller owns the object, which has room for two words.
            unsafe { (*this).next = next };
        }
    }

    /// Links an object to another one that was linked before. The hardened build aborts if the
    /// words were overwritten since: the new link would hide that.
    ///
    /// # Safety
    /// `this` is a free small object that the caller owns, and it was linked.
    #[inline(always)]
    pub unsafe fn relink(this: *mut Self, next: *mut Self) {
        if HARDENED {
            // SAFETY: the caller owns the object, and says that it was linked.
            unsafe { Self::next(this) };
        }
        // SAFETY: the caller owns the object.
        unsafe { Self::link(this, next) }
    }

    /// Marks the object as free. In the hardened build `link` did all there is to do.
    ///
    /// # Safety
    /// `this` is a free small object that the caller owns.
    #[inline(always)]
    pub unsafe fn mark(this: *mut Self) {
        // SAFETY: the caller owns the object, and the mark is its own.
        unsafe { Self::mark_as(this, Self::mark_of(this)) }
    }

    /// The mark that the object carries while it is free; the hardened build has none.
    #[inline(always)]
    pub fn mark_of(this: *mut Self) -> usize {
        if HARDENED { 0 } else { link_encoding::mark(this as usize) }
    }

    /// Marks the object as free with a mark that the caller has at hand: to read the key again
    /// would take an instruction.
    ///
    /// # Safety
    /// `this` is a free small object that the caller owns; `mark` is what `mark_of` says of it.
    #[inline(always)]
    pub unsafe fn mark_as(this: *mut Self, mark: usize) {
        if !HARDENED {
            let _opened = Self::open(this);
            // SAFETY: the caller owns the object, which has room for two words.
            unsafe { (*this).mark = mark };
        }
    }

    /// Prepares the object for the program: without a mark. The hardened build leaves no trace of
    /// the keys in it, and enters it in the allocation bitmap.
    ///
    /// # Safety
    /// `this` is a free object of `class`, from a span of the page heap, and the caller owns it.
    #[inline(always)]
    pub unsafe fn hand_out(this: *mut Self, class: SizeClass) {
        let _opened = Self::open(this);
        if HARDENED {
            // SAFETY: the caller owns the object, which has room for two words. The page heap has
            // made the bitmap's leaf for each of its huge pages before it hands out spans of it.
            unsafe {
                (*this).next = ptr::null_mut();
                (*this).mark = 0;
                ALLOCATION_BITMAP.set_unchecked(this as usize, class);
            }
        } else {
            // SAFETY: the caller owns the object, which has room for two words.
            unsafe { (*this).mark = 0 };
        }
    }

    /// Whether the object is marked as free: then it probably is. The hardened build asks the
    /// allocation bitmap whether the program has it, which is certain.
    ///
    /// # Safety
    /// `this` is a small object, free or not, whose first two words the caller may read.
    #[inline(always)]
    pub unsafe fn is_marked(this: *mut Self) -> bool {
        if HARDENED {
            return ALLOCATION_BITMAP.class_of(this as usize) == SizeClass::NONE;
        }
        // SAFETY: the caller may read the object's first two words, and the mark is its own.
        unsafe { Self::is_marked_as(this, Self::mark_of(this)) }
    }

    /// Whether the object carries the mark that the caller has at hand. Never in the hardened
    /// build, in which the caller has asked the allocation bitmap before.
    ///
    /// # Safety
    /// `this` is a small object, free or not, whose first two words the caller may read.
    #[inline(always)]
    pub unsafe fn is_marked_as(this: *mut Self, mark: usize) -> bool {
        if HARDENED {
            return false;
        }
        let _opened = Self::open(this);
        // SAFETY: the caller may read the object's second word.
        unsafe { (*this).mark == mark }
    }
}

/// Aborts: the program wrote to the free object at `addr`.
#[cold]
#[inline(never)]
pub fn overwritten(addr: usize) -> ! {
    let size = PAGE_MAP.class(addr).size();
    fatal(format_args!(
        "use after free: {addr:#x}, a block of {size} bytes, was written to after it was freed"
    ))
}
