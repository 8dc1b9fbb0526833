//! Pages and what is known about them: units, size classes, span records, the page map from an address to
//! its class and span, and the memory that all these records live in.

pub mod age;
pub mod direct_map;
#[cfg(feature = "hardened")]
pub mod live_map;
pub mod metadata;
pub mod page_map;
pub mod secret;
pub mod size_class;
pub mod span;
pub mod units;
pub mod unlock;
