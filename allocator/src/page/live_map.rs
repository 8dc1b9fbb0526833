//! Hardened builds: which small blocks the program has, one byte per 16 bytes of heap, outside of the heap.
//! The byte of the first 16 bytes of a live block is its size class; all others are 0. So one look tells
//! `free` the class of a live block, and whatever else it is given - a freed block, wherever it is cached, a
//! pointer into a block, foreign memory - has class 0, which no magazine has room for.
//!
//! Three levels: a root of an entry per 4 GiB, tables of an entry per huge page, and 128 KiB of bytes for each huge page
//! of the heap. (With two levels, of 256 MiB each, the root alone was 8 MiB: more than many a user may lock.) A page of
//! the bytes becomes resident with the first block in 64 KiB. Entries hold where the first entry or byte of the whole
//! address space would be, so that the lookup needs no masks. Writers: who hands a block out or takes it back; readers: who
//! frees it. A block has one owner at a time; two threads that free one block at the same instant may both
//! pass (the bitmap of its span finds that out later).

use crate::config::{HUGE_SHIFT, HUGE_SIZE};
use crate::os::{Linux, Os};
use crate::page::metadata::METADATA;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU8, AtomicUsize, Ordering};

const TABLE_SHIFT: u32 = 32;
const ROOT_LEN: usize = 1 << (48 - TABLE_SHIFT);
const TABLE_LEN: usize = 1 << (TABLE_SHIFT - HUGE_SHIFT);
const LEAF_BYTES: usize = HUGE_SIZE >> 4;

/// Entries for the huge pages of 4 GiB.
type Table = [AtomicUsize; TABLE_LEN];

/// The map. One exists, [`LIVE_MAP`].
pub struct LiveMap {
    /// Where the entry of the huge page at address 0 would be in the table of each 4 GiB; 0: there is no table.
    root: [AtomicUsize; ROOT_LEN],
}

/// The map of the process.
pub static LIVE_MAP: LiveMap = LiveMap { root: [const { AtomicUsize::new(0) }; ROOT_LEN] };

impl LiveMap {
    /// Where the bytes for an address 0 would be in the leaf of `addr`'s huge page; 0: there is no leaf.
    #[inline(always)]
    fn origin(&self, addr: usize) -> usize {
        // Relaxed: as in the page map, whoever has a pointer into a leaf's range got it after the leaf was
        // entered. For others an older value is as good.
        match self.root.get(addr >> TABLE_SHIFT).map_or(0, |table| table.load(Ordering::Relaxed)) {
            0 => 0,
            // SAFETY: as the root says, there is the table of `addr`'s 4 GiB.
            table => unsafe { Self::entry(table, addr) }.load(Ordering::Relaxed),
        }
    }

