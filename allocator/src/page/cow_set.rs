//! Which OS pages of a small span a forked child does not share (`central::cow`).
//!
//! The set is part of the span's record, and the central free list of the span's class guards it.
//! A set belongs to the `fork` of one number and means nothing after the next one, so that nobody
//! has to clear the sets of all spans at a `fork`.
//!
//! The hardened build has the empty twin, in which no page is ever unshared: its records have no
//! room for more, and that build writes to what is freed anyway.

use super::units::OsPages;
use crate::policy::Hardened;

/// The set of the build.
pub type CowSet = Hardened<NoCowSet, KnownCowSet>;

/// What is known since the `fork` of a certain number.
#[derive(Clone, Copy, Debug)]
pub struct KnownCowSet {
    /// The number; 0: of none.
    since: u32,
    /// Pages that no child shares.
    unshared: OsPages,
    /// Pages that an object was freed on without a write to them.
    avoided: OsPages,
}

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl KnownCowSet {
    /// Nothing is known.
    pub const OLD: Self = Self { since: 0, unshared: 0, avoided: 0 };

    /// The pages that no child shares since the `fork` numbered `since`.
    #[inline]
    pub fn unshared(&self, since: u32) -> OsPages {
        if self.since == since { self.unshared } else { 0 }
    }

    /// Adds `pages` to these.
    pub fn add_unshared(&mut self, since: u32, pages: OsPages) {
        self.renew(since);
        self.unshared |= pages;
    }

    /// Notes that an object of `page` was freed without a write to the page. Returns whether it was
    /// the first.
    pub fn avoid(&mut self, since: u32, page: OsPages) -> bool {
        self.renew(since);
        let first = self.avoided & page == 0;
        self.avoided |= page;
        first
    }

    fn renew(&mut self, since: u32) {
        if self.since != since {
            *self = Self { since, ..Self::OLD };
        }
    }
}

/// [`CowSet`] in the hardened build: always empty.
#[derive(Clone, Copy, Debug)]
pub struct NoCowSet;

#[allow(dead_code, reason = "one of the two twins is not in use")]
impl NoCowSet {
    /// Nothing is known.
    pub const OLD: Self = Self;

    /// No pages.
    #[inline]
    pub fn unshared(&self, _since: u32) -> OsPages {
        0
    }

    /// Forgets the pages.
    pub fn add_unshared(&mut self, _since: u32, _pages: OsPages) {}

    /// Never the first.
    pub fn avoid(&mut self, _since: u32, _page: OsPages) -> bool {
        false
    }
}
