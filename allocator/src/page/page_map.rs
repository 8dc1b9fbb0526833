//! From an address to its size class (one byte, hot) and its span (a pointer, slow paths only).
//!
//! The class bytes have two levels: a root of 65,536 entries, and leaves of half a MiB address space each, whose
//! untouched parts are not resident. The index within a leaf is the low half of the address, shifted.
//!
//! The root's index is the upper half of a product with the whole address, so that no 64-bit number leads out of the
//! table: programs free what was never a pointer, and that is to end in our line on stderr and not in a fault. On x86-64
//! the factor is no power of two ([`SPREAD`]). The bits beyond the address space count as well then: a pointer to a
//! block with something in its upper bits leads to another entry, most likely an empty one, where a plain shift would
//! drop those bits and take the pointer for the block's. (It costs as many instructions as two shifts.) What that makes of
//! leaves: each covers 2.65 GB, less than 4 GiB, and ends within a page. The classes of such a page are in both leaves.
//!
//! What slow paths look up has a third level, tables of 2 KiB for each huge page that is the heap's: eight times the
//! class bytes would be 4 MiB of a leaf, which a process under a limit on its addresses would rather have itself.
//!
//! Leaves and tables stay, as the heap's huge pages do: 2.3 KiB for each of them, a tenth of a percent. Blocks with
//! mappings of their own, which come and go anywhere, have neither; they are in a map that shrinks (`direct_map`).
//!
//! A root entry holds the distance from the map to the leaf, so that an empty entry, zero, leads to a leaf
//! of zeros that is part of the map. The lookup needs no null check: a foreign address reads class 0, and
//! class 0 takes the slow path that tells large blocks from foreign pointers.
//!
//! Writers: the page heap, under its lock, for spans it hands out or takes back. Readers: everyone,
//! without a lock. A thread that legitimately holds a pointer into a span got it after the entry was
//! written, through whatever synchronisation handed it over; other readers may see older entries.

use crate::config::{HUGE_SHIFT, HUGE_SIZE, PAGE_SHIFT, PAGE_SIZE, PAGES_PER_HUGE};
use crate::page::direct_map::DIRECT_MAP;
use crate::page::metadata::{self, Kind, METADATA, Record};
use crate::page::size_class::{MappedClass, SizeClass};
use crate::page::span::Span;
use crate::page::units::{ADDRESS_BITS, Length, PageId};
use crate::sync::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use core::ffi::c_void;
use core::ptr;

/// log2 of the bytes that a leaf has room for.
const LEAF_SHIFT: u32 = 32;
pub(super) const ROOT_LEN: usize = 1 << 16;
const LEAF_PAGES: usize = 1 << (LEAF_SHIFT - PAGE_SHIFT);
const LEAF_HUGE: usize = 1 << (LEAF_SHIFT - HUGE_SHIFT);

/// The factor: an address times this, divided by 2^48, is its index in the root. What it is beyond 2^16, odd, is how
/// many entries further each step of the upper 16 bits leads.
#[cfg(target_arch = "x86_64")]
const SPREAD: usize = 0x1_9E37;
/// The factor: with this one the index is the bits from 32 to 47.
#[cfg(not(target_arch = "x86_64"))]
const SPREAD: usize = 1 << 16;

const _: () = {
    assert!(SPREAD >= 1 << 16, "no two pages of a leaf have the same low half");
    assert!(SPREAD >> (48 - ADDRESS_BITS) <= ROOT_LEN, "no two leaves have the same entry");
};

/// The index of `addr` in the root.
#[inline(always)]
pub(super) const fn root_index(addr: usize) -> usize {
    addr.wrapping_mul(SPREAD) >> 48
}

/// The first address with the index `index`.
pub(super) const fn border(index: usize) -> usize {
    ((index as u128) << 48).div_ceil(SPREAD as u128) as usize
}

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
}

/// The map of the process: 1 MiB of zeros in `.bss`, of which only what is used becomes resident.
pub static PAGE_MAP: PageMap = PageMap {
    root: [const { AtomicUsize::new(0) }; ROOT_LEN],
    zero_leaf: [const { AtomicU8::new(0) }; LEAF_PAGES],
};

/// Whether classes are entered by their class aliases.
static HAS_ALIASES: AtomicU8 = AtomicU8::new(0);

