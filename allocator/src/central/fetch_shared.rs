//! Fetching from shared pages, for a refill that finds nothing near: holes, spans that are
//! converted for it, and what lies free between used pages.
//!
//! Before lines of other threads' spans are taken, and before anything becomes resident (`tier`).

use super::all_classes::Central;
use super::chain::Chain;
use super::shards::Fetcher;
use super::shared_pages::SHARED_PAGES;
use super::span_source::{PageHeapSource, SpanSource};
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};

impl Central {
    /// Fills holes for `class` on pages that several classes share, and converts spans to such
    /// pages for it. If there is neither, and the program's sizes shift, fills pages that lie free
    /// between used ones, where no span of the class finds room. Empty if there is nothing of it.
    #[cold]
    #[inline(never)]
    pub(super) fn fetch_shared(
        &self,
        source: &PageHeapSource,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
    ) -> Chain {
        let other_awake = fetcher.other_awake(class);
        let mut chain = Chain::EMPTY;
        if SHARED_PAGES.may_have(class) {
            chain = SHARED_PAGES.fetch(class, fetcher.shard, other_awake, request);
        }
        while chain.is_empty() && self.convert_some(class, other_awake) {
            chain = SHARED_PAGES.fetch(class, fetcher.shard, other_awake, request);
        }
        source.handed_out(chain.count * class.size());
        if chain.is_empty() && self.cache_limits.is_shifting() {
            chain = self.fetch_of_leftovers(source, class, fetcher, request);
        }
        chain
    }

    /// Makes pages shared ones that lie free and resident between used ones, where a span of
    /// `class` finds no room, and fetches from them. Empty if there is none, or pages are not to be
    /// shared.
    #[cold]
    #[inline(never)]
    fn fetch_of_leftovers(
        &self,
        source: &PageHeapSource,
        class: SizeClass,
        fetcher: &Fetcher,
        request: usize,
    ) -> Chain {
        // A span of one page goes wherever such a page would.
        let is_of_use = class.info().pages > 1 && parameters::get(Id::SharePages) != 0;
        if !is_of_use {
            return Chain::EMPTY;
        }
        let (chain, pages) = SHARED_PAGES.fetch_of_leftovers(class, fetcher.shard, request);
        source.grown_by_leftovers(pages.bytes());
        source.handed_out(chain.count * class.size());
        chain
    }
}
