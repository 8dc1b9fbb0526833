//! Freed blocks wait before they return to their magazine, in the hardened build. So memory is not
//! used again at once, and writes to it meanwhile are noticed.
//!
//! Blocks of up to 1 KiB wait per class, in two generations: the chain that `free` adds to, and the
//! one before it. When the younger is full, the older one has waited for as many frees as that
//! holds, and goes to the magazines as a whole. So a block in quarantine costs `free` no more than
//! a block in a magazine: it is linked once, and checked when it is handed out again. Bigger blocks
//! wait in a ring.
//!
//! The owner of the cache alone uses its quarantine, without a lock; `park` takes from it as it
//! takes from the magazines. The free slots of the younger generation are stored as a negative
//! number while blocks are cleared on `free`, and are 0 in placeholders: the hot path, which looks
//! at nothing else, takes both for full.
//!
//! [`NoQuarantine`] is the twin of all other builds. Both compile in every build.

use crate::central::chain::{Chain, FreeObject};
use crate::config::CLASS_COUNT;
use crate::page::size_class::SizeClass;
use crate::policy::Hardened;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use core::ptr;

/// Largest block that waits in a chain.
const CHAINED_BYTES: usize = 1024;
/// Classes of such blocks, and class 0.
const CHAINED: usize = match SizeClass::of(CHAINED_BYTES) {
    Some(class) => class.index() + 1,
    None => 0,
};
/// Most blocks of a generation.
const MOST: usize = 32;
/// Most bytes of a generation.
const GENERATION_BYTES: usize = 4096;
/// Blocks in the ring.
const BIG: usize = 8;
/// Where the class stands in a word of the ring, above the address.
const CLASS_SHIFT: u32 = 48;

/// What each cache has in this build.
pub type CacheQuarantine = Hardened<Quarantine, NoQuarantine>;

/// What a thread has in quarantine. Only the owner writes, and others read at a distance, so all
/// accesses are relaxed where no comment says otherwise (head of `cache`).
pub struct Quarantine {
    /// Blocks that the younger generation of each class has room for; none for bigger classes.
    free_slots: [AtomicU32; CLASS_COUNT],
    /// The younger generations.
    newer: [AtomicPtr<FreeObject>; CHAINED],
    /// The older ones.
    old: [AtomicPtr<FreeObject>; CHAINED],
    /// The last objects of the chains at `newer` and `old`: those that came first.
    tails: [[AtomicPtr<FreeObject>; CHAINED]; 2],
    /// The big blocks.
    ring: [AtomicUsize; BIG],
    /// Blocks that went into the ring so far.
    next: AtomicU32,
}

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl Quarantine {
    /// Nothing waits, and there is room for nothing.
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
        // SAFETY: a class's number is below CLASS_COUNT. Only this thread writes free slots, so its
        // own read need not be atomic; the compiler does not merge an atomic one with the
        // comparison.
        unsafe { *self.free_slots.get_unchecked(class.index()).as_ptr().cast::<i32>() > 0 }
    }

    /// Adds a block to the younger generation.
    ///
    /// # Safety
    /// There is room, and `block` is an object of `class` that the caller gives up.
    #[inline(always)]
    pub unsafe fn push(&self, class: SizeClass, block: *mut u8) {
        let block = block.cast::<FreeObject>();
        // SAFETY: the class has room (caller), which only chained ones have: below CHAINED.
        let (newer, room) = unsafe {
            (self.newer.get_unchecked(class.index()), self.free_slots.get_unchecked(class.index()))
        };
        // SAFETY: the caller gives up `block`, an object of `class`.
        unsafe { FreeObject::link(block, newer.load(Ordering::Relaxed)) };
        // Release: a forked child that finds the head must find the link, too (`PushTarget::push`).
        newer.store(block, Ordering::Release);
        room.store(room.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// As `push` where `has_room` said no: makes room first. Returns the generation that has to
    /// leave for that, if any: a chain and its last object.
    ///
    /// # Safety
    /// The class is a chained one. `block` is an object of it that the caller gives up. `hidden`
    /// says that the hot path is to see no room, and is the same in all calls.
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
            // For a moment the chain is nowhere, so that a forked child never finds it in two
            // places. Release: the child that finds the head finds the links.
            let full = newer.swap(ptr::null_mut(), Ordering::Relaxed);
            old.store(full, Ordering::Release);
            left = most;
        }
        room.store(left, Ordering::Relaxed);
        // SAFETY: there is room now, and the caller gives up `block`, an object of `class`.
        unsafe { self.push(class, block) };
        if hidden {
            room.store((left - 1).wrapping_neg(), Ordering::Relaxed);
        }
        done
    }

    /// Puts a big block into the ring. Returns the block that has waited longest, if the ring is
    /// full.
    pub fn replace_oldest(&self, class: SizeClass, block: *mut u8) -> Option<(SizeClass, *mut u8)> {
        let at = self.next.load(Ordering::Relaxed);
        self.next.store(at.wrapping_add(1), Ordering::Relaxed);
        let slot = &self.ring[at as usize % BIG];
        let waited = slot.load(Ordering::Relaxed);
        slot.store(block as usize | class.index() << CLASS_SHIFT, Ordering::Relaxed);
        unpack(waited)
    }

    /// Takes the chains of a class while the owner may be about to add one block, as `park` does
    /// with magazines that can at most be pushed to.
    pub fn steal(&self, class: SizeClass, mut take: impl FnMut(SizeClass, *mut FreeObject)) {
        if !Self::is_chained(class) {
            return;
        }
        for generation in [&self.old, &self.newer] {
            // Acquire: pairs with the Release of `push`, so that the links are there.
            let first = generation[class.index()].swap(ptr::null_mut(), Ordering::Acquire);
            if !first.is_null() {
                take(class, first);
            }
        }
    }

    /// Calls `visit` for each chain, which stays. For the owner.
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

    /// Repairs a class after `steal`. For the owner, with no operation under way. At most one block
    /// is there, and its link leads to what was taken.
    pub fn finish_steal(&self, class: SizeClass) {
        if Self::is_chained(class) {
            let block = self.newer[class.index()].load(Ordering::Relaxed);
            let mut left = 0;
            if !block.is_null() {
                // SAFETY: a block that this thread itself has pushed, and so has linked.
                unsafe { FreeObject::relink(block, ptr::null_mut()) };
                self.tails[0][class.index()].store(block, Ordering::Relaxed);
                left = most(class) - 1;
            }
            self.free_slots[class.index()].store(left, Ordering::Relaxed);
        }
    }

    /// Bytes in quarantine; a moment old for anybody but the owner.
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

    /// Takes a chain out: its class and its first object; `None` when none is left. For a caller
    /// that goes on until then.
    pub fn take(&self) -> Option<(SizeClass, *mut FreeObject)> {
        for class in SizeClass::all().take(CHAINED - 1) {
            for generation in [&self.old, &self.newer] {
                let head = &generation[class.index()];
                let first = head.load(Ordering::Relaxed);
                if !first.is_null() {
                    head.store(ptr::null_mut(), Ordering::Relaxed);
                    // The caller takes all, so nothing is left to count.
                    self.free_slots[class.index()].store(0, Ordering::Relaxed);
                    return Some((class, first));
                }
            }
        }
        self.take_big()
    }

    /// As `take`, for the ring. Anybody may call this: a block is in the ring or not.
    pub fn take_big(&self) -> Option<(SizeClass, *mut FreeObject)> {
        self.ring.iter().find_map(|slot| {
            let waited = slot.load(Ordering::Relaxed);
            slot.store(0, Ordering::Relaxed);
            unpack(waited).map(|(class, block)| (class, block.cast()))
        })
    }
}

