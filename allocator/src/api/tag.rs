//! Tags: what the program says its allocations are for.
//!
//! A [`Tag`] is the number of a name, which lasts as long as the process (`profile::labels`, whose
//! lock is taken for a name that is new). Which tag a thread is in is a word of that thread's own,
//! so to enter and to leave takes no lock and no atomic. A guard belongs to the thread that made
//! it. What blocks of a tag there are is counted where they are sampled; this file only reads it.

use crate::profile::{COUNT_UNIT, labels};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A name that a heap profile attributes samples to; made by [`Tag::new`].
///
/// Only sampled blocks know their tag (options `sample_interval` and `leak_report`), so what a tag
/// holds is an estimate, and other blocks cost nothing for it. There are up to 1,024 names,
/// threads' names among them, of up to 47 bytes; a name beyond that is no tag, and a longer one is
/// cut off. Control characters, quotes and backslashes become `_`.
///
/// ```
/// use stratalloc::Tag;
///
/// let requests = Tag::new("requests");
/// {
///     let _scope = requests.enter();
///     let buffer = vec![0_u8; 1_000]; // attributed to "requests", if it is sampled
///     # drop(buffer);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(u16);

impl Tag {
    /// The tag of that name. Looks it up in a table, for some fifty instructions: a program that
    /// needs it often keeps it. Thread-safe; allocates nothing.
    ///
    /// ```
    /// # use stratalloc::Tag;
    /// assert_eq!(Tag::new("requests"), Tag::new("requests"));
    /// assert_ne!(Tag::new("requests"), Tag::new("cache"));
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(labels::intern(name.as_bytes()))
    }

    /// Makes this the tag of the calling thread until the guard is dropped, which brings the one
    /// before back: it writes a word of the thread's.
    ///
    /// ```
    /// # use stratalloc::Tag;
    /// let scope = Tag::new("requests").enter();
    /// let buffer = vec![0_u8; 100];
    /// drop(scope);
    /// # drop(buffer);
    /// ```
    #[inline]
    pub fn enter(self) -> TagGuard {
        TagGuard { before: labels::enter(self.0), of_thread: PhantomData }
    }

    /// A future that does the same at each poll: what it allocates, on whichever thread it runs, is
    /// attributed to this tag, and nothing else. It is dropped within the tag, too.
    ///
    /// ```
    /// # use stratalloc::Tag;
    /// # async fn answer() -> u32 { 42 }
    /// let tagged = Tag::new("requests").wrap(async { answer().await });
    /// # drop(tagged);
    /// ```
    pub fn wrap<F: Future>(self, future: F) -> Tagged<F> {
        Tagged { tag: self, future: ManuallyDrop::new(future) }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        labels::for_each(|number, name, _| {
            if number == self.0 {
                result = write!(out, "Tag({name:?})");
            }
        });
        result
    }
}

/// Makes `name` the tag of the calling thread until the guard is dropped: `Tag::new(name).enter()`.
///
/// ```
/// let _scope = stratalloc::tag("start-up");
/// let table = vec![0_u64; 100];
/// # drop(table);
/// ```
pub fn tag(name: &str) -> TagGuard {
    Tag::new(name).enter()
}

/// Keeps a thread's tag until it is dropped. Guards of a thread must be dropped in the reverse
/// order in which they were made, as scopes do.
///
/// ```
/// let outer = stratalloc::tag("outer");
/// let inner = stratalloc::tag("inner");
/// drop(inner); // "outer" again
/// drop(outer);
/// ```
#[must_use = "the tag ends when the guard is dropped"]
#[derive(Debug)]
pub struct TagGuard {
    before: u16,
    /// It belongs to the thread that made it.
    of_thread: PhantomData<*const ()>,
}

impl Drop for TagGuard {
    #[inline]
    fn drop(&mut self) {
        labels::enter(self.before);
    }
}

/// A future within a tag; made by [`Tag::wrap`].
///
/// ```
/// use stratalloc::{Tag, Tagged};
///
/// fn tagged(work: impl Future<Output = u32>) -> Tagged<impl Future<Output = u32>> {
///     Tag::new("requests").wrap(work)
/// }
/// # drop(tagged(async { 1 }));
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Tagged<F: Future> {
    tag: Tag,
    future: ManuallyDrop<F>,
}

impl<F: Future> Future for Tagged<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _scope = self.tag.enter();
        // SAFETY: the future is pinned with `self`: it is never moved out, and is dropped where it
        // lies.
        let future = unsafe { self.map_unchecked_mut(|tagged| &mut *tagged.future) };
        future.poll(context)
    }
}

impl<F: Future> Drop for Tagged<F> {
    fn drop(&mut self) {
        let _scope = self.tag.enter();
        // SAFETY: not used after that. It is dropped where it lies, as pinning asks.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}

impl<F: Future> fmt::Debug for Tagged<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tagged").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// What the blocks of a tag are, estimated from those that were sampled.
///
/// ```
/// let mut sum = 0;
/// stratalloc::for_each_tag(|_, usage: stratalloc::TagUsage| sum += usage.live_bytes);
/// assert_eq!(sum, 0, "nothing is sampled here");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagUsage {
    /// Bytes outstanding.
    pub live_bytes: usize,
    /// Blocks outstanding.
    pub live_count: usize,
    /// Bytes allocated since the start: the difference of two moments is a rate.
    pub allocated_bytes: usize,
    /// Blocks allocated since the start.
    pub allocated_count: usize,
}

/// Calls `visit` with the name and the figures of every tag that blocks were attributed to. No lock
/// is held meanwhile, and nothing is allocated.
///
/// ```
/// stratalloc::for_each_tag(|name, usage| println!("{name}: {} bytes", usage.live_bytes));
/// ```
pub fn for_each_tag(mut visit: impl FnMut(&str, TagUsage)) {
    labels::for_each(|_, name, tally| {
        if tally.total_count > 0 {
            let usage = TagUsage {
                live_bytes: tally.live_bytes,
                live_count: tally.live_count / COUNT_UNIT,
                allocated_bytes: tally.total_bytes,
                allocated_count: tally.total_count / COUNT_UNIT,
            };
            visit(name, usage);
        }
    });
}
