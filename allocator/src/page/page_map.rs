//! The page map: from an address to its size class (one byte, hot) and to its span (a pointer, slow
//! paths only).
//!
//! The class bytes have two levels: a root of 65,536 entries (`root_index` says which one is an
//! address's) and leaves with half a MiB of class bytes each, whose untouched parts are not
//! resident. The index within a leaf is the low half of the address, shifted.
//!
//! What slow paths look up has a third level: a table of 2 KiB for each huge page of the heap. As a
//! part of the leaves it would need eight times the class bytes, 4 MiB of addresses for each leaf,
//! which a process under a limit on its address space cannot spare.
//!
//! Leaves and tables are never freed, like the heap's huge pages: 2.3 KiB for each of those, a
//! tenth of a percent. Blocks with mappings of their own come and go anywhere and have neither;
//! they are in a map that shrinks (`direct_map`).
//!
//! A root entry holds the distance from the map to the leaf. An empty entry, zero, leads to a leaf
//! of zeros that is part of the map. So the lookup needs no null check: a foreign address reads
//! class 0, whose slow path tells large blocks from foreign pointers.
//!
//! Writers: the page heap, under its lock, for spans that it hands out or takes back. Readers:
//! every thread, without a lock. A thread that legitimately holds a pointer into a span got it
//! after the entry was written, through the synchronisation that handed it over. Other readers may
//! see older entries.

use crate::base::hint::unlikely;
use crate::config::{HUGE_SHIFT, HUGE_SIZE, PAGE_SHIFT, PAGE_SIZE, PAGES_PER_HUGE};
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::direct_map::DIRECT_MAP;
use crate::page::metadata::{self, Kind, METADATA, Record};
use crate::page::root_index::{LEAF_SHIFT, ROOT_LEN, border, root_index};
use crate::page::size_class::{MappedClass, SizeClass};
use crate::page::span::Span;
use crate::page::units::{ADDRESS_BITS, Length, PageId};
use crate::policy::HARDENED;
use crate::sync::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use core::ffi::c_void;
use core::ptr;

const LEAF_PAGES: usize = 1 << (LEAF_SHIFT - PAGE_SHIFT);
const LEAF_HUGE: usize = 1 << (LEAF_SHIFT - HUGE_SHIFT);

/// One leaf, 528 KiB of address space.
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

impl Record for Table {
    const KIND: Kind = Kind::PageMap;
}

/// Bytes of a leaf for one huge page: its pages' classes and the address of its table.
const LEAF_PART: usize = PAGES_PER_HUGE + size_of::<*mut Table>();

/// The map. One exists, [`PAGE_MAP`].
#[repr(C)]
pub struct PageMap {
    root: [AtomicUsize; ROOT_LEN],
    zero_leaf: [AtomicU8; LEAF_PAGES],
    /// The end of the zero leaf.
    zero_tables: [AtomicPtr<Table>; LEAF_HUGE],
}

const _: () = assert!(
    core::mem::offset_of!(PageMap, zero_tables) - core::mem::offset_of!(PageMap, zero_leaf)
        == core::mem::offset_of!(Leaf, tables)
);

/// The map of the process: 1 MiB of zeros in `.bss`, of which only what is used becomes resident.
#[unsafe(link_section = ".bss.stratalloc_large")]
pub static PAGE_MAP: PageMap = PageMap {
    root: [const { AtomicUsize::new(0) }; ROOT_LEN],
    zero_leaf: [const { AtomicU8::new(0) }; LEAF_PAGES],
    zero_tables: [const { AtomicPtr::new(ptr::null_mut()) }; LEAF_HUGE],
};

/// Whether classes are entered by their aliases. Guarded by the page heap's lock.
static HAS_ALIASES: AtomicU8 = AtomicU8::new(0);

impl PageMap {
    /// The class of the small span that holds `addr`; `NONE` for large, foreign and null.
    #[inline(always)]
    pub fn class(&self, addr: usize) -> SizeClass {
        self.mapped(addr).class()
    }

    /// The same as it is entered. `addr` may be any number. A few numbers that are no addresses
    /// share a root entry with a block and look like it: one in 65,536 for each leaf.
    #[inline(always)]
    pub fn mapped(&self, addr: usize) -> MappedClass {
        if cfg!(not(target_arch = "x86_64")) && unlikely(addr >> ADDRESS_BITS != 0) {
            return MappedClass::first(SizeClass::NONE);
        }
        // SAFETY: the index is below ROOT_LEN, as it comes from 16 bits. Relaxed: the owner of a
        // block got its pointer after the entry was written; others may see an older entry.
        let distance =
            unsafe { (*self.root.as_ptr().add(root_index(addr))).load(Ordering::Relaxed) };
        let index = (addr as u32 >> PAGE_SHIFT) as usize;
        // SAFETY: zero leads to the zero leaf; anything else was computed in `leaf_or_new` as the
        // distance from the zero leaf to a leaf, which is never unmapped. `index` is below
        // LEAF_PAGES as it comes from 32 bits. Only numbers of classes are ever stored.
        unsafe { MappedClass::from_byte_unchecked(self.load_class(distance, index) as u8) }
    }

