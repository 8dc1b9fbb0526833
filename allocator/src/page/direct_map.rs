//! The direct map: from the first page of a block with a mapping of its own to the block's span.
//!
//! The page map has tables for the huge pages of the heap, which are never freed. Blocks with
//! mappings of their own come and go at ever other addresses, so what is known of them must go with
//! them. This map is a tree of nodes by the bits of the page's number. A node without entries
//! leaves the tree and is used again for another part of it. So there are never more nodes than the
//! most blocks at any one time needed, at most four for each.
//!
//! Writers hold the map's lock. Every thread may read, without it. A node that a reader has found
//! may become another part of the tree at any moment. So each node has a label, which says which
//! part of the tree it is and how often it was used. A reader loads the label before and after it
//! loads an entry. If both loads give the same label, and it is that of the reader's address, the
//! entry is that of the address. Otherwise nothing was at the address at some moment of the search.
//! Nodes are never used for anything else, and zeroed memory is no part of the tree.
//!
//! The path to a block's entry does not change while the block lives, so the owner of a block finds
//! it.
//!
//! States of an entry of the last level: null; reserved ([`RESERVED`]: nothing yet, but the nodes
//! are there); a span.

use crate::config::PAGE_SHIFT;
use crate::os::Lock;
use crate::page::metadata::{Kind, METADATA, Record};
use crate::page::span::Span;
use crate::page::units::{ADDRESS_BITS, PageId};
use crate::policy::HARDENED;
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr;

/// log2 of the entries of a node.
const NODE_SHIFT: u32 = 8;
const NODE_LEN: usize = 1 << NODE_SHIFT;
/// Levels of nodes below the root.
const LEVELS: u32 = 4;
/// Entries of the root: one for each value of the bits that no level below has.
const ROOT_LEN: usize = 1 << (ADDRESS_BITS - PAGE_SHIFT - LEVELS * NODE_SHIFT);
/// Unused nodes of hardened builds, see `has_spare`.
const SPARE: usize = 2 * LEVELS as usize;
/// An entry that is reserved for a block to come.
const RESERVED: usize = 1;

/// Bits of a label that say which part of the tree a node is. The others count.
const PART_BITS: u32 = ADDRESS_BITS - PAGE_SHIFT - NODE_SHIFT + 3;
const _: () = assert!(PART_BITS <= 32, "a label counts far enough");

/// One node, a little over 2 KiB.
#[repr(C)]
struct Node {
    /// Which part of the tree it is, see `part`; and how often it was used, above `PART_BITS`. The
    /// holder of the lock writes it.
    label: AtomicUsize,
    /// Entries that are not null. Guarded by the lock.
    used: usize,
    /// The next unused node. Guarded by the lock.
    next: *mut Node,
    /// Addresses of nodes of the next level, or what the last level holds.
    entries: [AtomicUsize; NODE_LEN],
}

impl Record for Node {
    const KIND: Kind = Kind::PageMap;
}

/// The nodes that are in no tree.
struct Unused {
    first: *mut Node,
}

// SAFETY: the lock guards the list of nodes, which are never freed.
unsafe impl Send for Unused {}

/// The map. One exists, [`DIRECT_MAP`].
pub struct DirectMap {
    root: [AtomicUsize; ROOT_LEN],
    unused: Lock<Unused>,
}

/// The map of the process.
pub static DIRECT_MAP: DirectMap = DirectMap::new();

/// The index of `page` in a node of level `level`; the last level is 0.
const fn index(page: PageId, level: u32) -> usize {
    page.0 >> (level * NODE_SHIFT) & (NODE_LEN - 1)
}

/// What a label says of the node of level `level` that leads to `page`; never 0.
const fn part(page: PageId, level: u32) -> usize {
    (page.0 >> ((level + 1) * NODE_SHIFT)) << 3 | (level as usize + 1)
}

impl DirectMap {
    const fn new() -> Self {
        Self {
            root: [const { AtomicUsize::new(0) }; ROOT_LEN],
            unused: Lock::new(Rank::DirectMap, Unused { first: ptr::null_mut() }),
        }
    }

