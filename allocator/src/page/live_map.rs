//! Hardened builds: which small blocks the program has, one byte per 16 bytes of heap, outside of the heap.
//! The byte of the first 16 bytes of a live block is its size class; all others are 0. So one look tells
//! `free` the class of a live block, and whatever else it is given - a freed block, wherever it is cached, a
//! pointer into a block, foreign memory - has class 0, which no magazine has room for.
//!
//! Two levels like the page map, with leaves of 16 MiB address space per 256 MiB; a page of a leaf becomes
//! resident with the first block in 64 KiB. Writers: who hands a block out or takes it back; readers: who
//! frees it. A block has one owner at a time; two threads that free one block at the same instant may both
//! pass (the bitmap of its span finds that out later).

use crate::os::{Linux, Os};
use crate::page::metadata::METADATA;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU8, AtomicUsize, Ordering};

const LEAF_SHIFT: u32 = 28;
const ROOT_LEN: usize = 1 << (48 - LEAF_SHIFT);
const LEAF_BYTES: usize = 1 << (LEAF_SHIFT - 4);

/// The map. One exists, [`LIVE_MAP`].
pub struct LiveMap {
    /// Where the bytes for an address 0 would be in the leaf for each 256 MiB; 0: there is no leaf.
    root: [AtomicUsize; ROOT_LEN],
}

/// The map of the process.
pub static LIVE_MAP: LiveMap = LiveMap { root: [const { AtomicUsize::new(0) }; ROOT_LEN] };

impl LiveMap {
    /// What the root says of `addr`; 0: there is no leaf.
    #[inline(always)]
    fn origin(&self, addr: usize) -> usize {
        // Relaxed: as in the page map, whoever has a pointer into a leaf's range got it after the leaf was
        // entered. For others an older value is as good.
        self.root.get(addr >> LEAF_SHIFT).map_or(0, |origin| origin.load(Ordering::Relaxed))
    }

    /// The byte for `addr` in a leaf.
    ///
    /// # Safety
    /// `origin` is what the root says of `addr`, and not 0.
    #[inline(always)]
    unsafe fn byte(origin: usize, addr: usize) -> &'static AtomicU8 {
        // SAFETY: a byte of a leaf, which is never unmapped: as the root says, its part of the sum is `addr`'s.
        unsafe { &*(origin.wrapping_add(addr >> 4) as *const AtomicU8) }
    }

    /// The class of the live small block that starts at `addr`; `NONE` if none does.
    #[inline(always)]
    pub fn class_of(&self, addr: usize) -> SizeClass {
        let origin = self.origin(addr);
        if origin == 0 || addr & 15 != 0 {
            return SizeClass::NONE;
        }
        // SAFETY: as the root says; only numbers of classes are stored.
        unsafe { SizeClass::from_index_unchecked(Self::byte(origin, addr).load(Ordering::Relaxed)) }
    }

    /// Strikes out the live small block that starts at `addr`, if there is one, and if `may` wants its class.
    /// Returns the class then.
    #[inline(always)]
    pub fn strike_out(
        &self,
        addr: usize,
        may: impl FnOnce(SizeClass) -> bool,
    ) -> Option<SizeClass> {
        let origin = self.origin(addr);
        if origin == 0 || addr & 15 != 0 {
            return None;
        }
        // SAFETY: as the root says.
        let byte = unsafe { Self::byte(origin, addr) };
        // SAFETY: only numbers of classes are stored.
        let class = unsafe { SizeClass::from_index_unchecked(byte.load(Ordering::Relaxed)) };
        if !may(class) {
            return None;
        }
        byte.store(SizeClass::NONE.as_byte(), Ordering::Relaxed);
        Some(class)
    }

    /// Enters an object of a span, or a block that the program gave up as not live. Around `addr` there are
    /// blocks, so there is a leaf.
    ///
    /// # Safety
    /// `addr` is below 2^48, and `ensure` said yes to an address in the same 256 MiB.
    #[inline(always)]
    pub unsafe fn set_unchecked(&self, addr: usize, class: SizeClass) {
        // SAFETY: by the caller's word; see `byte`.
        unsafe {
            let origin = self.root.get_unchecked(addr >> LEAF_SHIFT).load(Ordering::Relaxed);
            Self::byte(origin, addr).store(class.as_byte(), Ordering::Relaxed);
        }
    }

    /// Calls `visit` with the address and the length in bytes of each table that is mostly unused.
    pub fn for_each_table(&self, mut visit: impl FnMut(usize, usize)) {
        visit(core::ptr::from_ref(self) as usize, size_of::<Self>());
        for (index, origin) in self.root.iter().enumerate() {
            // Acquire: pairs with the Release in `ensure_leaf`.
            match origin.load(Ordering::Acquire) {
                0 => {}
                origin => visit(origin.wrapping_add(index << (LEAF_SHIFT - 4)), LEAF_BYTES),
            }
        }
    }

    /// Makes sure that blocks in `[addr, addr + bytes)` can be entered. Returns whether.
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        let last = (addr + bytes.max(1) - 1) >> LEAF_SHIFT;
        (addr >> LEAF_SHIFT..=last).all(|leaf| self.ensure_leaf(leaf << LEAF_SHIFT))
    }

    fn ensure_leaf(&self, addr: usize) -> bool {
        let Some(entry) = self.root.get(addr >> LEAF_SHIFT) else { return false };
        if entry.load(Ordering::Relaxed) != 0 {
            return true;
        }
        let Some(leaf) = METADATA.allocate_table(LEAF_BYTES) else { return false };
        // SAFETY: just mapped. Huge pages would make 2 MiB resident for each 32 MiB of heap.
        unsafe { Linux.advise_huge(leaf, LEAF_BYTES, false) };
        // Release: the zeroes are there. One writer at a time, but in tests with several heaps.
        let origin = leaf.wrapping_sub((addr >> LEAF_SHIFT) << (LEAF_SHIFT - 4));
        let _ = entry.compare_exchange(0, origin, Ordering::Release, Ordering::Relaxed);
        true
    }
}
