//! A free object, as it lies in a magazine, and a chain of such objects.
//!
//! The first word of a free object links to the next one of the same magazine; the second holds the
//! object's mark (`page::link_encoding`), which `free` looks for: an object that carries it is free already, unless
//! the program read the mark there and wrote it back, and the slow path finds out. Allocation clears the
//! mark, so that a block which the program never wrote to is not suspected. Both words are the program's
//! while the object is allocated.

use crate::base::memcheck::Opened;
#[cfg(feature = "hardened")]
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::link_encoding;
use crate::page::size_class::SizeClass;
use core::ptr;

/// A free object's first two words.
#[repr(C)]
pub struct FreeObject {
    /// Next object of the chain.
    pub next: *mut FreeObject,
    /// See `page::link_encoding`.
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

impl FreeObject {
    /// Lets the two words be used, where memcheck looks on.
    #[inline(always)]
    fn open(this: *mut Self) -> Opened {
        Opened::new(this as usize, size_of::<Self>())
    }
}

// SAFETY: a chain owns its objects; nothing in it is bound to a thread.
unsafe impl Send for Chain {}

#[cfg(not(feature = "hardened"))]
impl FreeObject {
    /// The object that this one links to.
    ///
    /// # Safety
    /// For all four: `this` is free memory of a small object that belongs to the caller, and was linked.
    #[inline(always)]
    pub unsafe fn next(this: *mut Self) -> *mut Self {
        let _opened = Self::open(this);
        // SAFETY: by the caller's word, here and below.
        unsafe { (*this).next }
    }

    /// Links it to another one.
    ///
    /// # Safety
    /// As `next`, but that it need not have been linked.
    #[inline(always)]
    pub unsafe fn link(this: *mut Self, next: *mut Self) {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe { (*this).next = next };
    }

    /// As `link`, for one that is linked already.
    ///
    /// # Safety
    /// As `next`.
    #[inline(always)]
    pub unsafe fn relink(this: *mut Self, next: *mut Self) {
        // SAFETY: handed through.
        unsafe { Self::link(this, next) }
    }

    /// Marks it as free.
    ///
    /// # Safety
    /// As `next`.
    #[inline(always)]
    pub unsafe fn mark(this: *mut Self) {
        // SAFETY: handed through; it is the object's own mark.
        unsafe { Self::mark_as(this, Self::mark_of(this)) }
    }

    /// Its mark, which it carries while it is free.
    #[inline(always)]
    pub fn mark_of(this: *mut Self) -> usize {
        link_encoding::mark(this as usize)
    }

    /// As `mark`, for who has asked for the mark before: to read the key twice is an instruction more.
    ///
    /// # Safety
    /// As `next`; `mark` is what `mark_of` says.
    #[inline(always)]
    pub unsafe fn mark_as(this: *mut Self, mark: usize) {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe { (*this).mark = mark };
    }

    /// Prepares it for the program: no longer marked.
    ///
    /// # Safety
    /// As `next`.
    #[inline(always)]
    pub unsafe fn hand_out(this: *mut Self, _class: SizeClass) {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe { (*this).mark = 0 };
    }

    /// Whether it is marked as free: then it probably is.
    ///
    /// # Safety
    /// As `next`, but that it need not be free.
    #[inline(always)]
    pub unsafe fn is_marked(this: *mut Self) -> bool {
        // SAFETY: handed through.
        unsafe { Self::is_marked_as(this, Self::mark_of(this)) }
    }

    /// As `is_marked`, for who has asked for the mark before.
    ///
    /// # Safety
    /// As `is_marked`.
    #[inline(always)]
    pub unsafe fn is_marked_as(this: *mut Self, mark: usize) -> bool {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe { (*this).mark == mark }
    }
}

/// Hardened builds: links are encoded, and checked by the second word (`page::link_encoding`); what is free, the map
/// of live blocks knows.
#[cfg(feature = "hardened")]
impl FreeObject {
    /// As above; aborts if the object was written to since it was linked.
    ///
    /// # Safety
    /// As above, here and below.
    #[inline(always)]
    pub unsafe fn next(this: *mut Self) -> *mut Self {
        let _opened = Self::open(this);
        // SAFETY: by the caller's word, here and below.
        let (first, second) = unsafe { ((*this).next as usize, (*this).mark) };
        let next = link_encoding::first(this as usize, first);
        if crate::base::hint::unlikely(link_encoding::second(second) != next) {
            overwritten(this as usize);
        }
        next as *mut Self
    }

