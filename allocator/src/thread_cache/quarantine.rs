//! Hardened builds: freed blocks wait before they go to their magazine, so that memory is not used again at
//! once, and what is written to it meanwhile is noticed.
//!
//! Blocks of up to 1 KiB wait per class, in two generations: the chain that `free` adds to, and the one before.
//! When the younger is full, the older one has waited for as many frees as that holds, and goes to the
//! magazines as a whole. So a block in quarantine costs `free` no more than a block in a magazine would: it
//! is linked once, and looked at when it is handed out again. Bigger blocks wait in a ring.
//!
//! The owner's only, like the magazines, and parked with them. Room in the younger generation stands
//! as a negative number while blocks are cleared on `free`, and is 0 in placeholders: both have no room for
//! the hot path, which looks at nothing else.

use crate::central::chain::{Chain, FreeObject};
use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use core::ptr;

/// Largest block that waits in a chain.
const CHAINED_BYTES: usize = 1024;
/// Classes of such blocks, and class 0.
const CHAINED: usize = match SizeClass::of(CHAINED_BYTES) {
    Some(class) => class.index() + 1,
    None => 0,
};
/// Most blocks of a generation, and bytes that one has for bigger ones.
const MOST: usize = 32;
const GENERATION_BYTES: usize = 4096;
/// Blocks in the ring.
const BIG: usize = 8;
/// Where the class stands in a word beside the address.
const CLASS_SHIFT: u32 = 48;

/// What a thread has in quarantine. All accesses are relaxed but where the comment says so: see `cache`.
pub struct Quarantine {
    /// Blocks that the younger generation of each class has room for; never any for bigger classes.
    free_slots: [AtomicU32; CLASS_COUNT],
    newer: [AtomicPtr<FreeObject>; CHAINED],
    old: [AtomicPtr<FreeObject>; CHAINED],
    /// The last objects of the chains at `newer` and `old`: those that came first.
    tails: [[AtomicPtr<FreeObject>; CHAINED]; 2],
    /// The big blocks.
    ring: [AtomicUsize; BIG],
    next: AtomicU32,
}

impl Quarantine {
    /// Nothing waits, and nothing can.
    pub const fn new() -> Self {
        Self {
            free_slots: [const { AtomicU32::new(0) }; CLASS_COUNT],
            newer: [const { AtomicPtr::new(ptr::null_mut()) }; CHAINED],
            old: [const { AtomicPtr::new(ptr::null_mut()) }; CHAINED],
            tails: [const { [const { AtomicPtr::new(ptr::null_mut()) }; CHAINED] }; 2],
            ring: [const { AtomicUsize::new(0) }; BIG],
            next: AtomicU32::new(0),
        }
    }

    /// Whether blocks of `class` wait in chains.
    #[inline]
    pub fn is_chained(class: SizeClass) -> bool {
        (1..CHAINED).contains(&class.index())
    }

    /// Whether `push` may be called at once.
    #[inline(always)]
    pub fn has_room(&self, class: SizeClass) -> bool {
        // SAFETY: a class's number is below CLASS_COUNT. Only this thread writes free slots, so that its own read
        // need not be an atomic one, which the compiler does not merge with the comparison.
        unsafe { *self.free_slots.get_unchecked(class.index()).as_ptr().cast::<i32>() > 0 }
    }

