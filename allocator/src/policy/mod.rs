//! What the hardened build and the valgrind build do otherwise, chosen in this one place.
//!
//! Code asks [`HARDENED`] or [`MEMCHECK`], constants that the compiler folds away. A type that only
//! one of the builds needs has a twin without fields, whose functions do nothing; [`Hardened`] and
//! [`Memcheck`] choose between the two. Both twins compile in every build, so that neither rots.

/// Whether this is the hardened build (feature `hardened`, `docs/hardening.md`).
pub const HARDENED: bool = cfg!(feature = "hardened");

/// Whether this build tells valgrind's memcheck of every block (feature `valgrind`).
#[allow(dead_code, reason = "as above")]
pub const MEMCHECK: bool = cfg!(feature = "valgrind");

/// `On` in the hardened build, `Off` in all others.
#[allow(dead_code, reason = "chosen by the rooms that have twins")]
pub type Hardened<On, Off> = <Switch<HARDENED> as Choose<On, Off>>::Chosen;

/// `On` in the build for valgrind, `Off` in all others.
#[allow(dead_code, reason = "chosen by the rooms that have twins")]
pub type Memcheck<On, Off> = <Switch<MEMCHECK> as Choose<On, Off>>::Chosen;

/// A feature that is on or off.
#[allow(dead_code, reason = "a name for the types above")]
pub struct Switch<const ON: bool>;

/// The type that a [`Switch`] chooses.
#[allow(dead_code, reason = "a name for the types above")]
pub trait Choose<On, Off> {
    /// The first of the two types if the switch is on, else the second.
    type Chosen;
}

impl<On, Off> Choose<On, Off> for Switch<true> {
    type Chosen = On;
}

impl<On, Off> Choose<On, Off> for Switch<false> {
    type Chosen = Off;
}
