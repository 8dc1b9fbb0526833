//! Hardened builds: what `free` does beyond the usual. The block is no longer live, is cleared if that is wanted,
//! and waits in its thread's quarantine; the block that has waited longest goes to its magazine, unless it was
//! written to.

use crate::base::fatal::fatal;
use crate::base::hint::unlikely;
use crate::central::chain::FreeObject;
use crate::page::live_map::LIVE_MAP;
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::sync::{AtomicU8, Ordering};
use crate::thread_cache::{Kind, ThreadCache, exchange};
use core::ptr;

/// Takes a live block of `class` back through `cache`, the calling thread's own or a placeholder. Whether it
/// did: not for class 0, and not for placeholders.
///
/// # Safety
/// `block` is a live object of `class`, unless that is 0, and the caller gives it up.
#[inline(always)]
pub unsafe fn take_back(cache: &ThreadCache, class: SizeClass, block: *mut u8) -> bool {
    if unlikely(class == SizeClass::NONE || cache.kind != Kind::Live) {
        return false;
    }
    // SAFETY: handed through.
    unsafe { retire(class, block) };
    let Some((class, block)) = cache.quarantine.exchange(class, block) else {
        return true;
    };
    let object = block.cast::<FreeObject>();
    // SAFETY: an object that was linked by `retire` when it was freed, and is ours. Reading the link aborts if
    // somebody wrote to it.
    unsafe {
        FreeObject::next(object);
        if unlikely(zeroes()) {
            check_clear(class, block);
        }
        if unlikely(!cache.push(class, block)) {
            push_slow(class, block);
        }
    }
    true
}

/// Whether blocks are cleared, as it was said when the process made its first allocation.
#[inline(always)]
fn zeroes() -> bool {
    // Relaxed: written before the process has a second thread that allocates.
    ZEROES.load(Ordering::Relaxed) != 0
}

/// Reads the option. Called once, when the environment was read.
pub fn decide() {
    ZEROES.store(u8::from(parameters::get(Id::ZeroOnFree) != 0), Ordering::Relaxed);
}

static ZEROES: AtomicU8 = AtomicU8::new(0);

/// Aborts if the object, which was cleared when it was freed, holds anything beside its first two words. The option is read
/// once, so that no object waits that was freed before it was on.
///
/// # Safety
/// As `push_slow`.
#[cold]
#[inline(never)]
unsafe fn check_clear(class: SizeClass, block: *mut u8) {
    let words = class.size() / size_of::<usize>();
    for word in 2..words {
        // SAFETY: within the object.
        let at = unsafe { block.cast::<usize>().add(word) };
        // SAFETY: as above; aligned.
        if unsafe { at.read() } != 0 {
            let (addr, size) = (block as usize, class.size());
            fatal(format_args!(
                "use after free: {addr:#x}, a block of {size} bytes, was written to after it was freed"
            ));
        }
    }
}

/// # Safety
/// As `exchange::push_slow`.
#[cold]
#[inline(never)]
unsafe fn push_slow(class: SizeClass, block: *mut u8) {
    // SAFETY: handed through.
    unsafe { exchange::push_slow(class, block) };
    crate::background::start_if_wanted();
}

/// Makes a live block a freed one.
///
/// # Safety
/// As `take_back`.
#[inline(always)]
pub unsafe fn retire(class: SizeClass, block: *mut u8) {
    // SAFETY: an object of `class` that the caller gives up; the map has room for it, as it was in there.
    unsafe {
        LIVE_MAP.set_unchecked(block as usize, SizeClass::NONE);
        if unlikely(zeroes()) {
            ptr::write_bytes(block, 0, class.size());
        }
        FreeObject::link(block.cast(), ptr::null_mut());
    }
}