    fn root_entry(&self, page: PageId) -> Option<&AtomicUsize> {
        self.root.get(page.0 >> (LEVELS * NODE_SHIFT))
    }

    /// The span entered for `page`, or null. Any page may be asked for.
    pub fn span(&self, page: PageId) -> *mut Span {
        match self.value(page) {
            RESERVED => ptr::null_mut(),
            span => span as *mut Span,
        }
    }

    /// The entry of `page` as it is; 0 if there is no way to it.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn value(&self, page: PageId) -> usize {
        let Some(root) = self.root_entry(page) else { return 0 };
        // Acquire, here and below: pairs with the Release in `enter` and `path`, so that what the
        // entry leads to is complete.
        let mut entry = root.load(Ordering::Acquire);
        for level in (0..LEVELS).rev() {
            if entry == 0 {
                return 0;
            }
            // SAFETY: the entry was read from a node while that was the part of the tree above this
            // level, or from the root: so it is the address of a node, and these are never freed.
            let node = unsafe { &*(entry as *const Node) };
            // Acquire: pairs with the Release in `path`. A thread that sees a label sees no older
            // entry.
            let label = node.label.load(Ordering::Acquire);
            if label & ((1 << PART_BITS) - 1) != part(page, level) {
                return 0;
            }
            entry = node.entries[index(page, level)].load(Ordering::Acquire);
            // Relaxed: it comes after the load above, an Acquire. If that load saw an entry that
            // was stored under a later label, it paired with the Release of that store, which came
            // after the store of the label. So this load sees the later label, too.
            if node.label.load(Ordering::Relaxed) != label {
                return 0;
            }
        }
        entry
    }

    /// Whether anything is entered or reserved for `page`. The caller makes sure that no other
    /// thread changes that.
    pub fn has(&self, page: PageId) -> bool {
        self.value(page) != 0
    }

    /// Makes sure that `page` can be entered. Returns whether it can. The place stays reserved
    /// until `remove`.
    pub fn reserve(&self, page: PageId) -> bool {
        if HARDENED && !self.has_spare() {
            return false;
        }
        self.has(page) || self.enter(page, RESERVED)
    }

    /// Makes sure that there are nodes for another path, and for that of another thread. A block
    /// with a guard page before it begins at another page than its mapping, and must be entered
    /// without memory. Returns whether there are.
    fn has_spare(&self) -> bool {
        let mut unused = self.unused.lock();
        let mut count = 0;
        let mut node = unused.first;
        while !node.is_null() && count < SPARE {
            count += 1;
            // SAFETY: an unused node, which the lock guards.
            node = unsafe { (*node).next };
        }
        for _ in count..SPARE {
            let Some(fresh) = METADATA.allocate::<Node>() else { return false };
            let fresh = fresh.as_ptr();
            // SAFETY: fresh memory, all zero, for one node.
            unsafe { (*fresh).next = unused.first };
            unused.first = fresh;
        }
        true
    }

    /// Enters the span that begins at `page`, a place of which is reserved or has a span. Returns
    /// whether it could, which is so for such pages.
    pub fn insert(&self, page: PageId, span: *mut Span) -> bool {
        self.enter(page, span as usize)
    }

    /// Removes the span of `page`, if there is one, but leaves the place reserved.
    pub fn hide(&self, page: PageId) {
        if self.has(page) {
            self.enter(page, RESERVED);
        }
    }

    fn enter(&self, page: PageId, value: usize) -> bool {
        let mut unused = self.unused.lock();
        let Some(path) = self.path(page, &mut unused) else { return false };
        // SAFETY: nodes of the tree, which the holder of the lock may change.
        unsafe {
            let node = path[0];
            let entry = &(*node).entries[index(page, 0)];
            // Relaxed: the lock orders.
            if entry.load(Ordering::Relaxed) == 0 {
                (*node).used += 1;
            }
            // Release: pairs with the Acquire in `value`; the span's record is complete.
            entry.store(value, Ordering::Release);
        }
        true
    }

    /// The nodes that lead to `page`, the last level first. Makes those that are missing. `None`
    /// without memory, and beyond the address space.
    fn path(&self, page: PageId, unused: &mut Unused) -> Option<[*mut Node; LEVELS as usize]> {
        let mut entry = self.root_entry(page)?;
        let mut above: *mut Node = ptr::null_mut();
        let mut path = [ptr::null_mut(); LEVELS as usize];
        for level in (0..LEVELS).rev() {
            // Relaxed: only the holder of the lock writes.
            let mut node = entry.load(Ordering::Relaxed) as *mut Node;
            if node.is_null() {
                let Some(fresh) = Self::take_unused(unused) else {
                    self.prune(page, &path, level + 1, unused);
                    return None;
                };
                node = fresh;
                // SAFETY: an unused node, which belongs to the holder of the lock.
                unsafe {
                    let count = (*node).label.load(Ordering::Relaxed) >> PART_BITS;
                    let label = (count + 1) << PART_BITS | part(page, level);
                    // Release: pairs with the Acquire in `value`. All entries are null by now.
                    (*node).label.store(label, Ordering::Release);
                    if !above.is_null() {
                        (*above).used += 1;
                    }
                }
                // Release: pairs with the Acquire in `value`; the label is there.
                entry.store(node as usize, Ordering::Release);
            }
            path[level as usize] = node;
            above = node;
            // SAFETY: a node of the tree; they are never freed.
            entry = unsafe { &(*node).entries[index(page, level)] };
        }
        Some(path)
    }

    fn take_unused(unused: &mut Unused) -> Option<*mut Node> {
        let node = unused.first;
        if node.is_null() {
            return METADATA.allocate::<Node>().map(ptr::NonNull::as_ptr);
        }
        // SAFETY: an unused node.
        unused.first = unsafe { (*node).next };
        Some(node)
    }

    /// Removes what is entered or reserved for `page`, and the nodes that are empty then.
    pub fn remove(&self, page: PageId) {
        let mut unused = self.unused.lock();
        let Some(root) = self.root_entry(page) else { return };
        let mut path = [ptr::null_mut(); LEVELS as usize];
        // Relaxed, here and below: only the holder of the lock writes.
        let mut entry = root.load(Ordering::Relaxed);
        for level in (0..LEVELS).rev() {
            if entry == 0 {
                return;
            }
            let node = entry as *mut Node;
            path[level as usize] = node;
            // SAFETY: a node of the tree.
            entry = unsafe { (*node).entries[index(page, level)].load(Ordering::Relaxed) };
        }
        if entry == 0 {
            return;
        }
        // SAFETY: a node of the tree, which the holder of the lock may change.
        unsafe {
            let node = path[0];
            // Release: a reader that sees a later label of the node sees no entry from before it.
            (*node).entries[index(page, 0)].store(0, Ordering::Release);
            (*node).used -= 1;
        }
        self.prune(page, &path, 0, &mut unused);
    }

    /// Removes the empty nodes of a path, from level `from` upwards.
    fn prune(
        &self,
        page: PageId,
        path: &[*mut Node; LEVELS as usize],
        from: u32,
        unused: &mut Unused,
    ) {
        for level in from..LEVELS {
            let node = path[level as usize];
            // SAFETY: nodes of the path, which the holder of the lock may change.
            unsafe {
                if (*node).used > 0 {
                    return;
                }
                match path.get(level as usize + 1) {
                    Some(&above) => {
                        // Release: a reader that sees a later label of the node sees no entry from
                        // before it.
                        (*above).entries[index(page, level + 1)].store(0, Ordering::Release);
                        (*above).used -= 1;
                    }
                    None => {
                        if let Some(root) = self.root_entry(page) {
                            // Release: as for entries of nodes, before a later label of the node.
                            root.store(0, Ordering::Release);
                        }
                    }
                }
                (*node).next = unused.first;
            }
            unused.first = node;
        }
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &dyn ForkLock {
        &self.unused
    }
}

#[cfg(test)]
#[path = "direct_map_tests.rs"]
mod tests;
