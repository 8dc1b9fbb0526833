//! What Rust programs see: the global allocator and its controls. (C and C++ programs see the crate
//! `stratalloc-capi`.)

mod extension;
mod global;
mod parameters;
mod property;
mod watching;

pub use extension::{MallocExtension, MemoryLimit, NotSettable, Ownership, PropertyKey};
pub use global::Stratalloc;
pub use parameters::{HugePages, OutOfRange, Parameter, ParameterKind, ParameterValue, Parameters};
pub use property::Property;
pub use watching::ProfileError;
