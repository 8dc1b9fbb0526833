//! Whole magazines on their way from threads that free to threads that allocate.
//!
//! A small stack: last in, first out, because the objects of the most recent magazine are most likely
//! still in a processor cache. Moving one costs the lock and two words.

use super::chain::Chain;
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
}

impl TransferCache {
    pub const fn new() -> Self {
        let inner = Inner { chains: [Chain::EMPTY; TRANSFER_SLOTS], len: 0, objects: 0 };
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

    /// The lock, for `fork`.
    pub fn fork_lock(&self) -> &Lock<impl Sized + use<>> {
        &self.inner
    }
}
