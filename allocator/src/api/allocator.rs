//! Rust's global allocator, with the default options and with options of the program's own.
//!
//! [`Stratalloc`] has no size, and [`Configured`] holds options alone: the heap is the process's,
//! and all values of both types stand for it. The calls are those of `front`, by the class that
//! follows from the layout. Thread-safe, without a lock of its own.

use super::builder::Options;
use crate::base::hint::unlikely;
use crate::config::MIN_ALIGN;
use crate::front;
use crate::page::size_class::SizeClass;
use core::alloc::{GlobalAlloc, Layout};

/// The allocator, as Rust's global one.
///
/// ```
/// use stratalloc::Stratalloc;
///
/// #[global_allocator]
/// static GLOBAL: Stratalloc = Stratalloc;
///
/// assert_eq!(vec![1, 2, 3].len(), 3);
/// ```
///
/// All values of this type stand for the one heap of the process. Options come from the
/// environment, or at run time from the module [`options`](crate::options); a program that wants
/// defaults of its own uses [`with_options`](Self::with_options).
///
/// All sizes and alignments are served. Without memory, and for sizes beyond `isize::MAX`, the
/// answer is null. Where a `Layout` is known at compile time, so is its size class, and `dealloc`
/// looks nothing up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stratalloc;

impl Stratalloc {
    /// The allocator: the same as the value `Stratalloc`.
    ///
    /// ```
    /// # use stratalloc::Stratalloc;
    /// #[global_allocator]
    /// static GLOBAL: Stratalloc = Stratalloc::new();
    /// # assert_eq!(GLOBAL, Stratalloc);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// The allocator with options that are compiled into the program.
    ///
    /// ```
    /// use stratalloc::{Configured, Options, Stratalloc, options};
    ///
    /// #[global_allocator]
    /// static GLOBAL: Configured =
    ///     Stratalloc::with_options(Options::new().decay_ms(500).soft_limit(1 << 30));
    ///
    /// let block = vec![1_u8; 100];
    /// assert_eq!(options::soft_limit(), Some(1 << 30));
    /// # drop(block);
    /// ```
    ///
    /// A value out of range does not compile:
    ///
    /// ```compile_fail
    /// # use stratalloc::{Configured, Options, Stratalloc};
    /// // error: magazine_max_bytes takes 256 bytes to 4 MiB
    /// static GLOBAL: Configured =
    ///     Stratalloc::with_options(Options::new().magazine_max_bytes(1 << 30));
    /// ```
    #[must_use]
    pub const fn with_options(options: Options) -> Configured {
        Configured { options }
    }
}

/// The allocator with options of the program's own; made by [`Stratalloc::with_options`].
///
/// The options take effect with the program's first allocation; until then
/// [`options`](crate::options) tells of the defaults. What the environment says
/// (`STRATALLOC_OPTIONS`) outweighs them, and so does what was set before. They cost no instruction
/// where a thread's cache serves an allocation. With [`Options::sample_interval`] among them,
/// `dealloc` has three instructions more, and spares a slow path that it takes otherwise in a
/// process that samples.
///
/// There is one heap and one set of options per process: if a program has several values of this
/// type, the options of the one that allocates first count.
///
/// ```
/// use stratalloc::options::HugePages;
/// use stratalloc::{Configured, Options, Stratalloc};
///
/// #[global_allocator]
/// static GLOBAL: Configured =
///     Stratalloc::with_options(Options::new().huge_pages(HugePages::Never));
///
/// assert_eq!(GLOBAL.options(), Options::new().huge_pages(HugePages::Never));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configured {
    options: Options,
}

impl Configured {
    /// The options that it was made with.
    ///
    /// ```
    /// # use stratalloc::{Options, Stratalloc};
    /// let options = Options::new().container(false);
    /// assert_eq!(Stratalloc::with_options(options).options(), options);
    /// ```
    #[must_use]
    pub const fn options(&self) -> Options {
        self.options
    }

    /// Cold: once per magazine, and for blocks that no magazine holds.
    #[cold]
    #[inline(never)]
    fn allocate_slow(&self, layout: Layout) -> *mut u8 {
        self.options.apply_once();
        // SAFETY: the caller of `alloc` vouches for the layout.
        unsafe { Stratalloc.alloc(layout) }
    }
}

// SAFETY: blocks do not overlap, have the size and alignment asked for, and stay until given back;
// no call unwinds.
unsafe impl GlobalAlloc for Stratalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match SizeClass::of_aligned(layout.size(), layout.align()) {
            Some(class) => front::allocate_class(class, layout.size(), layout.align()),
            None => front::allocate_aligned(layout.size(), layout.align()),
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block from `alloc` with the same layout, which the caller gives up.
        unsafe { front::deallocate_layout(block, layout.size(), layout.align()) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        front::allocate_aligned_zeroed(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if unlikely(new_size == 0) {
            // The contract of `GlobalAlloc` excludes it; nothing would be a sensible answer.
            return core::ptr::null_mut();
        }
        // SAFETY: `block` came from `alloc` with `layout`.
        unsafe { front::reallocate_same_layout(block, layout.size(), new_size, layout.align()) }
    }
}

// SAFETY: all blocks are `Stratalloc`'s, which keeps the contract.
unsafe impl GlobalAlloc for Configured {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MIN_ALIGN {
            // An object in the cache means that there was a slow path before, and the options with
            // it.
            let block = front::allocate_hot(layout.size());
            if unlikely(block.is_null()) {
                return self.allocate_slow(layout);
            }
            return block;
        }
        self.allocate_slow(layout)
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.options.sample() {
            // SAFETY: a block from `alloc` with the same layout, which the caller gives up.
            return unsafe {
                front::deallocate_layout_sampled(block, layout.size(), layout.align())
            };
        }
        // SAFETY: a live block with this layout, which the caller gives up. It is `Stratalloc`'s,
        // as all blocks are.
        unsafe { Stratalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.options.apply_once();
        // SAFETY: the caller says that the layout has a size that is not 0.
        unsafe { Stratalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a live block of `Stratalloc`'s with this layout, and a new size that is not 0 and
        // fits the alignment, as the caller says. The block is there, so the options have taken
        // effect.
        unsafe { Stratalloc.realloc(block, layout, new_size) }
    }
}
