//! Heaps with lifetimes: [`Heap`], and what it says of itself, [`HeapStats`].
//!
//! A `Heap` owns its record and everything that the record leads to, and gives all of it back when
//! it is dropped; blocks are borrows of it. One thread at a time uses it, which the compiler sees
//! to, so nothing here takes a lock. The work is done in `heaps`; this file is Rust's face of it,
//! as `allocator/capi` is C's.

use super::error::Error;
use crate::heaps;
use crate::page::heap_record::HeapRecord;
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;

/// A heap of its own, whose blocks borrow it and end with it.
///
/// For memory that ends together: a request, a frame, a parse. Blocks may be freed one by one, and
/// their memory is used again; what is left when the heap is dropped goes back at once, in time
/// proportional to the spans of pages that it has (8 to 128 KiB each), not to its blocks. Pages
/// come from where the global allocator's come from, whether the program uses that or not.
///
/// With the feature `allocator-api2` a reference to a heap is an `Allocator` of the crate of that
/// name, which `hashbrown` knows as well (with `nightly`, one of the standard library), so that
/// `Box`, `Vec` and `HashMap` can live in it. Without, [`alloc`](Self::alloc) and
/// [`alloc_layout`](Self::alloc_layout) give blocks.
///
/// ```
/// use stratalloc::Heap;
///
/// let heap = Heap::new()?;
/// let numbers = heap.alloc([1, 2, 3]).expect("memory");
/// numbers[0] = 4;
/// assert_eq!(*numbers, [4, 2, 3]);
/// drop(heap);
/// # Ok::<(), stratalloc::Error>(())
/// ```
///
/// # Threads
///
/// `Send` and not `Sync`: one thread at a time uses a heap, so it takes no lock and no atomic
/// read-modify-write. A heap may move to another thread while nothing borrows it. A block is a
/// borrow, so it never gets to another thread than its heap.
///
/// # What must not compile
///
/// A block that outlives its heap:
///
/// ```compile_fail,E0505
/// let heap = stratalloc::Heap::new().unwrap();
/// let block = heap.alloc(1).unwrap();
/// drop(heap);
/// *block = 2;
/// ```
///
/// A block that outlives the heap's next [`reset`](Self::reset):
///
/// ```compile_fail,E0502
/// let mut heap = stratalloc::Heap::new().unwrap();
/// let block = heap.alloc(1).unwrap();
/// heap.reset();
/// *block = 2;
/// ```
///
/// A heap that two threads share:
///
/// ```compile_fail,E0277
/// let heap = stratalloc::Heap::new().unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| heap.alloc(1).is_ok());
/// });
/// ```
///
/// A heap that moves to another thread while a block borrows it:
///
/// ```compile_fail,E0505
/// let heap = stratalloc::Heap::new().unwrap();
/// let block = heap.alloc(1).unwrap();
/// std::thread::spawn(move || drop(heap));
/// *block = 2;
/// ```
///
/// # Misuse
///
/// Freeing a block twice, a block of another heap, one with another layout, or something that is no
/// block ends the process with a line that says so; each is found for certain, unless the memory
/// was handed out again. A block of a heap that is given to C's `free` or `realloc` does so as
/// well.
pub struct Heap {
    /// Exclusively ours.
    record: NonNull<HeapRecord>,
    /// Not `Sync`.
    one_thread: PhantomData<core::cell::Cell<()>>,
}

// SAFETY: nothing of a heap belongs to a thread: its record and its spans are reached through it
// alone. Blocks that other values of the sending thread point to would be borrows of the heap,
// which then cannot move.
unsafe impl Send for Heap {}