impl PageMap {
    /// The class of the small span that holds `addr`; `NONE` for large, foreign and null.
    #[inline(always)]
    pub fn class(&self, addr: usize) -> SizeClass {
        self.mapped(addr).class()
    }

    /// The same as it is entered. Any number may be asked for. Of those that are no addresses, a few look like a block's
    /// whose entry in the root is another's: one in 65,536 for each leaf that there is.
    #[inline(always)]
    pub fn mapped(&self, addr: usize) -> MappedClass {
        if cfg!(not(target_arch = "x86_64")) && addr >> ADDRESS_BITS != 0 {
            return MappedClass::first(SizeClass::NONE);
        }
        // SAFETY: the index is below ROOT_LEN, as it comes from 16 bits. Relaxed: see the module's comment on readers.
        let distance =
            unsafe { (*self.root.as_ptr().add(root_index(addr))).load(Ordering::Relaxed) };
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
        // Release: pairs with the Acquire in `leaf_at`. The map has one writer at a time, the holder of the
        // page heap's lock, except for who needs a table for a fence, and in tests with several heaps; the
        // exchange makes those safe too. Relaxed on failure: `leaf` looks anew.
        let _ = entry.compare_exchange(0, distance, Ordering::Release, Ordering::Relaxed);
        self.leaf(addr)
    }

