//! From an address to its size class (one byte, hot) and its span (a pointer, slow paths only).
//!
//! The class bytes have two levels: a root indexed by address bits 32..48, whose leaves cover 4 GiB each.
//! Leaves this large keep the fast path free of masks (the index within a leaf is the low half of the
//! address, shifted); they cost half a MiB of address space each, and their untouched parts are not resident.
//!
//! What slow paths look up has a third level, tables of 2 KiB for each huge page in which anything was
//! ever entered: eight times the class bytes would be 4 MiB of a leaf, which a process under a limit on
//! its addresses would rather have itself.
//!
//! A root entry holds the distance from the map to the leaf, so that an empty entry, zero, leads to a leaf
//! of zeros that is part of the map. The lookup needs no null check: a foreign address reads class 0, and
//! class 0 takes the slow path that tells large blocks from foreign pointers.
//!
//! Writers: the page heap, under its lock, for spans it hands out or takes back. Readers: everyone,
//! without a lock. A thread that legitimately holds a pointer into a span got it after the entry was
//! written, through whatever synchronisation handed it over; other readers may see older entries.

use crate::config::{HUGE_SHIFT, HUGE_SIZE, PAGE_SHIFT, PAGES_PER_HUGE};
use crate::page::metadata::METADATA;
use crate::page::size_class::{MappedClass, SizeClass};
use crate::page::span::Span;
use crate::page::units::{Length, PageId};
use crate::sync::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use core::ffi::c_void;
use core::ptr;

/// log2 of the bytes that a leaf covers.
const LEAF_SHIFT: u32 = 32;
const ROOT_LEN: usize = 1 << (48 - LEAF_SHIFT);
const LEAF_PAGES: usize = 1 << (LEAF_SHIFT - PAGE_SHIFT);
const LEAF_HUGE: usize = 1 << (LEAF_SHIFT - HUGE_SHIFT);

/// One leaf, 528 KiB of address space: the class bytes must come first, as the zero leaf has no more than
/// these.
#[repr(C)]
struct Leaf {
    classes: [AtomicU8; LEAF_PAGES],
    /// Null until something is entered for the huge page.
    tables: [AtomicPtr<Table>; LEAF_HUGE],
}

/// What slow paths look up for one huge page. Never freed.
struct Table {
    /// The page heap's record of the huge page.
    huge: AtomicPtr<c_void>,
    spans: [AtomicPtr<Span>; PAGES_PER_HUGE],
}

/// The map. One exists, [`PAGE_MAP`].
#[repr(C)]
pub struct PageMap {
    root: [AtomicUsize; ROOT_LEN],
    zero_leaf: [AtomicU8; LEAF_PAGES],
}

/// The map of the process: 1 MiB of zeros in `.bss`, of which only what is used becomes resident.
pub static PAGE_MAP: PageMap = PageMap {
    root: [const { AtomicUsize::new(0) }; ROOT_LEN],
    zero_leaf: [const { AtomicU8::new(0) }; LEAF_PAGES],
};

/// Whether classes are entered by their second numbers.
static HAS_SECOND: AtomicU8 = AtomicU8::new(0);

impl PageMap {
    /// The class of the small span that holds `addr`; `NONE` for large, foreign and null.
    ///
    /// # Safety
    /// As `mapped_unchecked`.
    #[inline(always)]
    pub unsafe fn class_unchecked(&self, addr: usize) -> SizeClass {
        // SAFETY: handed through.
        unsafe { self.mapped_unchecked(addr) }.class()
    }

    /// The same as it is entered.
    ///
    /// # Safety
    /// `addr < 2^48`. (A pointer beyond is not one that Linux hands to programs unless asked to.)
    #[inline(always)]
    pub unsafe fn mapped_unchecked(&self, addr: usize) -> MappedClass {
        // SAFETY: `addr >> 32 < ROOT_LEN` (caller). Relaxed: see the module's comment on readers.
        let distance =
            unsafe { (*self.root.as_ptr().add(addr >> LEAF_SHIFT)).load(Ordering::Relaxed) };
        let index = (addr as u32 >> PAGE_SHIFT) as usize;
        // SAFETY: zero leads to the zero leaf; anything else was computed in `leaf_or_new` as the distance
        // from the zero leaf to a leaf, which is never unmapped. `index` is below LEAF_PAGES as it comes
        // from 32 bits. Only numbers of classes are ever stored.
        unsafe { MappedClass::from_byte_unchecked(self.load_class(distance, index) as u8) }
    }

