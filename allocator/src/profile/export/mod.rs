//! Heap profiles in the forms that other tools read, written by the process itself: pprof's, folded
//! stacks, and JSON. No tool, no socket, and no memory of the heap.
//!
//! Everything is streamed. What must be known twice (which addresses occur, which files are mapped)
//! lies in two mappings that exist while a profile is written. pprof's form is written without
//! compression, in gzip's stored blocks: its reader takes them as any other, and a compressor
//! would need memory and code that an allocator should not carry.
//!
//! Names of functions are in debug information, which is not read here. pprof's form carries the
//! mappings with their build-ids, by which `pprof` finds them, be the program stripped or not. The
//! other forms name a file and an address in it, as `addr2line -e FILE ADDRESS` takes them.
//!
//! * `kind`: what is counted. `writer`: buffered output, and gzip around it.
//! * `scratch`: memory while a profile is written. `mappings`: files and build-ids. `addresses`:
//!   those that occur.
//! * `protobuf`: fields of messages. `pprof`, `folded`, `json`: the forms.

mod kind;

mod scratch;
mod writer;

mod addresses;
mod mappings;

mod protobuf;

mod folded;
mod json;
mod pprof;

#[cfg(test)]
mod tests;

use mappings::Mappings;

pub use kind::{ProfileFormat, ProfileKind};

/// Writes a profile to `out`, piece by piece. Whether it could; if not, there was no memory for a
/// mapping, and nothing was written. No lock is held while `out` runs.
pub fn write(kind: ProfileKind, format: ProfileFormat, out: &mut dyn FnMut(&[u8])) -> bool {
    let Some(mappings) = Mappings::of_this_process() else { return false };
    match format {
        ProfileFormat::Pprof => return pprof::write(kind, &mappings, out),
        ProfileFormat::Folded => folded::write(kind, &mappings, out),
        ProfileFormat::Json => json::write(kind, &mappings, out),
    }
    true
}
