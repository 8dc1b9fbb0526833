//! How the program uses its zeroed blocks, and so which way to zero the next one is worth it
//! (`zeroing`).
//!
//! It is seen by probes, for blocks of about the same length. A probe is a block that was zeroed by
//! giving its memory back. When it is freed, a few samples of its pages say how much of it was
//! touched. While that is little, every block is zeroed so. While it is not, blocks are written to,
//! and probes become rare: they cost a program that uses its blocks whole next to nothing.
//!
//! Nothing here is guarded by a lock. What threads do at the same moment may count once.

use crate::sync::{AtomicUsize, Ordering};

/// Shorter blocks are always written to.
const LEAST: usize = 64 << 10;
/// Kinds of blocks, each twice as long as the one before.
const KINDS: usize = 11;
/// Zeroed blocks from one probe to the next, while they are used sparsely, or while it is not known
/// how.
const DISTANCE: usize = 16;
/// The most, while they are not.
const DISTANCE_MOST: usize = 1024;

/// What is known of the zeroed blocks of all kinds.
pub(super) struct ZeroedUse([Kind; KINDS]);

/// What is known of those of one kind.
///
/// Relaxed throughout: these words decide how a block is zeroed, and nothing is reached by them.
pub(super) struct Kind {
    /// Address of the probe; 0: none.
    probe: AtomicUsize,
    /// Zeroed blocks before the next probe.
    left: AtomicUsize,
    /// How many those will be. 0: nothing is known, or blocks are used sparsely.
    distance: AtomicUsize,
    /// 1: they are used sparsely.
    is_sparse: AtomicUsize,
}

impl ZeroedUse {
    pub const fn new() -> Self {
        Self([const { Kind::new() }; KINDS])
    }

    /// `None` for blocks that are always written to.
    pub fn kind(&self, bytes: usize) -> Option<&Kind> {
        let kind = (bytes / LEAST).checked_ilog2()? as usize;
        Some(&self.0[kind.min(KINDS - 1)])
    }
}

impl Kind {
    const fn new() -> Self {
        Self {
            probe: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            distance: AtomicUsize::new(0),
            is_sparse: AtomicUsize::new(0),
        }
    }

    /// Whether the memory of the next block, at `addr`, shall go back.
    pub fn next(&self, addr: usize) -> bool {
        // Relaxed, here and below: see the type.
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return self.is_sparse.load(Ordering::Relaxed) != 0;
        }
        self.left.store(self.distance.load(Ordering::Relaxed).max(DISTANCE), Ordering::Relaxed);
        self.probe.store(addr, Ordering::Relaxed);
        true
    }

    /// Makes the block at `addr`, which was zero, the probe while there is none and nothing is
    /// known.
    pub fn watch(&self, addr: usize) {
        // Relaxed, all: see the type.
        let is_known = self.distance.load(Ordering::Relaxed) != 0
            || self.is_sparse.load(Ordering::Relaxed) != 0;
        if !is_known && self.probe.load(Ordering::Relaxed) == 0 {
            self.probe.store(addr, Ordering::Relaxed);
            self.left.store(DISTANCE, Ordering::Relaxed);
        }
    }

    /// Whether the block at `addr` was the probe, which it is no more.
    pub fn take_probe(&self, addr: usize) -> bool {
        let relaxed = Ordering::Relaxed;
        self.probe.load(relaxed) == addr
            && self.probe.compare_exchange(addr, 0, relaxed, relaxed).is_ok()
    }

    /// Notes how the probe was used.
    pub fn note(&self, is_sparse: bool) {
        let distance = match self.distance.load(Ordering::Relaxed) {
            _ if is_sparse => 0,
            before => (2 * before).clamp(DISTANCE, DISTANCE_MOST),
        };
        if is_sparse != (self.is_sparse.load(Ordering::Relaxed) != 0) {
            self.is_sparse.store(is_sparse.into(), Ordering::Relaxed);
            self.left.store(distance, Ordering::Relaxed);
        }
        self.distance.store(distance, Ordering::Relaxed);
    }
}