    /// A relaxed load of the class byte `index` of the leaf at `distance` from the zero leaf, widened. By
    /// hand on x86-64: the compiler does not merge an atomic load with the widening that an index needs,
    /// and `free` would have an instruction more.
    ///
    /// # Safety
    /// There is such a leaf, and `index < LEAF_PAGES`.
    #[inline(always)]
    unsafe fn load_class(&self, distance: usize, index: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads one byte of a leaf, by the caller's word; others may write it, and one byte is read
        // whole. Not `pure`: who frees twice in a row must look twice.
        unsafe {
            let wide: usize;
            core::arch::asm!(
                "movzx {wide:e}, byte ptr [{distance} + {map} + {leaf}]",
                wide = lateout(reg) wide,
                distance = in(reg) distance,
                map = in(reg) core::ptr::from_ref(self) as usize + index,
                leaf = const core::mem::offset_of!(PageMap, zero_leaf),
                options(readonly, nostack, preserves_flags),
            );
            core::hint::assert_unchecked(wide <= 0xFF);
            wide
        }
        #[cfg(not(target_arch = "x86_64"))]
        // SAFETY: valid by the caller's word. Relaxed: see the module's comment on readers.
        unsafe {
            let leaf = (self.zero_leaf.as_ptr() as usize).wrapping_add(distance);
            (*((leaf + index) as *const AtomicU8)).load(Ordering::Relaxed) as usize
        }
    }

    /// The leaf for `addr`, if there is one.
    fn leaf(&self, addr: usize) -> Option<&Leaf> {
        // Acquire: pairs with the Release in `leaf_or_new`; the leaf's zeroes are visible.
        let distance = self.root.get(addr >> LEAF_SHIFT)?.load(Ordering::Acquire);
        if distance == 0 {
            return None;
        }
        let leaf = (self.zero_leaf.as_ptr() as usize).wrapping_add(distance) as *const Leaf;
        // SAFETY: `leaf_or_new` stored the distance to a mapped leaf, which is never unmapped.
        Some(unsafe { &*leaf })
    }

    /// The leaf for `addr`, made if need be; `None` without memory.
    fn leaf_or_new(&self, addr: usize) -> Option<&Leaf> {
        if let Some(leaf) = self.leaf(addr) {
            return Some(leaf);
        }
        let entry = self.root.get(addr >> LEAF_SHIFT)?;
        let leaf = METADATA.allocate_table(size_of::<Leaf>())?;
        let distance = leaf.wrapping_sub(self.zero_leaf.as_ptr() as usize);
        // Release: pairs with the Acquire in `leaf`. The map has one writer at a time, the holder of the
        // page heap's lock, except for who needs a table for a fence, and in tests with several heaps; the
        // exchange makes those safe too. Relaxed on failure: `leaf` looks anew.
        let _ = entry.compare_exchange(0, distance, Ordering::Release, Ordering::Relaxed);
        self.leaf(addr)
    }

