//! Which OS pages of a small span a forked child does not share: see `central::cow_state`.
//!
//! Hardened builds have the empty twin, in which no page is ever unshared: their records have no room for more,
//! and they write to what is freed anyway.

use super::units::OsPages;

/// What is known since the `fork` of a certain number, and means nothing after the next. Guarded as the span's
/// record.
#[cfg(not(feature = "hardened"))]
#[derive(Clone, Copy, Debug)]
pub struct CowSet {
    /// The number; 0: of none.
    since: u32,
    unshared: OsPages,
    spared: OsPages,
}

#[cfg(not(feature = "hardened"))]
impl CowSet {
    /// Nothing is known.
    pub const OLD: Self = Self { since: 0, unshared: 0, spared: 0 };

    /// The pages that nobody shares since the `fork` numbered `since`.
    #[inline]
    pub fn unshared(&self, since: u32) -> OsPages {
        if self.since == since { self.unshared } else { 0 }
    }

    /// Adds `pages` to these.
    pub fn add_unshared(&mut self, since: u32, pages: OsPages) {
        self.renew(since);
        self.unshared |= pages;
    }

    /// Notes that an object went home and `page` was not written to for that. Returns whether it was the first.
    pub fn spare(&mut self, since: u32, page: OsPages) -> bool {
        self.renew(since);
        let first = self.spared & page == 0;
        self.spared |= page;
        first
    }

    fn renew(&mut self, since: u32) {
        if self.since != since {
            *self = Self { since, ..Self::OLD };
        }
    }
}

#[cfg(feature = "hardened")]
#[derive(Clone, Copy, Debug)]
pub struct CowSet;

#[cfg(feature = "hardened")]
impl CowSet {
    pub const OLD: Self = Self;

    #[inline]
    pub fn unshared(&self, _since: u32) -> OsPages {
        0
    }

    pub fn add_unshared(&mut self, _since: u32, _pages: OsPages) {}

    pub fn spare(&mut self, _since: u32, _page: OsPages) -> bool {
        false
    }
}
