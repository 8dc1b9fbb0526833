//! Whole magazines on their way from threads that free to threads that allocate.
//!
//! A small stack: last in, first out, because the objects of the most recent magazine are most likely
//! still in a processor cache. Moving one costs the lock and two words.

use super::chain::Chain;
use super::idle::Asker;
use super::verify::chain_is_sound;
use crate::config::TRANSFER_SLOTS;
use crate::os::Lock;
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::sync::Rank;

/// The transfer cache of one class. Thread-safe.
pub struct TransferCache {
    inner: Lock<Inner>,
}

struct Inner {
    chains: [Chain; TRANSFER_SLOTS],
    len: usize,
    objects: usize,
    /// Fewest chains since each asker last called `take_idle`.
    low: [usize; 2],
}

impl Inner {
    fn note_low(&mut self) {
        self.low = self.low.map(|low| low.min(self.len));
    }
}

impl TransferCache {
    pub const fn new() -> Self {
        let inner =
            Inner { chains: [Chain::EMPTY; TRANSFER_SLOTS], len: 0, objects: 0, low: [0; 2] };
        Self { inner: Lock::new(Rank::Transfer, inner) }
    }

    /// Takes `chain`, or hands it back if there is no room for it.
    pub fn push(&self, class: SizeClass, chain: Chain) -> Option<Chain> {
        let mut inner = self.inner.lock();
        let bytes = (inner.objects + chain.count) * class.size();
        let len = inner.len;
        // Two magazines always fit, so that a producer and a consumer can run without the spans.
        let full = len >= 2 && bytes > parameters::get(Id::TransferCacheBytes);
        if len == TRANSFER_SLOTS || full {
            return Some(chain);
        }
        inner.chains[len] = chain;
        inner.len += 1;
        inner.objects += chain.count;
        None
    }

    /// The magazine that came last, or an empty chain.
    pub fn pop(&self) -> Chain {
        let mut inner = self.inner.lock();
        if inner.len == 0 {
            return Chain::EMPTY;
        }
        inner.len -= 1;
        let chain = inner.chains[inner.len];
        inner.objects -= chain.count;
        inner.note_low();
        chain
    }

    /// Number of magazines that lay here since `asker` last called. They are the oldest.
    pub fn take_idle(&self, asker: Asker) -> usize {
        let mut inner = self.inner.lock();
        let len = inner.len;
        core::mem::replace(&mut inner.low[asker as usize], len)
    }

    /// The magazine that has waited longest, if `left` is not 0 and there is one; one less is left then.
    pub fn pop_oldest(&self, left: &mut usize) -> Chain {
        let mut inner = self.inner.lock();
        if *left == 0 || inner.len == 0 {
            return Chain::EMPTY;
        }
        *left -= 1;
        let len = inner.len;
        let chain = inner.chains[0];
        inner.chains.copy_within(1..len, 0);
        inner.len -= 1;
        inner.objects -= chain.count;
        inner.note_low();
        chain
    }

    /// Whether the object at `addr` waits here. Walks everything: for the double-free check only.
    pub fn holds(&self, addr: usize) -> bool {
        let inner = self.inner.lock();
        inner.chains[..inner.len].iter().any(|chain| chain.contains(addr))
    }

    /// Number of objects here.
    pub fn objects(&self) -> usize {
        self.inner.lock().objects
    }

    /// Whether every chain holds as many free objects of `class` as it says, and all of them together
    /// as many as are counted. Walks everything.
    pub fn is_sound(&self, class: SizeClass) -> bool {
        let inner = self.inner.lock();
        let chains = &inner.chains[..inner.len];
        let objects: usize = chains.iter().map(|chain| chain.count).sum();
        objects == inner.objects && chains.iter().all(|chain| chain_is_sound(class, *chain))
    }

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &Lock<impl Sized + use<>> {
        &self.inner
    }
}