    /// The table for `addr`, if there is one.
    fn table(&self, addr: usize) -> Option<&Table> {
        let entry = &self.leaf(addr)?.tables[(addr >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
        // SAFETY: null, or a table that `table_or_new` entered, which is never freed. Acquire: pairs with
        // the Release there; the table's zeroes are visible.
        unsafe { entry.load(Ordering::Acquire).as_ref() }
    }

    /// The table for `addr`, made if need be; `None` without memory.
    fn table_or_new(&self, addr: usize) -> Option<&Table> {
        if let Some(table) = self.table(addr) {
            return Some(table);
        }
        let entry = &self.leaf_or_new(addr)?.tables[(addr >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
        let table = METADATA.allocate::<Table>()?.as_ptr();
        // Release: pairs with the Acquire in `table`. An exchange, and Relaxed on failure: as for leaves.
        let null = ptr::null_mut();
        let _ = entry.compare_exchange(null, table, Ordering::Release, Ordering::Relaxed);
        self.table(addr)
    }

    /// Makes sure that a large block at `addr` can be entered. Returns whether.
    pub fn ensure_large(&self, addr: usize) -> bool {
        self.table_or_new(addr).is_some()
    }

    /// Makes sure that pages and huge pages in `[addr, addr + bytes)` can be entered. Returns whether.
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        #[cfg(feature = "hardened")]
        if !super::live_map::LIVE_MAP.ensure(addr, bytes) {
            return false;
        }
        let first = addr & !(HUGE_SIZE - 1);
        (first..addr + bytes).step_by(HUGE_SIZE).all(|at| self.table_or_new(at).is_some())
    }

    /// Enters a span: all of its pages if it is small, the first only if not. There are
    /// tables for them.
    pub fn insert(&self, span: *mut Span, start: PageId, pages: Length, class: SizeClass) {
        let count = if class == SizeClass::NONE { 1 } else { pages.0 };
        for page in start.0..start.0 + count {
            self.write(PageId(page), span, class);
        }
    }

    /// Removes what `insert` entered.
    pub fn remove(&self, start: PageId, pages: Length, class: SizeClass) {
        let count = if class == SizeClass::NONE { 1 } else { pages.0 };
        for page in start.0..start.0 + count {
            self.write(PageId(page), ptr::null_mut(), SizeClass::NONE);
        }
    }

    fn write(&self, page: PageId, span: *mut Span, class: SizeClass) {
        let (Some(leaf), Some(table)) = (self.leaf(page.addr()), self.table(page.addr())) else {
            debug_assert!(false, "a page is entered or removed that has no table");
            return;
        };
        // Release: pairs with the Acquire in `span`, so that the record's fields are visible.
        table.spans[page.in_huge()].store(span, Ordering::Release);
        // Relaxed: see the module's comment on readers.
        leaf.classes[page.0 & (LEAF_PAGES - 1)].store(Self::byte_of(class), Ordering::Relaxed);
    }

    /// How `class` is entered.
    fn byte_of(class: SizeClass) -> u8 {
        // Relaxed: the page heap's lock orders, under which spans are entered and this is changed.
        let mapped = match HAS_SECOND.load(Ordering::Relaxed) {
            0 => MappedClass::first(class),
            _ => MappedClass::second(class),
        };
        mapped.index() as u8
    }

    /// Enters classes by their second numbers from now on, and those that are entered already, if there may be `any`. For
    /// who keeps others from entering spans meanwhile.
    pub fn use_second_numbers(&self, any: bool) {
        HAS_SECOND.store(1, Ordering::Relaxed);
        if !any {
            return;
        }
        for root in (0..ROOT_LEN).map(|index| index << LEAF_SHIFT) {
            let Some(leaf) = self.leaf(root) else { continue };
            for huge in (0..LEAF_HUGE).map(|index| root + (index << HUGE_SHIFT)) {
                // What no table was made for has no classes.
                if self.table(huge).is_none() {
                    continue;
                }
                let first = (huge >> PAGE_SHIFT) & (LEAF_PAGES - 1);
                for byte in &leaf.classes[first..first + PAGES_PER_HUGE] {
                    // SAFETY: only numbers of classes are ever stored.
                    let mapped =
                        unsafe { MappedClass::from_byte_unchecked(byte.load(Ordering::Relaxed)) };
                    byte.store(Self::byte_of(mapped.class()), Ordering::Relaxed);
                }
            }
        }
    }

    /// The span entered for the page of `addr`, or null: for the first page of a large one, and for every
    /// page of a small one. Any address may be asked for.
    pub fn span(&self, addr: usize) -> *mut Span {
        match self.table(addr) {
            // Acquire: pairs with the Release in `write`.
            Some(table) => table.spans[PageId::containing(addr).in_huge()].load(Ordering::Acquire),
            None => ptr::null_mut(),
        }
    }

    /// The page heap's record of the huge page that holds `addr`, or null.
    pub fn huge(&self, addr: usize) -> *mut c_void {
        match self.table(addr) {
            // Relaxed: read and written under the page heap's lock.
            Some(table) => table.huge.load(Ordering::Relaxed),
            None => ptr::null_mut(),
        }
    }

    /// Enters the page heap's record of the huge page at `addr`. There is a table for it.
    pub fn set_huge(&self, addr: usize, huge: *mut c_void) {
        if let Some(table) = self.table(addr) {
            // Relaxed: as in `huge`.
            table.huge.store(huge, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::span::SpanState;
    use proptest::prelude::*;

    #[test]
    fn foreign_addresses_have_no_class_and_no_span() {
        let local = 0;
        for addr in [0, 1, 4096, &raw const local as usize, (1 << 47) - 1] {
            // SAFETY: all below 2^48.
            assert_eq!(unsafe { PAGE_MAP.class_unchecked(addr) }, SizeClass::NONE);
            assert!(PAGE_MAP.span(addr).is_null());
        }
        assert!(PAGE_MAP.span(usize::MAX).is_null(), "beyond the address space");
    }

    #[test]
    fn a_small_span_is_found_from_each_of_its_pages_until_removed_also_across_leaves() {
        // A range across a leaf border that nothing on Linux is mapped at.
        let start = PageId::containing((0x6666 << LEAF_SHIFT) - 3 * 8192);
        let class = SizeClass::of(4000).unwrap();
        assert!(PAGE_MAP.ensure(start.addr(), 8 * 8192));
        let mut span = Span::new(start, Length(8), SpanState::Small, class);
        PAGE_MAP.insert(&raw mut span, start, Length(8), class);
        for page in 0..8 {
            let addr = start.plus(page).addr() + 77;
            // SAFETY: below 2^48.
            assert_eq!(unsafe { PAGE_MAP.class_unchecked(addr) }, class);
            assert_eq!(PAGE_MAP.span(addr), &raw mut span);
        }
        PAGE_MAP.remove(start, Length(8), class);
        for page in 0..8 {
            assert!(PAGE_MAP.span(start.plus(page).addr()).is_null());
        }
    }

    /// Every page of a part of the address space that nothing is mapped at, 5 huge pages round a leaf's border.
    const AREA: usize = (0x6667 << LEAF_SHIFT) - 2 * HUGE_SIZE;
    const AREA_PAGES: usize = 5 * PAGES_PER_HUGE;

    proptest! {
        /// Whatever is entered and removed, each page leads to what covers it, across tables and leaves.
        #[test]
        fn lookups_agree_with_a_list_of_the_spans(
            steps in prop::collection::vec((0..AREA_PAGES, 1usize..600, any::<bool>()), 1..40),
        ) {
            static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
            let _area = ONE_AT_A_TIME.lock();
            let small = SizeClass::of(4000).unwrap();
            let mut spans: Vec<Box<Span>> = Vec::new();
            prop_assert!(PAGE_MAP.ensure(AREA, AREA_PAGES << PAGE_SHIFT));
            for (at, pages, is_small) in steps {
                let start = PageId::containing(AREA).plus(at);
                let class = if is_small { small } else { SizeClass::NONE };
                let state = if is_small { SpanState::Small } else { SpanState::Large };
                let pages = pages.min(AREA_PAGES - at);
                // What is in the way goes first.
                spans.retain(|span| {
                    let apart = span.start.0 + span.pages.0 <= start.0 || start.0 + pages <= span.start.0;
                    if !apart {
                        PAGE_MAP.remove(span.start, span.pages, span.class);
                    }
                    apart
                });
                let mut span = Box::new(Span::new(start, Length(pages), state, class));
                PAGE_MAP.insert(&raw mut *span, start, Length(pages), class);
                spans.push(span);
            }
            for page in (0..AREA_PAGES).map(|at| PageId::containing(AREA).plus(at)) {
                let here = spans.iter_mut().find(|span| {
                    let first_only = span.class == SizeClass::NONE;
                    let known = if first_only { 1 } else { span.pages.0 };
                    (span.start.0..span.start.0 + known).contains(&page.0)
                });
                let (class, expected) =
                    here.map_or((SizeClass::NONE, ptr::null_mut()), |span| (span.class, &raw mut **span));
                // SAFETY: below 2^48.
                prop_assert_eq!(unsafe { PAGE_MAP.class_unchecked(page.addr()) }, class);
                prop_assert_eq!(PAGE_MAP.span(page.addr() + 4095), expected);
            }
            for span in spans {
                PAGE_MAP.remove(span.start, span.pages, span.class);
            }
        }
    }
}