    /// A relaxed load of the class byte `index` of the leaf at `distance` from the zero leaf,
    /// widened. By hand on x86-64: the compiler does not merge an atomic load with the widening
    /// that an index needs, and `free` would have an instruction more.
    ///
    /// # Safety
    /// There is such a leaf, and `index < LEAF_PAGES`.
    #[inline(always)]
    unsafe fn load_class(&self, distance: usize, index: usize) -> usize {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller says that there is such a leaf and that `index` lies in it, so this
        // reads one mapped byte. Others may write it; one byte is read whole. Not `pure`, so that a
        // second `free` in a row loads again.
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
        // SAFETY: the caller says that there is such a leaf and that `index` lies in it. Relaxed:
        // the owner of a block got its pointer after the byte was written.
        unsafe {
            let leaf = (self.zero_leaf.as_ptr() as usize).wrapping_add(distance);
            (*((leaf + index) as *const AtomicU8)).load(Ordering::Relaxed) as usize
        }
    }

    /// The leaf for `addr`, if there is one.
    fn leaf(&self, addr: usize) -> Option<&Leaf> {
        if addr >> ADDRESS_BITS != 0 {
            return None;
        }
        self.leaf_at(root_index(addr))
    }

    /// The leaf of the root's entry `index`, if there is one.
    fn leaf_at(&self, index: usize) -> Option<&Leaf> {
        // Acquire: pairs with the Release in `leaf_or_new`; the leaf's zeroes are visible.
        let distance = self.root.get(index)?.load(Ordering::Acquire);
        if distance == 0 {
            return None;
        }
        let leaf = (self.zero_leaf.as_ptr() as usize).wrapping_add(distance) as *const Leaf;
        // SAFETY: `leaf_or_new` stored the distance to a mapped leaf, which is never unmapped.
        Some(unsafe { &*leaf })
    }

    /// The leaf for `addr`, made if need be; `None` without memory, and beyond the address space.
    fn leaf_or_new(&self, addr: usize) -> Option<&Leaf> {
        if addr >> ADDRESS_BITS != 0 {
            return None;
        }
        if let Some(leaf) = self.leaf(addr) {
            return Some(leaf);
        }
        let entry = self.root.get(root_index(addr))?;
        let leaf = METADATA.allocate_table(size_of::<Leaf>())?;
        let distance = leaf.wrapping_sub(self.zero_leaf.as_ptr() as usize);
        // Release: pairs with the Acquire in `leaf_at`. The map has one writer at a time, the
        // holder of the page heap's lock, except where a guard page needs a table and in tests with
        // several heaps. The exchange makes those safe too. Relaxed on failure: `leaf` loads again.
        let _ = entry.compare_exchange(0, distance, Ordering::Release, Ordering::Relaxed);
        self.leaf(addr)
    }

