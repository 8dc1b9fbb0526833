//! Pages and what is known about them: units, size classes, span records, the page map from an address to
//! its class and span, and the memory that all these records live in.

#[cfg(feature = "hardened")]
pub mod allocation_bitmap;
pub mod cow_set;
pub mod direct_map;
pub mod link_encoding;
pub mod metadata;
pub mod page_map;
pub mod size_class;
pub mod span;
pub mod units;
pub mod unlock;
