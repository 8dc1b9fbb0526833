//! The allocation bitmap of the hardened build: which small blocks are allocated. One byte for each
//! 16 bytes of heap, outside of the heap.
//!
//! The byte of a live block's first 16 bytes is its size class; all others are 0. So one load tells
//! `free` the class of a live block. Anything else that `free` is given - a freed block, wherever
//! it is cached, a pointer into a block, foreign memory - has class 0, whose magazine is always
//! full.
//!
//! Three levels: the root is indexed like that of the page map (`root_index`), a table has an entry
//! for each huge page, and each huge page of the heap has a leaf of 128 KiB of bytes. (With two
//! levels the root alone was 8 MiB, more than many users may lock.) A page of a leaf becomes
//! resident with the first block in 64 KiB. An entry holds where the byte for address 0 would be,
//! so the lookup needs no masks. The entry of a huge page that is not the heap's leads to zeros
//! that all of them share.
//!
//! Writers: the thread that hands a block out or takes it back. Readers: the thread that frees it.
//! A block has one owner at a time. Two threads that free one block at the same instant may both
//! pass; the bitmap of its span finds that later. The other builds have no leaves and never call
//! this.

#![allow(dead_code, reason = "the hardened build alone calls most of this")]

use super::root_index::{ROOT_LEN, border, root_index};
use super::units::ADDRESS_BITS;
use crate::config::{HUGE_SHIFT, HUGE_SIZE};
use crate::os::{Linux, Os};
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicU8, AtomicUsize, Ordering};

const TABLE_LEN: usize = 1 << (u32::BITS - HUGE_SHIFT);
const LEAF_BYTES: usize = HUGE_SIZE >> 4;

/// Entries for the huge pages of one entry in the root.
type Table = [AtomicUsize; TABLE_LEN];

/// The map. One exists, [`ALLOCATION_BITMAP`].
pub struct AllocationBitmap {
    /// Addresses of tables, 0 where there is none.
    root: [AtomicUsize; ROOT_LEN],
    /// What is read for huge pages that are not the heap's. Never written.
    no_leaf: [AtomicU8; LEAF_BYTES],
}

/// The map of the process.
pub static ALLOCATION_BITMAP: AllocationBitmap = AllocationBitmap {
    root: [const { AtomicUsize::new(0) }; ROOT_LEN],
    no_leaf: [const { AtomicU8::new(0) }; LEAF_BYTES],
};

/// The huge page of entry `index` in the table of the root's entry `root`: the one with these bits
/// in the low half of its address, of which the root leads a part there. Not every entry has one.
fn huge_page_of(root: usize, index: usize) -> Option<usize> {
    let below = border(root) & !(u32::MAX as usize);
    [below, below + (1 << 32)]
        .map(|start| start + (index << HUGE_SHIFT))
        .into_iter()
        .find(|huge| root_index(*huge) == root || root_index(*huge + HUGE_SIZE - 1) == root)
}

impl AllocationBitmap {
    /// The table for `addr`; 0 if none of the huge pages around it is the heap's.
    #[inline(always)]
    fn table(&self, addr: usize) -> usize {
        if cfg!(not(target_arch = "x86_64")) && addr >> ADDRESS_BITS != 0 {
            return 0;
        }
        // SAFETY: the index is below ROOT_LEN.
        unsafe { self.table_at(root_index(addr)) }
    }

    /// The root's entry `index`. Relaxed, like the loads of a table's entries: as in the page map,
    /// the owner of a block got its pointer after the leaf was entered. For others an older value
    /// will do.
    ///
    /// # Safety
    /// `index` is below ROOT_LEN.
    #[inline(always)]
    unsafe fn table_at(&self, index: usize) -> usize {
        // SAFETY: the caller says that `index` is below ROOT_LEN.
        unsafe { (*self.root.as_ptr().add(index)).load(Ordering::Relaxed) }
    }

