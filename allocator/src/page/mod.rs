//! Pages and what is known about them: units, size classes, span records, the maps from an address
//! to its class and span, and the memory that these records live in.
//!
//! The page heap owns the page map's entries, and the central free lists own the spans of small
//! objects. Readers of the maps take no lock. Nothing here decides which page or object is used
//! next. A file uses only the files above it.

pub mod link_encoding;
pub mod units;

pub mod size_class;

pub mod metadata;

pub mod cow_set;
pub mod owner;

pub mod span;

pub mod heap_record;

pub mod direct_map;
pub mod root_index;

pub mod allocation_bitmap;

pub mod page_map;

pub mod unlock;

#[cfg(test)]
mod size_class_tests;