impl Heap {
    /// A heap without blocks. It holds 3 KiB until something is allocated.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// ```
    /// let heap = stratalloc::Heap::new()?;
    /// assert_eq!(heap.stats().mapped, 0);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn new() -> Result<Self, Error> {
        Self::with_limit(usize::MAX)
    }

    /// A heap whose spans never take more than `bytes` bytes of pages, its free objects included.
    /// What would go beyond fails as if memory were short. Spans are whole pages of 8 KiB.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// ```
    /// let heap = stratalloc::Heap::with_limit(64 << 10)?;
    /// let mut count = 0;
    /// while heap.alloc([0_u8; 1024]).is_ok() {
    ///     count += 1;
    /// }
    /// assert!((30..=64).contains(&count) && heap.stats().mapped <= 64 << 10);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn with_limit(bytes: usize) -> Result<Self, Error> {
        let record = heaps::create(bytes).ok_or(Error::OutOfMemory)?;
        Ok(Self { record, one_thread: PhantomData })
    }

    /// The heap's record, for the duration of one call.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "see the safety comment")]
    fn record(&self) -> &mut HeapRecord {
        // SAFETY: the record is this heap's until it is dropped. The heap is not `Sync`, so no
        // other thread is in a call of it; no call of it runs code of the program's, so this thread
        // is in no second one. So this is the one reference, as every caller drops it before it
        // returns.
        unsafe { &mut *self.record.as_ptr() }
    }

    /// Moves `value` into the heap. Its destructor does not run when the heap ends.
    ///
    /// # Errors
    /// The value, if there is no memory or the limit is reached.
    ///
    /// ```
    /// let heap = stratalloc::Heap::new()?;
    /// let pair = heap.alloc((1, 2)).expect("memory");
    /// pair.0 = 3;
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "each call returns a block of its own")]
    pub fn alloc<T>(&self, value: T) -> Result<&mut T, T> {
        match self.alloc_layout(Layout::new::<T>()) {
            Some(block) => {
                let place = block.cast::<T>();
                // SAFETY: a live block with the layout of `T` that nobody else has. It lives as
                // long as the heap is borrowed: dropping the heap, and `reset`, need it unborrowed,
                // and nobody can free a block by a reference.
                unsafe {
                    place.write(value);
                    Ok(&mut *place.as_ptr())
                }
            }
            None => Err(value),
        }
    }

    /// A block of `layout`, not initialised; `None` without memory and beyond the limit. Layouts of
    /// no bytes get blocks as well.
    ///
    /// The block may be used until it is freed, or until the heap is dropped or reset.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let heap = stratalloc::Heap::new()?;
    /// let layout = Layout::from_size_align(100, 64).unwrap();
    /// let block = heap.alloc_layout(layout).expect("memory");
    /// assert!(block.addr().get().is_multiple_of(64));
    /// // SAFETY: a live block of this heap and layout.
    /// unsafe { heap.dealloc(block, layout) };
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    #[inline(always)]
    pub fn alloc_layout(&self, layout: Layout) -> Option<NonNull<u8>> {
        NonNull::new(heaps::allocate(self.record(), layout.size(), layout.align()))
    }

    /// As [`alloc_layout`](Self::alloc_layout), of zeros.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let heap = stratalloc::Heap::new()?;
    /// let block = heap.alloc_layout_zeroed(Layout::new::<u64>()).expect("memory");
    /// // SAFETY: a live block of zeros, of eight bytes.
    /// assert_eq!(unsafe { block.cast::<u64>().read() }, 0);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    #[inline]
    pub fn alloc_layout_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        NonNull::new(heaps::allocate_zeroed(self.record(), layout.size(), layout.align()))
    }

    /// Frees a block before the heap ends.
    ///
    /// # Safety
    /// `block` is a live block of this heap, of `layout`, and not used any more. (What is not
    /// aborts; see [`Heap`].)
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let heap = stratalloc::Heap::new()?;
    /// let block = heap.alloc_layout(Layout::new::<u64>()).expect("memory");
    /// // SAFETY: a live block of this heap and layout.
    /// unsafe { heap.dealloc(block, Layout::new::<u64>()) };
    /// assert_eq!(heap.stats().live_count, 0);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    #[inline(always)]
    pub unsafe fn dealloc(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller gives up a live block of this heap, which has this layout.
        unsafe {
            heaps::deallocate(self.record(), block.as_ptr(), layout.size(), layout.align());
        }
    }

    /// Changes a block to `new_size` bytes; its content stays up to the smaller size. `None`, and
    /// the block as it was, without memory and beyond the limit.
    ///
    /// # Safety
    /// `block` is a live block of this heap, of `layout`; if there is a result, it takes the
    /// block's place, with the same alignment. `new_size`, rounded up to the alignment, is at most
    /// `isize::MAX`.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let heap = stratalloc::Heap::new()?;
    /// let block = heap.alloc_layout(Layout::new::<[u8; 100]>()).expect("memory");
    /// // SAFETY: a live block of this heap and layout.
    /// let longer = unsafe { heap.realloc(block, Layout::new::<[u8; 100]>(), 1000) };
    /// assert!(longer.is_some());
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    #[inline]
    pub unsafe fn realloc(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the caller has a live block of this heap, which has this layout.
        let new =
            unsafe { heaps::reallocate(self.record(), block.as_ptr(), size, new_size, align) };
        NonNull::new(new)
    }

    /// Frees all blocks, and keeps the pages of the small ones for the next: for a heap that serves
    /// one request after the other. Takes time proportional to the spans.
    ///
    /// ```
    /// let mut heap = stratalloc::Heap::new()?;
    /// heap.alloc(1).expect("memory");
    /// heap.reset();
    /// assert_eq!(heap.stats().live_count, 0);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn reset(&mut self) {
        // SAFETY: every block borrows the heap, or was left to its fate by unsafe code.
        unsafe { heaps::reset(self.record()) }
    }

    /// Gives pages without blocks back to where all heaps take them from, which gives them back to
    /// the system in time. Returns the bytes. Rarely needed, as pages go by themselves when their
    /// last block does, but for those that the next blocks of a size come from.
    ///
    /// ```
    /// let mut heap = stratalloc::Heap::new()?;
    /// heap.alloc(1).expect("memory");
    /// heap.reset();
    /// assert_eq!(heap.trim(), 8 << 10);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn trim(&self) -> usize {
        heaps::trim(self.record())
    }

    /// What the heap holds. Takes time proportional to its spans and large blocks.
    ///
    /// ```
    /// let heap = stratalloc::Heap::new()?;
    /// heap.alloc([0_u8; 100]).expect("memory");
    /// assert_eq!(heap.stats().live, 112);
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn stats(&self) -> HeapStats {
        let record = self.record();
        let now = heaps::figures(record);
        HeapStats {
            live: now.live,
            live_count: now.live_count,
            mapped: now.mapped,
            span_count: now.span_count,
            limit: (record.limit != usize::MAX).then_some(record.limit),
        }
    }

    /// Whether the heap's records agree with each other: for tests and hunting corruption.
    ///
    /// ```
    /// assert!(stratalloc::Heap::new()?.is_sound());
    /// # Ok::<(), stratalloc::Error>(())
    /// ```
    pub fn is_sound(&self) -> bool {
        heaps::is_sound(self.record())
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: the record came from `create` and is given up here, once. Every block borrows the
        // heap, or was left to its fate by unsafe code.
        unsafe { heaps::destroy(self.record) }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("stats", &self.stats()).finish()
    }
}

/// What one [`Heap`] holds, in bytes unless named `_count`.
///
/// ```
/// let heap = stratalloc::Heap::with_limit(1 << 20)?;
/// let now: stratalloc::HeapStats = heap.stats();
/// assert_eq!((now.live, now.mapped, now.limit), (0, 0, Some(1 << 20)));
/// # Ok::<(), stratalloc::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HeapStats {
    /// Live blocks, rounded up to their size class or to whole pages.
    pub live: usize,
    /// Number of live blocks.
    pub live_count: usize,
    /// Pages that the heap has taken, those without blocks included.
    pub mapped: usize,
    /// Runs of pages that the heap has taken.
    pub span_count: usize,
    /// Most that `mapped` may become, if there is a limit.
    pub limit: Option<usize>,
}

const _: () = assert!(mem::size_of::<Heap>() == mem::size_of::<usize>());