    /// The entry of `addr`'s huge page.
    ///
    /// # Safety
    /// `table` is what the root says of `addr`, and not 0.
    #[inline(always)]
    unsafe fn entry(table: usize, addr: usize) -> &'static AtomicUsize {
        let index = (addr as u32 >> HUGE_SHIFT) as usize;
        // SAFETY: tables are never unmapped; the index is below TABLE_LEN, as it comes from 32
        // bits.
        unsafe { &*(table as *const AtomicUsize).add(index) }
    }

    /// What the entry of the huge page at `addr` is while that is not the heap's.
    fn no_origin(&self, addr: usize) -> usize {
        (self.no_leaf.as_ptr() as usize).wrapping_sub((addr & !(HUGE_SIZE - 1)) >> 4)
    }

    /// The byte for `addr`: in the leaf of its huge page, or a zero.
    ///
    /// # Safety
    /// `table` is what the root says of `addr`, and not 0. The byte is written only if there is a
    /// leaf.
    #[inline(always)]
    unsafe fn byte(table: usize, addr: usize) -> &'static AtomicU8 {
        // SAFETY: `table` is that of `addr`, as the caller says. Its entry leads to a leaf, which
        // is never unmapped, or to the zeros; the sum is the byte of `addr` in there. Relaxed: see
        // `table_at`.
        unsafe {
            let origin = Self::entry(table, addr).load(Ordering::Relaxed);
            &*(origin.wrapping_add(addr >> 4) as *const AtomicU8)
        }
    }

    /// The class of the live small block that starts at `addr`; `NONE` if none does.
    #[inline(always)]
    pub fn class_of(&self, addr: usize) -> SizeClass {
        let table = self.table(addr);
        if table == 0 || addr & 15 != 0 {
            return SizeClass::NONE;
        }
        // SAFETY: the table is that of `addr`; only numbers of classes are stored.
        unsafe { SizeClass::from_index_unchecked(Self::byte(table, addr).load(Ordering::Relaxed)) }
    }

    /// Clears the byte of the live small block that starts at `addr`, if there is one and `may`
    /// accepts its class, and returns the class. `may` must not accept class 0.
    #[inline(always)]
    pub fn strike_out(
        &self,
        addr: usize,
        may: impl FnOnce(SizeClass) -> bool,
    ) -> Option<SizeClass> {
        let table = self.table(addr);
        if table == 0 || addr & 15 != 0 {
            return None;
        }
        // SAFETY: the table is that of `addr`. Without a leaf the class is 0, which `may` does not
        // accept, so nothing is written.
        let byte = unsafe { Self::byte(table, addr) };
        // SAFETY: only numbers of classes are stored. Relaxed, like the store below: the block's
        // owner is the only thread that uses this byte.
        let class = unsafe { SizeClass::from_index_unchecked(byte.load(Ordering::Relaxed)) };
        if !may(class) {
            return None;
        }
        byte.store(SizeClass::NONE.as_byte(), Ordering::Relaxed);
        Some(class)
    }

    /// Stores `class` for the object at `addr`: its class when it is handed out, `NONE` when the
    /// program has freed it. There are blocks around `addr`, so there is a leaf.
    ///
    /// # Safety
    /// `addr` is below 2^48, and `ensure` said yes to an address in the same huge page.
    #[inline(always)]
    pub unsafe fn set_unchecked(&self, addr: usize, class: SizeClass) {
        // SAFETY: `ensure` made the table and the leaf, as the caller says. Relaxed: the block's
        // owner is the only thread that uses this byte.
        unsafe {
            let table = self.table_at(root_index(addr));
            Self::byte(table, addr).store(class.as_byte(), Ordering::Relaxed);
        }
    }

    /// Calls `visit` with the address and the length in bytes of each table that is mostly unused.
    pub fn for_each_table(&self, mut visit: impl FnMut(usize, usize)) {
        visit(core::ptr::from_ref(self) as usize, size_of::<Self>());
        for (root, table) in self.root.iter().enumerate() {
            // Relaxed: see `table_at`; a table that is missed was empty a moment ago.
            let table = table.load(Ordering::Relaxed);
            if table == 0 {
                continue;
            }
            for huge in (0..TABLE_LEN).filter_map(|index| huge_page_of(root, index)) {
                if self.has_leaf(huge) {
                    // SAFETY: the table of the root's entry, through which `huge` is found.
                    let origin = unsafe { Self::entry(table, huge) }.load(Ordering::Relaxed);
                    visit(origin.wrapping_add(huge >> 4), LEAF_BYTES);
                }
            }
        }
    }

    /// Makes sure that blocks in `[addr, addr + bytes)` can be entered. Returns whether they can.
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        let end = (addr + bytes.max(1)).next_multiple_of(HUGE_SIZE);
        let mut at = addr & !(HUGE_SIZE - 1);
        while at < end {
            if self.has_leaf(at) {
                at += HUGE_SIZE;
                continue;
            }
            // One mapping for the leaves of huge pages in a row, as each costs three with its guard
            // pages.
            let mut past = at + HUGE_SIZE;
            while past < end && !self.has_leaf(past) {
                past += HUGE_SIZE;
            }
            if !self.make_leaves(at, past) {
                return false;
            }
            at = past;
        }
        true
    }

    /// Gives back the memory of the leaves for `[addr, addr + bytes)`, whole huge pages.
    ///
    /// # Safety
    /// They are free huge pages of the heap, and nobody can take a part of them meanwhile. So all
    /// bytes are 0, and nobody writes any.
    pub unsafe fn release(&self, addr: usize, bytes: usize) {
        let end = addr + bytes;
        // SAFETY: huge pages of the heap, for which there are tables, with entries that stay.
        let origin = |at| unsafe { Self::entry(self.table(at), at) }.load(Ordering::Relaxed);
        let mut at = addr;
        while at < end {
            let here = origin(at);
            // Leaves that were made together lie in a row.
            let mut past = at + HUGE_SIZE;
            while past < end && origin(past) == here {
                past += HUGE_SIZE;
            }
            // SAFETY: the leaves of the huge pages, which `ensure` mapped. The caller says that
            // they hold zeroes that nobody writes to; they read as zero afterwards, too.
            unsafe { Linux.release(here.wrapping_add(at >> 4), (past - at) >> 4) };
            at = past;
        }
    }

    /// Whether the huge page at `addr` has a leaf.
    fn has_leaf(&self, addr: usize) -> bool {
        let table = self.table(addr);
        if table == 0 {
            return false;
        }
        // SAFETY: the table is that of `addr`.
        let entry = unsafe { Self::entry(table, addr) };
        entry.load(Ordering::Relaxed) != self.no_origin(addr)
    }

    /// Makes leaves for the huge pages in `[addr, end)`, which have none. Returns whether there was
    /// memory.
    fn make_leaves(&self, addr: usize, end: usize) -> bool {
        let huge_pages = || (addr..end).step_by(HUGE_SIZE);
        // A huge page may lie across two tables, which both have an entry for it then.
        let both = |at| [at, at + HUGE_SIZE - 1];
        if !huge_pages().flat_map(both).all(|at| self.ensure_table(at)) {
            return false;
        }
        let bytes = (end - addr) >> 4;
        let Some(leaves) = METADATA.allocate_table(bytes) else { return false };
        note_used(Kind::PageMap, bytes);
        // SAFETY: just mapped. Huge pages would make 2 MiB resident for each 32 MiB of heap.
        unsafe { Linux.advise_huge(leaves, bytes, false) };
        // The leaves follow each other as the huge pages do, so that all have one origin.
        let origin = leaves.wrapping_sub(addr >> 4);
        for huge in huge_pages() {
            let before = self.no_origin(huge);
            for at in both(huge) {
                // SAFETY: there is a table, and the index is below ROOT_LEN.
                let entry = unsafe { Self::entry(self.table_at(root_index(at)), at) };
                // Release: with the entry, the leaf's zeroes are visible. The holder of the page
                // heap's lock is the one writer; the exchange serves tests with several heaps.
                // Relaxed on failure: the other leaf is as good.
                let _ =
                    entry.compare_exchange(before, origin, Ordering::Release, Ordering::Relaxed);
            }
        }
        true
    }

    /// Makes sure that there is a table for `addr`. Returns whether there is.
    fn ensure_table(&self, addr: usize) -> bool {
        if addr >> ADDRESS_BITS != 0 {
            return false;
        }
        let entry = &self.root[root_index(addr)];
        // Relaxed: only whether there is a table.
        if entry.load(Ordering::Relaxed) != 0 {
            return true;
        }
        let Some(table) = METADATA.allocate_table(size_of::<Table>()) else { return false };
        note_used(Kind::PageMap, size_of::<Table>());
        for huge in (0..TABLE_LEN).filter_map(|index| huge_page_of(root_index(addr), index)) {
            // SAFETY: an entry of the new table, which no other thread knows. Relaxed: the Release
            // below publishes it.
            unsafe { Self::entry(table, huge) }.store(self.no_origin(huge), Ordering::Relaxed);
        }
        // Release: with the table, its entries are visible. Relaxed on failure: the other table is
        // as good.
        let _ = entry.compare_exchange(0, table, Ordering::Release, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of huge pages that are released are cleared, and others are not.
    #[test]
    fn leaves_are_given_back_with_their_huge_pages() {
        let class = SizeClass::of(64).unwrap();
        let start = (border(0xA300) & !(HUGE_SIZE - 1)) - 2 * HUGE_SIZE;
        // Two lots of leaves, and across the border of two tables.
        assert!(
            ALLOCATION_BITMAP.ensure(start, 2 * HUGE_SIZE)
                && ALLOCATION_BITMAP.ensure(start, 5 * HUGE_SIZE)
        );
        let blocks = [0, 1, 2, 3, 4].map(|index| start + index * HUGE_SIZE + 640);
        for block in blocks {
            // SAFETY: below 2^47, and `ensure` made its leaf.
            unsafe { ALLOCATION_BITMAP.set_unchecked(block, class) };
        }
        // SAFETY: nothing is mapped there, so no heap has these huge pages and no other thread uses
        // their bytes. That some are not 0 shows what the call does.
        unsafe { ALLOCATION_BITMAP.release(start + HUGE_SIZE, 3 * HUGE_SIZE) };
        let found = blocks.map(|block| ALLOCATION_BITMAP.class_of(block) == class);
        assert_eq!(found, [true, false, false, false, true]);
    }

    /// Blocks on either side of a table's border, within one huge page, are found, and nothing
    /// beside them is.
    #[test]
    fn blocks_are_found_across_the_border_of_two_tables() {
        let class = SizeClass::of(64).unwrap();
        let middle = border(0xA200);
        let start = (middle & !(HUGE_SIZE - 1)) - HUGE_SIZE;
        assert_eq!(ALLOCATION_BITMAP.class_of(middle & !15), SizeClass::NONE, "no table yet");
        assert!(ALLOCATION_BITMAP.ensure(start, 3 * HUGE_SIZE));
        let blocks = [start, (middle & !15) - 64, (middle & !15) + 64, start + 3 * HUGE_SIZE - 64];
        for block in blocks {
            // SAFETY: below 2^47, and `ensure` made its leaf.
            unsafe { ALLOCATION_BITMAP.set_unchecked(block, class) };
        }
        for block in blocks {
            assert_eq!(ALLOCATION_BITMAP.class_of(block), class, "{block:#x}");
            for other in [block + 16, block + 8, block + 1, block ^ HUGE_SIZE << 3, block | 1 << 60]
            {
                assert_eq!(ALLOCATION_BITMAP.class_of(other), SizeClass::NONE, "{other:#x}");
            }
            let has_room = |found| found != SizeClass::NONE;
            assert_eq!(ALLOCATION_BITMAP.strike_out(block, has_room), Some(class));
            assert_eq!(ALLOCATION_BITMAP.strike_out(block, has_room), None);
        }
        let mut leaves = 0;
        ALLOCATION_BITMAP.for_each_table(|at, bytes| {
            // SAFETY: a table or a leaf.
            let first = unsafe { core::ptr::read_volatile(at as *const u8) };
            leaves += usize::from(bytes == LEAF_BYTES && first == 0);
        });
        assert!(leaves >= 3, "{leaves} leaves");
    }
}
