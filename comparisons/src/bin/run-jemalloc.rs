//! Runs a workload under jemalloc.

use bench_harness::child::{self, Subject};
use bench_harness::watch::Watched;
use comparisons::registry::JEMALLOC;
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::process::ExitCode;
use std::ptr;
use tikv_jemalloc_sys::mallctl;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Watched<Jemalloc> = Watched(Jemalloc);

fn main() -> ExitCode {
    child::main(&Subject {
        // Its crate builds it without statistics, as users get it; it still knows its own blocks.
        owns: Some(owns),
        release: Some(purge),
        ..JEMALLOC.subject(version)
    })
}

/// What jemalloc calls itself.
fn version() -> String {
    let mut text = MaybeUninit::<*const c_char>::uninit();
    let mut size = size_of::<*const c_char>();
    // SAFETY: "version" yields one pointer to a constant C string, for which there is room.
    let failure = unsafe {
        let room = text.as_mut_ptr().cast();
        mallctl(c"version".as_ptr(), room, &mut size, ptr::null_mut(), 0)
    };
    if failure != 0 {
        return String::new();
    }
    // SAFETY: the call succeeded, so the pointer was written and names a constant C string.
    let text = unsafe { CStr::from_ptr(text.assume_init()) };
    // Before the hash of the source that it was built from: 5.3.1-0-g81034ce1....
    let text = text.to_string_lossy();
    text.split('-').next().unwrap_or_default().to_owned()
}

/// Empties this thread's cache, then gives back the unused pages of all arenas.
fn purge() {
    // 4096 stands for all arenas (`MALLCTL_ARENAS_ALL`).
    for command in [c"thread.tcache.flush", c"arena.4096.purge"] {
        // SAFETY: neither command reads or writes anything through the pointers. A process without
        // a thread cache refuses the first, which leaves nothing to flush.
        unsafe {
            mallctl(command.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        }
    }
}

/// Whether jemalloc has an arena that this block lies in.
fn owns(block: *const u8) -> bool {
    let mut block: *const c_void = block.cast();
    let mut arena = 0_u32;
    let mut size = size_of::<u32>();
    // SAFETY: "arenas.lookup" reads one pointer and writes one `unsigned`; any address may be asked
    // for.
    let failure = unsafe {
        let (room, asked) = (ptr::from_mut(&mut arena), ptr::from_mut(&mut block));
        mallctl(
            c"arenas.lookup".as_ptr(),
            room.cast(),
            &mut size,
            asked.cast(),
            size_of::<*const c_void>(),
        )
    };
    failure == 0
}
