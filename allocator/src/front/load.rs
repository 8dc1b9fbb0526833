//! What is done when this code is loaded, before the program's own constructors run: in the C
//! library, which is marked to be initialised first, before even the program's `.preinit_array`; in
//! other programs, before all constructors of ordinary priority.
//!
//! The `fork` handlers are registered first of all, so that those of the program run before ours
//! take the locks and after ours gave them up. The key whose destructor ends caches is taken before
//! a program takes all there are. The C library's own functions are found before anybody can stand
//! in for them. And a filter of system calls that is in force now is not the program's own.

use super::fork;
use crate::os::{filter, libc_calls};
use crate::parameters;
use crate::thread_cache::{birth, registry};
use core::ffi::{c_char, c_int};

/// Run by the loader. On glibc it passes what `main` gets; other C libraries pass nothing.
#[used]
#[unsafe(link_section = ".init_array.00001")]
static LOAD: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = load;

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn load(
    _count: c_int,
    _arguments: *const *const c_char,
    environment: *const *const c_char,
) {
    if cfg!(target_env = "gnu") && libc_calls::is_glibc() {
        // SAFETY: glibc passes the environment as the third argument: strings, then null.
        unsafe { parameters::note_environment(environment) };
    }
    libc_calls::find();
    filter::note_at_load();
    birth::make_exit_key();
    if registry::first_call() && !fork::register() {
        // Tried again by the first slow path.
        registry::forget_first_call();
    }
}