    /// The table for `addr`, if there is one: in the leaf of its huge page's first byte.
    fn table(&self, addr: usize) -> Option<&Table> {
        let huge = addr & !(HUGE_SIZE - 1);
        let entry = &self.leaf(huge)?.tables[(huge >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
        // SAFETY: null, or a table that `table_or_new` entered, which is never freed. Acquire:
        // pairs with the Release there; the table's zeroes are visible.
        unsafe { entry.load(Ordering::Acquire).as_ref() }
    }

    /// The table for `addr`, made if need be; `None` without memory.
    fn table_or_new(&self, addr: usize) -> Option<&Table> {
        if let Some(table) = self.table(addr) {
            return Some(table);
        }
        let huge = addr & !(HUGE_SIZE - 1);
        let entry = &self.leaf_or_new(huge)?.tables[(huge >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
        let table = METADATA.allocate::<Table>()?.as_ptr();
        metadata::note_used(Kind::PageMap, LEAF_PART);
        // Release: pairs with the Acquire in `table`. An exchange, as writers may race here as in
        // `leaf_or_new`. Relaxed on failure: `table` loads again.
        let null = ptr::null_mut();
        let _ = entry.compare_exchange(null, table, Ordering::Release, Ordering::Relaxed);
        self.table(addr)
    }

    /// Calls `visit` with the address and the length in bytes of each table that is mostly unused.
    pub fn for_each_table(&self, mut visit: impl FnMut(usize, usize)) {
        visit(core::ptr::from_ref(self) as usize, size_of::<Self>());
        for leaf in (0..ROOT_LEN).filter_map(|index| self.leaf_at(index)) {
            visit(core::ptr::from_ref(leaf) as usize, size_of::<Leaf>());
        }
    }

    /// The first huge page at `addr` or behind it that has a table: every huge page of the heap has
    /// one. Reads without a lock; for walks that may miss what is entered meanwhile.
    pub fn next_table(&self, addr: usize) -> Option<usize> {
        let mut huge = addr.next_multiple_of(HUGE_SIZE);
        while huge >> ADDRESS_BITS == 0 {
            let end = border(root_index(huge) + 1).min(1 << ADDRESS_BITS);
            if self.leaf(huge).is_some() {
                let mut pages = (huge..end).step_by(HUGE_SIZE);
                if let Some(found) = pages.find(|&at| self.table(at).is_some()) {
                    return Some(found);
                }
            }
            huge = end.next_multiple_of(HUGE_SIZE);
        }
        None
    }

    /// Makes sure that a large block at `addr` can be entered. Returns whether it can. A caller
    /// that then enters none calls `remove`.
    pub fn ensure_large(&self, addr: usize) -> bool {
        self.table(addr).is_some() || DIRECT_MAP.reserve(PageId::containing(addr))
    }

    /// Makes sure that pages and huge pages in `[addr, addr + bytes)` can be entered. Returns
    /// whether they can.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        if HARDENED && !ALLOCATION_BITMAP.ensure(addr, bytes) {
            return false;
        }
        let first = addr & !(HUGE_SIZE - 1);
        (first..addr + bytes).step_by(HUGE_SIZE).all(|at| {
            // Changes nothing. A read of a page that was never written to would map the page of
            // zeroes, only to have it replaced.
            if let Some(entry) = self.root.get(root_index(at)) {
                // Relaxed: the value is looked at below.
                entry.fetch_or(0, Ordering::Relaxed);
            }
            // The second leaf is another one where the huge page lies across a border.
            self.table_or_new(at).is_some() && self.leaf_or_new(at + HUGE_SIZE - 1).is_some()
        })
    }

    /// Enters a span: all of its pages if it is small, the first only if not. There are
    /// tables for them, or it is large and `ensure_large` made room for it.
    pub fn insert(&self, span: *mut Span, start: PageId, pages: Length, class: SizeClass) {
        if class == SizeClass::NONE {
            self.write_large(start, span);
            return;
        }
        for page in start.0..start.0 + pages.0 {
            self.write(PageId(page), span, class);
        }
    }

    /// Enters a span of a heap with a lifetime: all of its pages lead to it, and none has a class.
    pub fn insert_without_class(&self, span: *mut Span, start: PageId, pages: Length) {
        for page in start.0..start.0 + pages.0 {
            self.write(PageId(page), span, SizeClass::NONE);
        }
    }

    /// Removes what `insert` entered, or what `ensure_large` made room for.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn remove(&self, start: PageId, pages: Length, class: SizeClass) {
        if class == SizeClass::NONE {
            if let Some(table) = self.table(start.addr()) {
                // Release: pairs with the Acquire in `span`, as in `write`.
                table.spans[start.in_huge()].store(ptr::null_mut(), Ordering::Release);
            }
            if DIRECT_MAP.has(start) {
                DIRECT_MAP.remove(start);
            }
            return;
        }
        for page in start.0..start.0 + pages.0 {
            self.write(PageId(page), ptr::null_mut(), SizeClass::NONE);
        }
    }

    /// Removes the large span that begins at `start`. It can be entered again without memory.
    pub fn hide_large(&self, start: PageId) {
        if let Some(table) = self.table(start.addr()) {
            // Release: pairs with the Acquire in `span`, as in `write`.
            table.spans[start.in_huge()].store(ptr::null_mut(), Ordering::Release);
        }
        DIRECT_MAP.hide(start);
    }

    /// Enters a large span: in the table of its huge page if the heap owns that, or else in the map
    /// of direct blocks. The classes of its pages are 0, like those of all pages without a small
    /// span, so no page of a leaf is touched for it.
    fn write_large(&self, start: PageId, span: *mut Span) {
        debug_assert_eq!(self.class(start.addr()), SizeClass::NONE);
        match self.table(start.addr()) {
            // Release: pairs with the Acquire in `span`, so that the record's fields are visible.
            Some(table) => table.spans[start.in_huge()].store(span, Ordering::Release),
            None => {
                let entered = DIRECT_MAP.insert(start, span);
                debug_assert!(entered, "a block is entered for which there is no room");
            }
        }
    }

    fn write(&self, page: PageId, span: *mut Span, class: SizeClass) {
        let (first, last) = (page.addr(), page.addr() + PAGE_SIZE - 1);
        let (Some(leaf), Some(table)) = (self.leaf(first), self.table(first)) else {
            debug_assert!(false, "a page is entered or removed that has no table");
            return;
        };
        // Release: pairs with the Acquire in `span`, so that the record's fields are visible.
        table.spans[page.in_huge()].store(span, Ordering::Release);
        let byte = Self::byte_of(class);
        // Relaxed: a reader that owns a block of the span gets it after this; others may see either
        // value.
        leaf.classes[page.0 & (LEAF_PAGES - 1)].store(byte, Ordering::Relaxed);
        if root_index(last) != root_index(first) {
            // A page across a border: both leaves have its class. `ensure` made the second for
            // small spans; where there is none, all classes are 0.
            if let Some(leaf) = self.leaf(last) {
                leaf.classes[page.0 & (LEAF_PAGES - 1)].store(byte, Ordering::Relaxed);
            }
        }
    }

    /// How `class` is entered.
    fn byte_of(class: SizeClass) -> u8 {
        // Relaxed: the page heap's lock orders, under which spans are entered and this is changed.
        let mapped = match HAS_ALIASES.load(Ordering::Relaxed) {
            0 => MappedClass::first(class),
            _ => MappedClass::alias(class),
        };
        mapped.index() as u8
    }

    /// Enters classes by their aliases from now on, and changes those that are entered already, if
    /// there may be `any`. The caller holds the page heap's lock, so nobody enters spans meanwhile.
    pub fn use_class_aliases(&self, any: bool) {
        // Relaxed: the page heap's lock orders, as for the load in `byte_of`.
        HAS_ALIASES.store(1, Ordering::Relaxed);
        if !any {
            return;
        }
        for index in 0..ROOT_LEN {
            let Some(leaf) = self.leaf_at(index) else { continue };
            // A huge page across the border has its table in the leaf before, and classes in this
            // one, too.
            let across = (border(index) >> HUGE_SHIFT) & (LEAF_HUGE - 1);
            for huge in 0..LEAF_HUGE {
                // Without a table there are no classes. Relaxed: the pointer is not followed.
                if huge != across && leaf.tables[huge].load(Ordering::Relaxed).is_null() {
                    continue;
                }
                let first = huge * PAGES_PER_HUGE;
                for byte in &leaf.classes[first..first + PAGES_PER_HUGE] {
                    // SAFETY: only numbers and aliases of classes are ever stored. Relaxed, also
                    // below: a reader may see either number, which stand for the same class.
                    let mapped =
                        unsafe { MappedClass::from_byte_unchecked(byte.load(Ordering::Relaxed)) };
                    byte.store(Self::byte_of(mapped.class()), Ordering::Relaxed);
                }
            }
        }
    }

    /// The span entered for the page of `addr`, or null: for the first page of a large one, and for
    /// every page of a small one. Any address may be asked for.
    pub fn span(&self, addr: usize) -> *mut Span {
        let page = PageId::containing(addr);
        if let Some(table) = self.table(addr) {
            // Acquire: pairs with the Release in `write`.
            let span = table.spans[page.in_huge()].load(Ordering::Acquire);
            if !span.is_null() {
                return span;
            }
        }
        // A huge page that the heap owns in part may hold direct blocks that are older.
        DIRECT_MAP.span(page)
    }

    /// The same in a straight line, for huge pages of the page heap alone: null for blocks with
    /// mappings of their own. Heaps with lifetimes look up each block that they take back. `addr`
    /// may be any number; of those that are no addresses, a few lead to the span of another one.
    #[inline(always)]
    pub fn span_in_huge(&self, addr: usize) -> *mut Span {
        let huge = addr & !(HUGE_SIZE - 1);
        if cfg!(not(target_arch = "x86_64")) && huge >> ADDRESS_BITS != 0 {
            return ptr::null_mut();
        }
        // SAFETY: the index is below ROOT_LEN, as it comes from 16 bits. Acquire: pairs with the
        // Release in `leaf_or_new`; the leaf's zeroes are visible.
        let distance =
            unsafe { (*self.root.as_ptr().add(root_index(huge))).load(Ordering::Acquire) };
        let leaf = (self.zero_leaf.as_ptr() as usize).wrapping_add(distance) as *const Leaf;
        // SAFETY: zero leads to the zero leaf, which has the length of all leaves; anything else is
        // the distance to a mapped leaf, which is never unmapped. What it has is null or a table
        // that `table_or_new` entered, which is never freed. Acquire: pairs with the Release there;
        // the table's zeroes are visible.
        let table = unsafe {
            let entry = &(*leaf).tables[(huge >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
            entry.load(Ordering::Acquire).as_ref()
        };
        match table {
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
            // Relaxed: read and written under the page heap's lock.
            table.huge.store(huge, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "page_map_tests.rs"]
mod tests;
