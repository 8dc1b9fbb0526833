//! `fork`: the locks of the tier, and what a child undoes.
//!
//! Around a `fork` the forking thread holds all locks, so the child finds every structure whole.
//! But threads that were at work between two holds of a lock do not exist in the child: what they
//! had begun is undone here.

use super::all_classes::Central;
use super::convert;
use super::growth;
use super::shared_pages::SHARED_PAGES;
use super::span_source::{PageHeapSource, free_spans};
use super::wind_down;
use crate::page::size_class::SizeClass;
use crate::sync::LockVisitor;

impl Central {
    /// Visits every lock of the tier, in the order of their ranks.
    pub fn for_each_lock(&self, visitor: &mut LockVisitor) {
        self.transfer.iter().for_each(|cache| visitor.visit(cache.fork_lock()));
        self.lists.iter().for_each(|list| visitor.visit(list.fork_lock()));
        visitor.visit(SHARED_PAGES.fork_lock());
    }

    /// In a forked child, of the thread `own`: undoes what other threads had begun.
    ///
    /// # Safety
    /// The calling thread holds the locks of the tier by `ForkLock`, and no other thread exists.
    pub unsafe fn reset_in_child(&self, own: u32) {
        growth::reset_in_child();
        convert::reset_in_child();
        wind_down::reset_in_child();
        self.cache_limits.reset_in_child();
        for class in SizeClass::all() {
            let list = &self.lists[class.index()];
            // A frame that a signal interrupted may have left a list half changed, and goes on with
            // it.
            if !list.fork_lock().is_interrupted() {
                // SAFETY: the caller holds the lock and is the only thread. No frame of it holds
                // the lock otherwise, so there is no other reference.
                let emptied = unsafe { list.reset_in_child(class, own) };
                free_spans(&PageHeapSource::new(), emptied);
            }
        }
    }
}