    /// The table for `addr`, if there is one: in the leaf of its huge page's first byte.
    fn table(&self, addr: usize) -> Option<&Table> {
        let huge = addr & !(HUGE_SIZE - 1);
        let entry = &self.leaf(huge)?.tables[(huge >> HUGE_SHIFT) & (LEAF_HUGE - 1)];
        // SAFETY: null, or a table that `table_or_new` entered, which is never freed. Acquire: pairs with
        // the Release there; the table's zeroes are visible.
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
        // Release: pairs with the Acquire in `table`. An exchange, and Relaxed on failure: as for leaves.
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

    /// Makes sure that a large block at `addr` can be entered. Returns whether. Who does not enter one calls `remove`.
    pub fn ensure_large(&self, addr: usize) -> bool {
        self.table(addr).is_some() || DIRECT_MAP.reserve(PageId::containing(addr))
    }

    /// Makes sure that pages and huge pages in `[addr, addr + bytes)` can be entered. Returns whether.
    pub fn ensure(&self, addr: usize, bytes: usize) -> bool {
        #[cfg(feature = "hardened")]
        if !super::allocation_bitmap::ALLOCATION_BITMAP.ensure(addr, bytes) {
            return false;
        }
        let first = addr & !(HUGE_SIZE - 1);
        (first..addr + bytes).step_by(HUGE_SIZE).all(|at| {
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

    /// Removes what `insert` entered, or what `ensure_large` made room for.
    pub fn remove(&self, start: PageId, pages: Length, class: SizeClass) {
        if class == SizeClass::NONE {
            if let Some(table) = self.table(start.addr()) {
                // Release: as in `write`.
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

    /// Takes out the large span that begins at `start`, which can be entered again without memory.
    #[cfg(feature = "hardened")]
    pub fn hide_large(&self, start: PageId) {
        if let Some(table) = self.table(start.addr()) {
            // Release: as in `write`.
            table.spans[start.in_huge()].store(ptr::null_mut(), Ordering::Release);
        }
        DIRECT_MAP.hide(start);
    }

    /// Enters a large span: in the table of its huge page if that is the heap's, or else where blocks with mappings of
    /// their own are. The classes of its pages are 0, as those of all pages that no small span has, so that no page of
    /// a leaf is touched for it.
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
        // Relaxed: see the module's comment on readers.
        leaf.classes[page.0 & (LEAF_PAGES - 1)].store(byte, Ordering::Relaxed);
        if root_index(last) != root_index(first) {
            // A page across a border: both leaves have its class. The second is there for small spans (`ensure`); where
            // it is not, all classes are 0.
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

    /// Enters classes by their class aliases from now on, and those that are entered already, if there may be `any`. For
    /// who keeps others from entering spans meanwhile.
    pub fn use_class_aliases(&self, any: bool) {
        HAS_ALIASES.store(1, Ordering::Relaxed);
        if !any {
            return;
        }
        for index in 0..ROOT_LEN {
            let Some(leaf) = self.leaf_at(index) else { continue };
            // A huge page across the border has its table in the leaf before, and classes in this one, too.
            let across = (border(index) >> HUGE_SHIFT) & (LEAF_HUGE - 1);
            for huge in 0..LEAF_HUGE {
                // What no table was made for has no classes. Relaxed: only whether there is one.
                if huge != across && leaf.tables[huge].load(Ordering::Relaxed).is_null() {
                    continue;
                }
                let first = huge * PAGES_PER_HUGE;
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
        let page = PageId::containing(addr);
        if let Some(table) = self.table(addr) {
            // Acquire: pairs with the Release in `write`.
            let span = table.spans[page.in_huge()].load(Ordering::Acquire);
            if !span.is_null() {
                return span;
            }
        }
        // A huge page of which a part is the heap's may hold blocks that were there before.
        DIRECT_MAP.span(page)
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
            assert_eq!(PAGE_MAP.class(addr), SizeClass::NONE);
            assert!(PAGE_MAP.span(addr).is_null());
        }
        assert!(PAGE_MAP.span(usize::MAX).is_null(), "beyond the address space");
    }

    #[test]
    fn a_small_span_is_found_from_each_of_its_pages_until_removed_also_across_leaves() {
        // A range across a leaf border that nothing on Linux is mapped at.
        let start = PageId::containing(border(0xA000) - 3 * 8192);
        let class = SizeClass::of(4000).unwrap();
        assert!(PAGE_MAP.ensure(start.addr(), 8 * 8192));
        let mut span = Span::new(start, Length(8), SpanState::Small, class);
        PAGE_MAP.insert(&raw mut span, start, Length(8), class);
        for page in 0..8 {
            for offset in [0, 77, PAGE_SIZE - 1] {
                let addr = start.plus(page).addr() + offset;
                assert_eq!(PAGE_MAP.class(addr), class);
                assert_eq!(PAGE_MAP.span(addr), &raw mut span);
            }
        }
        PAGE_MAP.remove(start, Length(8), class);
        for page in 0..8 {
            assert!(PAGE_MAP.span(start.plus(page).addr()).is_null());
            assert_eq!(PAGE_MAP.class(start.plus(page).addr()), SizeClass::NONE);
            assert_eq!(PAGE_MAP.class(start.plus(page).addr() + PAGE_SIZE - 1), SizeClass::NONE);
        }
    }

    /// Whatever is in its upper bits, a block's address is not taken for the block's then.
    #[test]
    fn upper_bits_lead_away_from_a_block() {
        let start = PageId::containing(border(0xA100) + HUGE_SIZE);
        let class = SizeClass::of(64).unwrap();
        assert!(PAGE_MAP.ensure(start.addr(), PAGE_SIZE));
        let mut span = Span::new(start, Length(1), SpanState::Small, class);
        PAGE_MAP.insert(&raw mut span, start, Length(1), class);
        let upper = (ADDRESS_BITS..64).map(|bit| 1 << bit).chain((1..1 << 16).map(|top| top << 48));
        for bits in upper {
            let addr = start.addr() | bits;
            assert_eq!(PAGE_MAP.class(addr), SizeClass::NONE, "{addr:#x}");
            assert!(PAGE_MAP.span(addr).is_null(), "{addr:#x}");
            assert!(!PAGE_MAP.ensure_large(addr), "{addr:#x}");
        }
        PAGE_MAP.remove(start, Length(1), class);
    }

    /// The borders of leaves are where the index changes, and the highest address has one of its own.
    #[test]
    fn each_address_has_one_leaf() {
        let last = root_index((1 << ADDRESS_BITS) - 1);
        assert!(last < ROOT_LEN);
        for index in 1..=last {
            let first = border(index);
            assert_eq!((root_index(first - 1), root_index(first)), (index - 1, index));
            assert!(first - border(index - 1) <= 1 << LEAF_SHIFT);
        }
    }

    /// Every page of a part of the address space that nothing is mapped at, 5 huge pages round a leaf's border.
    const AREA: usize = (border(0xA001) & !(HUGE_SIZE - 1)) - 2 * HUGE_SIZE;
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
                prop_assert_eq!(PAGE_MAP.class(page.addr()), class);
                prop_assert_eq!(PAGE_MAP.class(page.addr() + PAGE_SIZE - 1), class);
                prop_assert_eq!(PAGE_MAP.span(page.addr() + 4095), expected);
            }
            for span in spans {
                PAGE_MAP.remove(span.start, span.pages, span.class);
            }
        }
    }
}