    /// As above.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn link(this: *mut Self, next: *mut Self) {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe {
            (*this).next = link_encoding::first(this as usize, next as usize) as *mut Self;
            (*this).mark = link_encoding::second(next as usize);
        }
    }

    /// As `link`, for one that is linked already; aborts if it was written to since: the new link would hide that.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn relink(this: *mut Self, next: *mut Self) {
        // SAFETY: handed through.
        unsafe {
            Self::next(this);
            Self::link(this, next);
        }
    }

    /// Nothing: the second link is the mark.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn mark(_this: *mut Self) {}

    /// None: see `mark`.
    #[inline(always)]
    pub fn mark_of(_this: *mut Self) -> usize {
        0
    }

    /// As `mark`.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn mark_as(_this: *mut Self, _mark: usize) {}

    /// No: who pushes an object has asked the map before.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn is_marked_as(_this: *mut Self, _mark: usize) -> bool {
        false
    }

    /// As above: with no trace of the key, and entered as live.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn hand_out(this: *mut Self, class: SizeClass) {
        let _opened = Self::open(this);
        // SAFETY: see `next`.
        unsafe {
            (*this).next = ptr::null_mut();
            (*this).mark = 0;
        }
        // SAFETY: an object of a span, which the page heap has ensured room for.
        unsafe { ALLOCATION_BITMAP.set_unchecked(this as usize, class) };
    }

    /// Whether the program does not have it.
    ///
    /// # Safety
    /// As above.
    #[inline(always)]
    pub unsafe fn is_marked(this: *mut Self) -> bool {
        ALLOCATION_BITMAP.class_of(this as usize) == SizeClass::NONE
    }
}

/// Aborts: the free object at `addr` was written to.
#[cfg(feature = "hardened")]
#[cold]
#[inline(never)]
pub fn overwritten(addr: usize) -> ! {
    let size = crate::page::page_map::PAGE_MAP.class(addr).size();
    crate::base::fatal::fatal(format_args!(
        "use after free: {addr:#x}, a block of {size} bytes, was written to after it was freed"
    ))
}

#[cfg(feature = "hardened")]
impl Chain {
    /// Aborts if one of the objects was written to since it was linked. Looks at all, the last one included, though they
    /// may be fewer than `count`.
    ///
    /// # Safety
    /// The chain's objects are linked, and nobody changes them.
    pub unsafe fn check_links(&self) {
        let mut object = self.head;
        for _ in 0..self.count {
            if object.is_null() {
                break;
            }
            // SAFETY: by the caller's word.
            object = unsafe { FreeObject::next(object) };
        }
    }
}

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
        unsafe {
            link_encoding::ensure();
            FreeObject::link(object, ptr::null_mut());
            FreeObject::mark(object);
        }
        Self { head: object, count: 1 }
    }

    /// Whether what is looked for is one of the objects, as far as the search comes.
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
            // SAFETY: the chain owns `count` linked objects.
            object = unsafe { FreeObject::next(object) };
        }
        false
    }
}

/// A search for an object in chains, which takes no more steps than it was given.
#[derive(Debug)]
pub struct Search {
    addr: usize,
    left: usize,
}

impl Search {
    /// One for the object at `addr`.
    pub const fn new(addr: usize, steps: usize) -> Self {
        Self { addr, left: steps }
    }

    /// Address of the object that is looked for.
    pub const fn addr(&self) -> usize {
        self.addr
    }

    /// Steps that may still be taken: each looks at one object.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Whether none may be taken any more.
    pub const fn is_over(&self) -> bool {
        self.left == 0
    }
}
