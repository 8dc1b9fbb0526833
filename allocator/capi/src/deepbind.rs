//! Libraries that are opened with `RTLD_DEEPBIND` (extensions of PHP, modules of Apache) get this
//! allocator, too.
//!
//! Such a library looks names up among the libraries that it depends on before it asks the rest of
//! the process, so its `malloc` and `free` would be those of the C library, which is one of them.
//! But `strdup` and `getline` within the C library call the process's `malloc`, which is ours. So
//! such a library gives blocks of ours to glibc's `free`, and glibc's to us, and one of the two
//! aborts: PHP with a preloaded allocator dies of `free(strdup("text"))`.
//!
//! The remedy: the C library's symbols of the `malloc` family lead to our functions (`redirect`).
//! That is done once, only where an object that was there at the start imports `dlopen`, and when
//! that is first called (`first_open`); if that cannot be noticed, in a constructor. Until then the
//! linker has looked the names up only for the objects that were there at the start, which all got
//! ours. Nothing is done if the process's `malloc` is not ours, in static programs, and with the
//! option `deepbind=off`.

use core::ffi::{CStr, c_int};
use core::mem;

use allocator::internal::elf::{Dlsym, dlsym};
use allocator::options;

use crate::elf::LoadedObject;
use crate::first_open;
use crate::redirect::{ForEachObject, OF_C_LIBRARY, are_ours, redirect_once};

/// Run by the dynamic linker once all that the program needs is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// Whether the option says so.
fn is_wanted() -> bool {
    options::get("deepbind").is_ok_and(|value| value.number != 0)
}

/// The address of what the process knows by this name; 0 if there is none.
fn find(look: Dlsym, name: &CStr) -> usize {
    // SAFETY: the global scope is always there; the name ends in NUL.
    unsafe { look(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn at_start() {
    let Some(look) = dlsym() else { return };
    let walk = find(look, c"dl_iterate_phdr");
    if walk == 0 {
        return;
    }
    let mut opens = false;
    // SAFETY: the function's documented type. The visitor takes what it passes: the object, a size,
    // and the last argument.
    unsafe { mem::transmute::<usize, ForEachObject<bool>>(walk)(look_for_openers, &mut opens) };
    if opens {
        prepare(look, walk);
    }
}

/// What the walk over the objects that open libraries takes and finds.
struct Watch {
    walk: ForEachObject<()>,
    targets: [usize; 2],
    sees_all: bool,
}

/// Has it done at the first call that opens a library, or does it.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn prepare(look: Dlsym, walk: usize) {
    // musl has neither such a function nor such a way of opening.
    let is_ours = are_ours(find(look, c"malloc"), find(look, c"free"));
    if !is_ours || find(look, OF_C_LIBRARY) == 0 || !is_wanted() {
        return;
    }
    let targets = first_open::NAMES.map(|name| find(look, name));
    // SAFETY: the function's documented type, here and below; the visitors take what it passes.
    let once = unsafe { mem::transmute::<usize, ForEachObject<()>>(walk) };
    let mut watch = Watch { walk: once, targets, sees_all: true };
    // SAFETY: the same function.
    unsafe {
        mem::transmute::<usize, ForEachObject<Watch>>(walk)(watch_opener, &mut watch);
        if !watch.sees_all {
            redirect_once(once);
        }
    }
}

/// Whether the object opens libraries. The C library's own calls open none in this way.
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn is_opener(object: &LoadedObject) -> bool {
    object.symbols().is_some_and(|symbols| {
        object.next_import(&symbols, &first_open::NAMES, &mut 0).is_some()
            && symbols.function(OF_C_LIBRARY).is_none()
    })
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn look_for_openers(object: &LoadedObject, _: usize, opens: &mut bool) -> c_int {
    *opens = is_opener(object);
    // Not 0 ends the walk.
    c_int::from(*opens)
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn watch_opener(object: &LoadedObject, _: usize, watch: &mut Watch) -> c_int {
    if is_opener(object) {
        // SAFETY: this runs in a constructor, by `prepare`, which has looked the functions up.
        watch.sees_all &= unsafe { first_open::watch(object, watch.walk, watch.targets) };
    }
    c_int::from(!watch.sees_all)
}