    /// Lets a block wait.
    ///
    /// # Safety
    /// There is room, and `block` is an object of `class` that the caller gives up.
    #[inline(always)]
    pub unsafe fn push(&self, class: SizeClass, block: *mut u8) {
        let block = block.cast::<FreeObject>();
        // SAFETY: classes that have room are chained ones.
        let (newer, room) = unsafe {
            (self.newer.get_unchecked(class.index()), self.free_slots.get_unchecked(class.index()))
        };
        // SAFETY: by the caller's word.
        unsafe { FreeObject::link(block, newer.load(Ordering::Relaxed)) };
        // Release: as in `ThreadCache::push`, for the sake of a forked child.
        newer.store(block, Ordering::Release);
        room.store(room.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// As `push` where `has_room` said no: makes room first. Returns the generation that has waited long enough,
    /// if one had to leave for it: a chain and its last object.
    ///
    /// # Safety
    /// The class is a chained one; `block` is an object of it that the caller gives up. `hidden` says that the
    /// hot path is to see no room, and is the same in all calls.
    pub unsafe fn push_slow(
        &self,
        class: SizeClass,
        block: *mut u8,
        hidden: bool,
    ) -> Option<(Chain, *mut FreeObject)> {
        let (newer, old) = (&self.newer[class.index()], &self.old[class.index()]);
        let room = &self.free_slots[class.index()];
        let most = most(class);
        let mut left = (room.load(Ordering::Relaxed) as i32).unsigned_abs();
        let mut done = None;
        if left == 0 {
            let aged = old.swap(ptr::null_mut(), Ordering::Relaxed);
            let [young_tail, old_tail] = &self.tails;
            let (young_tail, old_tail) = (&young_tail[class.index()], &old_tail[class.index()]);
            let tail = old_tail.load(Ordering::Relaxed);
            let aged = Chain { head: aged, count: most as usize };
            done = (!aged.head.is_null()).then_some((aged, tail));
            old_tail.store(young_tail.load(Ordering::Relaxed), Ordering::Relaxed);
            young_tail.store(block.cast(), Ordering::Relaxed);
            // Nowhere for a moment rather than in two places, as seen by a forked child.
            let full = newer.swap(ptr::null_mut(), Ordering::Relaxed);
            old.store(full, Ordering::Release);
            left = most;
        }
        room.store(left, Ordering::Relaxed);
        // SAFETY: handed through.
        unsafe { self.push(class, block) };
        if hidden {
            room.store((left - 1).wrapping_neg(), Ordering::Relaxed);
        }
        done
    }

    /// Lets a big block wait; returns the one that has waited longest in its stead, if the ring is full.
    pub fn exchange(&self, class: SizeClass, block: *mut u8) -> Option<(SizeClass, *mut u8)> {
        let at = self.next.load(Ordering::Relaxed);
        self.next.store(at.wrapping_add(1), Ordering::Relaxed);
        let slot = &self.ring[at as usize % BIG];
        let waited = slot.load(Ordering::Relaxed);
        slot.store(block as usize | class.index() << CLASS_SHIFT, Ordering::Relaxed);
        unpack(waited)
    }

    /// Takes the chains of a class from under the owner, who may be about to put one block in: as `park` does with
    /// magazines that can at most be pushed to.
    pub fn steal(&self, class: SizeClass, mut give: impl FnMut(SizeClass, *mut FreeObject)) {
        if !Self::is_chained(class) {
            return;
        }
        for generation in [&self.old, &self.newer] {
            // Acquire: pairs with the Release of `push`, so that the links are there.
            let first = generation[class.index()].swap(ptr::null_mut(), Ordering::Acquire);
            if !first.is_null() {
                give(class, first);
            }
        }
    }

    /// Calls `visit` for each chain of blocks, which stays. For the owner.
    pub fn for_each(&self, mut visit: impl FnMut(SizeClass, *mut FreeObject)) {
        for class in SizeClass::all().take(CHAINED - 1) {
            for generation in [&self.old, &self.newer] {
                let first = generation[class.index()].load(Ordering::Relaxed);
                if !first.is_null() {
                    visit(class, first);
                }
            }
        }
        for slot in &self.ring {
            if let Some((class, block)) = unpack(slot.load(Ordering::Relaxed)) {
                visit(class, block.cast());
            }
        }
    }

    /// Brings a class in order that `steal` was applied to. For the owner, with no operation under way. What is there is
    /// one block, whose link leads to what was taken.
    pub fn settle(&self, class: SizeClass) {
        if Self::is_chained(class) {
            let block = self.newer[class.index()].load(Ordering::Relaxed);
            let mut left = 0;
            if !block.is_null() {
                // SAFETY: a block that this thread has put here.
                unsafe { FreeObject::relink(block, ptr::null_mut()) };
                self.tails[0][class.index()].store(block, Ordering::Relaxed);
                left = most(class) - 1;
            }
            self.free_slots[class.index()].store(left, Ordering::Relaxed);
        }
    }

    /// Bytes that wait; for others than the owner a moment old.
    pub fn bytes(&self) -> usize {
        let chained = SizeClass::all().take(CHAINED - 1).map(|class| {
            let at = class.index();
            let empty = |head: &AtomicPtr<FreeObject>| head.load(Ordering::Relaxed).is_null();
            let left = (self.free_slots[at].load(Ordering::Relaxed) as i32).unsigned_abs();
            let newer = if empty(&self.newer[at]) { 0 } else { most(class).saturating_sub(left) };
            let old = if empty(&self.old[at]) { 0 } else { most(class) };
            (newer + old) as usize * class.size()
        });
        let big = self.ring.iter().filter_map(|slot| unpack(slot.load(Ordering::Relaxed)));
        chained.sum::<usize>() + big.map(|(class, _)| class.size()).sum::<usize>()
    }

    /// Takes a chain of blocks out, until there is none left: its class and its first object. For who takes all.
    pub fn take(&self) -> Option<(SizeClass, *mut FreeObject)> {
        for class in SizeClass::all().take(CHAINED - 1) {
            for generation in [&self.old, &self.newer] {
                let head = &generation[class.index()];
                let first = head.load(Ordering::Relaxed);
                if !first.is_null() {
                    head.store(ptr::null_mut(), Ordering::Relaxed);
                    // Nothing is left to count when all are taken.
                    self.free_slots[class.index()].store(0, Ordering::Relaxed);
                    return Some((class, first));
                }
            }
        }
        self.take_big()
    }

    /// As `take`, for the ring, also from under the owner: a block is in it or not.
    pub fn take_big(&self) -> Option<(SizeClass, *mut FreeObject)> {
        self.ring.iter().find_map(|slot| {
            let waited = slot.load(Ordering::Relaxed);
            slot.store(0, Ordering::Relaxed);
            unpack(waited).map(|(class, block)| (class, block.cast()))
        })
    }
}

/// Blocks of a generation.
fn most(class: SizeClass) -> u32 {
    (GENERATION_BYTES / class.size()).min(MOST) as u32
}

fn unpack(word: usize) -> Option<(SizeClass, *mut u8)> {
    // SAFETY: the number of a class, as it was put there.
    let class = unsafe { SizeClass::from_index_unchecked((word >> CLASS_SHIFT) as u8) };
    (word != 0).then_some((class, (word & ((1 << CLASS_SHIFT) - 1)) as *mut u8))
}

const _: () = assert!(CHAINED > 1 && GENERATION_BYTES >= CHAINED_BYTES);