/// Blocks of a generation of `class`.
fn most(class: SizeClass) -> u32 {
    (GENERATION_BYTES / class.size()).min(MOST) as u32
}

/// The block and its class in a word of the ring.
fn unpack(word: usize) -> Option<(SizeClass, *mut u8)> {
    // SAFETY: 0, or a word that `replace_oldest` made with the number of a class.
    let class = unsafe { SizeClass::from_index_unchecked((word >> CLASS_SHIFT) as u8) };
    (word != 0).then_some((class, (word & ((1 << CLASS_SHIFT) - 1)) as *mut u8))
}

const _: () = assert!(CHAINED > 1 && GENERATION_BYTES >= CHAINED_BYTES);

/// [`CacheQuarantine`] in all builds but the hardened one: nothing ever waits.
pub struct NoQuarantine;

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl NoQuarantine {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self
    }

    /// No class.
    pub fn is_chained(_: SizeClass) -> bool {
        false
    }

    /// There is room for nothing.
    pub fn has_room(&self, _: SizeClass) -> bool {
        false
    }

    /// Is never called: there is no room.
    ///
    /// # Safety
    /// None.
    pub unsafe fn push(&self, _: SizeClass, _: *mut u8) {}

    /// Is never called: no class is a chained one.
    ///
    /// # Safety
    /// None.
    pub unsafe fn push_slow(
        &self,
        _: SizeClass,
        _: *mut u8,
        _: bool,
    ) -> Option<(Chain, *mut FreeObject)> {
        None
    }

    /// Lets the block leave at once.
    pub fn replace_oldest(&self, class: SizeClass, block: *mut u8) -> Option<(SizeClass, *mut u8)> {
        Some((class, block))
    }

    /// Takes nothing.
    pub fn steal(&self, _: SizeClass, _: impl FnMut(SizeClass, *mut FreeObject)) {}

    /// Visits nothing.
    pub fn for_each(&self, _: impl FnMut(SizeClass, *mut FreeObject)) {}

    /// Has nothing to repair.
    pub fn finish_steal(&self, _: SizeClass) {}

    /// No bytes.
    pub fn bytes(&self) -> usize {
        0
    }

    /// Nothing is left.
    pub fn take(&self) -> Option<(SizeClass, *mut FreeObject)> {
        None
    }

    /// Nothing is left.
    pub fn take_big(&self) -> Option<(SizeClass, *mut FreeObject)> {
        None
    }
}