    /// The entry of `addr`'s huge page.
    ///
    /// # Safety
    /// `table` is what the root says of `addr`, and not 0.
    #[inline(always)]
    unsafe fn entry(table: usize, addr: usize) -> &'static AtomicUsize {
        let at = table.wrapping_add((addr >> HUGE_SHIFT) * size_of::<AtomicUsize>());
        // SAFETY: an entry of a table, which is never unmapped: its part of the sum is `addr`'s.
        unsafe { &*(at as *const AtomicUsize) }
    }

    /// The byte for `addr` in a leaf.
    ///
    /// # Safety
    /// `origin` is that of `addr`, and not 0.
    #[inline(always)]
    unsafe fn byte(origin: usize, addr: usize) -> &'static AtomicU8 {
        // SAFETY: a byte of a leaf, which is never unmapped: its part of the sum is `addr`'s.
        unsafe { &*(origin.wrapping_add(addr >> 4) as *const AtomicU8) }
    }

    /// The class of the live small block that starts at `addr`; `NONE` if none does.
    #[inline(always)]
    pub fn class_of(&self, addr: usize) -> SizeClass {
        let origin = self.origin(addr);
        if origin == 0 || addr & 15 != 0 {
            return SizeClass::NONE;
        }
        // SAFETY: the origin is that of `addr`; only numbers of classes are stored.
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
        // SAFETY: the origin is that of `addr`.
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
    /// `addr` is below 2^48, and `ensure` said yes to an address in the same huge page.
    #[inline(always)]
    pub unsafe fn set_unchecked(&self, addr: usize, class: SizeClass) {
        // SAFETY: by the caller's word there are a table and a leaf.
        unsafe {
            let table = self.root.get_unchecked(addr >> TABLE_SHIFT).load(Ordering::Relaxed);
            let origin = Self::entry(table, addr).load(Ordering::Relaxed);
            Self::byte(origin, addr).store(class.as_byte(), Ordering::Relaxed);
        }
    }

    /// Calls `visit` with the address and the length in bytes of each table that is mostly unused.
    pub fn for_each_table(&self, mut visit: impl FnMut(usize, usize)) {
        visit(core::ptr::from_ref(self) as usize, size_of::<Self>());
        for region in 0..ROOT_LEN {
            let Some(table) = self.table(region << TABLE_SHIFT) else { continue };
            visit(core::ptr::from_ref(table) as usize, size_of::<Table>());
            for (index, origin) in table.iter().enumerate() {
                // Acquire: pairs with the Release in `ensure`.
                match origin.load(Ordering::Acquire) {
                    0 => {}
                    origin => {
                        let huge = (region << TABLE_SHIFT) + (index << HUGE_SHIFT);
                        visit(origin.wrapping_add(huge >> 4), LEAF_BYTES);
                    }
                }
            }
        }
    }

    /// Makes sure that blocks in `[addr, addr + bytes)` can be entered. Returns whether.
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        let end = (addr + bytes.max(1)).next_multiple_of(HUGE_SIZE);
        let mut at = addr & !(HUGE_SIZE - 1);
        while at < end {
            let Some(table) = self.table_or_new(at) else { return false };
            let first = (at >> HUGE_SHIFT) & (TABLE_LEN - 1);
            let most = ((end - at) >> HUGE_SHIFT).min(TABLE_LEN - first);
            // Those that have none yet, together: each mapping costs three, with its fences.
            let entries = &table[first..first + most];
            let missing = entries.iter().take_while(|entry| entry.load(Ordering::Relaxed) == 0);
            let count = missing.count();
            if count > 0 && !Self::make_leaves(&entries[..count], at) {
                return false;
            }
            at += count.max(1) * HUGE_SIZE;
        }
        true
    }

    /// Enters leaves for the huge pages from `addr` on, one for each of `entries`. Whether there was memory.
    fn make_leaves(entries: &[AtomicUsize], addr: usize) -> bool {
        let bytes = entries.len() * LEAF_BYTES;
        let Some(leaves) = METADATA.allocate_table(bytes) else { return false };
        // SAFETY: just mapped. Huge pages would make 2 MiB resident for each 32 MiB of heap.
        unsafe { Linux.advise_huge(leaves, bytes, false) };
        let origin = leaves.wrapping_sub(addr >> 4);
        for entry in entries {
            // Release: the zeroes are there. One writer at a time, but in tests with several heaps. All have one origin: the
            // leaves follow each other as the huge pages do.
            let _ = entry.compare_exchange(0, origin, Ordering::Release, Ordering::Relaxed);
        }
        true
    }

    /// The table for `addr`, if there is one.
    fn table(&self, addr: usize) -> Option<&Table> {
        // Acquire: pairs with the Release in `table_or_new`; the table's zeroes are visible.
        match self.root.get(addr >> TABLE_SHIFT)?.load(Ordering::Acquire) {
            0 => None,
            origin => {
                let table = origin.wrapping_add(Self::first_entry(addr)) as *const Table;
                // SAFETY: `table_or_new` entered it; tables are never unmapped.
                Some(unsafe { &*table })
            }
        }
    }

    /// Bytes of entries below the table of `addr`.
    fn first_entry(addr: usize) -> usize {
        (addr >> TABLE_SHIFT) * size_of::<Table>()
    }

    /// The table for `addr`, made if need be; `None` without memory.
    fn table_or_new(&self, addr: usize) -> Option<&Table> {
        if let Some(table) = self.table(addr) {
            return Some(table);
        }
        let entry = self.root.get(addr >> TABLE_SHIFT)?;
        let table = METADATA.allocate_table(size_of::<Table>())?;
        // Release: pairs with the Acquire in `table`. Relaxed on failure: `table` looks anew.
        let origin = table.wrapping_sub(Self::first_entry(addr));
        let _ = entry.compare_exchange(0, origin, Ordering::Release, Ordering::Relaxed);
        self.table(addr)
    }
}
