//! What is special to our own programs: how they prove that their allocator is in use, and that it
//! samples where it is meant to.

use crate::registry::STRATALLOC;
use crate::system::sampling_proof;
use bench_harness::child::Subject;
use bench_harness::driver::{INTERVAL, SAMPLED};
use stratalloc::MallocExtension;

/// A program whose global allocator is stratalloc.
pub fn subject() -> Subject {
    Subject {
        live_bytes: Some(|| MallocExtension::stats().in_use),
        witness: Some(|| Ok(in_use()? + sampling_proof(samples)?)),
        trim: Some(|| stratalloc::trim(0) > 0),
        release: Some(|| {
            MallocExtension::release_free_memory();
        }),
        ..STRATALLOC.subject(|| env!("CARGO_PKG_VERSION").to_owned())
    }
}

/// The same, compiled to sample.
pub fn sampled() -> Subject {
    Subject {
        name: format!("{}{SAMPLED}", STRATALLOC.name),
        title: format!("{}, compiled to sample each {}", STRATALLOC.title, INTERVAL.1),
        witness: Some(|| match samples() {
            true => Ok(in_use()? + "; it samples"),
            false => Err("it does not sample, although it was compiled to".to_owned()),
        }),
        ..subject()
    }
}

fn in_use() -> Result<String, String> {
    match MallocExtension::stats().mapped {
        0 => Err("not in use: it has taken no memory from the system".to_owned()),
        bytes => Ok(format!("it has taken {bytes} bytes from the system")),
    }
}

/// Whether the allocator samples: it has a profile only then.
fn samples() -> bool {
    stratalloc::write_heap_profile("/dev/null").is_ok()
}
