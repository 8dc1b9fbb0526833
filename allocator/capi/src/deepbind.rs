//! Libraries that are opened with `RTLD_DEEPBIND` (extensions of PHP, modules of Apache) get this
//! allocator, too.
//!
//! Such a library looks names up among the libraries that it depends on before it asks the rest of
//! the process, so its `malloc` and `free` would be those of the C library, which is one of them.
//! But `strdup` and `getline` within the C library call the process's `malloc`, which is ours. So
//! such a library gives blocks of ours to glibc's `free`, and glibc's to us, and one of the two
//! aborts: PHP with a preloaded allocator dies of `free(strdup("text"))`.
//!
//! The remedy: in the C library's table of symbols, as it lies in this process's memory, the
//! functions of the `malloc` family get the addresses of ours. Every search that finds one of them
//! there, by `RTLD_DEEPBIND` or by `dlsym` on the C library's handle, finds ours. The file, other
//! processes and the C library's own code are not touched. It costs some ten pages of private
//! memory. So it is done only where the process can open such a library: where an object that was
//! there at the start imports `dlopen`.
//!
//! It is done once, in a constructor, before the program can open anything. Until then the linker
//! has looked the names up only for the objects that were there at the start, which all got ours.
//! Nothing is done if the process's `malloc` is not ours, in static programs, and with the option
//! `deepbind=off`.

use core::arch::asm;
use core::ffi::{CStr, c_int};
use core::mem;

use allocator::internal::elf::{Symbol, Symbols, dlsym};
use allocator::internal::syscall::raw;
use allocator::options;

use crate::elf::{ForEachObject, LoadedObject};
use crate::{aligned, extensions, libc_names, libc_version, standard};

/// Run by the dynamic linker once all that the program needs is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = at_start;

/// The address of one of our exported functions, from the global offset table: a library that has
/// this code in it may be linked in any way. If the process uses another function of that name,
/// that one's.
macro_rules! address_of {
    ($function:path) => {{
        let address: usize;
        // SAFETY: reads a word of the global offset table; no other effect.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!(
                "mov {0}, qword ptr [rip + {1}@GOTPCREL]",
                out(reg) address,
                sym $function,
                options(pure, nomem, nostack, preserves_flags),
            );
            #[cfg(target_arch = "aarch64")]
            asm!(
                "adrp {0}, :got:{1}",
                "ldr {0}, [{0}, :got_lo12:{1}]",
                out(reg) address,
                sym $function,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// Calls `visit` with every name by which memory comes from glibc's `malloc` or goes back to it,
/// and our function of that name.
fn for_each_function(mut visit: impl FnMut(&CStr, usize)) {
    visit(c"malloc", address_of!(standard::malloc));
    visit(c"calloc", address_of!(standard::calloc));
    visit(c"realloc", address_of!(standard::realloc));
    visit(c"reallocarray", address_of!(standard::reallocarray));
    visit(c"free", address_of!(standard::free));
    visit(c"cfree", address_of!(standard::cfree));
    visit(c"memalign", address_of!(aligned::memalign));
    visit(c"aligned_alloc", address_of!(aligned::aligned_alloc));
    visit(c"posix_memalign", address_of!(aligned::posix_memalign));
    visit(c"valloc", address_of!(aligned::valloc));
    visit(c"pvalloc", address_of!(aligned::pvalloc));
    visit(c"malloc_usable_size", address_of!(extensions::malloc_usable_size));
    visit(c"__libc_malloc", address_of!(libc_names::__libc_malloc));
    visit(c"__libc_calloc", address_of!(libc_names::__libc_calloc));
    visit(c"__libc_realloc", address_of!(libc_names::__libc_realloc));
    visit(c"__libc_free", address_of!(libc_names::__libc_free));
    visit(c"__libc_memalign", address_of!(libc_names::__libc_memalign));
    visit(c"__libc_valloc", address_of!(libc_names::__libc_valloc));
    visit(c"__libc_pvalloc", address_of!(libc_names::__libc_pvalloc));
}

/// What the walk over the loaded objects finds.
struct Search {
    /// Whether an object imports a function that opens libraries.
    opens: bool,
    done: bool,
}

/// Whether the option says so.
fn is_wanted() -> bool {
    options::get("deepbind").is_ok_and(|value| value.number != 0)
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
extern "C" fn at_start() {
    // musl has neither such functions nor such a way of opening. It is not asked for any name: a
    // lookup in vain would leave a message for the program's next `dlerror`.
    if !libc_version::is_glibc() {
        return;
    }
    let Some(look) = dlsym() else { return };
    let find = |name: &CStr| {
        // SAFETY: the global scope is always there; the name ends in NUL.
        unsafe { look(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
    };
    let is_ours = find(c"malloc") == address_of!(standard::malloc)
        && find(c"free") == address_of!(standard::free);
    if !is_ours || !is_wanted() {
        return;
    }
    let walk = find(c"dl_iterate_phdr");
    if walk == 0 {
        return;
    }
    // SAFETY: the function's documented type, but for what the visitor's second and third argument
    // are called.
    let walk = unsafe { mem::transmute::<usize, ForEachObject<Search>>(walk) };
    let mut search = Search { opens: false, done: false };
    // SAFETY: the visitors take what `dl_iterate_phdr` passes: the object, a size, and the last
    // argument.
    unsafe {
        walk(look_for_openers, &mut search);
        if search.opens {
            walk(redirect_if_c_library, &mut search);
        }
    }
}

/// The name by which the C library is known among the objects.
const OF_C_LIBRARY: &CStr = c"gnu_get_libc_version";

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn look_for_openers(
    object: &LoadedObject,
    _: usize,
    search: &mut Search,
) -> c_int {
    if let Some(symbols) = object.symbols() {
        search.opens = symbols.function(OF_C_LIBRARY).is_none()
            && object.imports_one_of(&symbols, &[c"dlopen", c"dlmopen"]);
    }
    // Not 0 ends the walk.
    c_int::from(search.opens)
}

#[unsafe(link_section = ".text.hot.stratalloc_small")]
unsafe extern "C" fn redirect_if_c_library(
    object: &LoadedObject,
    _: usize,
    search: &mut Search,
) -> c_int {
    if let Some(symbols) = object.symbols()
        && symbols.function(OF_C_LIBRARY).is_some()
    {
        redirect(object, &symbols);
        search.done = true;
    }
    c_int::from(search.done)
}

/// Makes the object's symbols of the `malloc` family lead to our functions: all of them, or none.
fn redirect(object: &LoadedObject, symbols: &Symbols) {
    let (mut first, mut end) = (usize::MAX, 0);
    for_each_function(|name, _| {
        if let Some(symbol) = symbols.function(name) {
            first = first.min(symbol as usize);
            end = end.max(symbol as usize + size_of::<Symbol>());
        }
    });
    // A segment that is also executable might not become so again. A writable one is no table of a
    // C library that we know.
    if first >= end || !object.is_read_only(first, end) {
        return;
    }
    // SAFETY: the call takes a number and returns a number.
    let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let start = first & !(page - 1);
    let bytes = end.next_multiple_of(page) - start;
    let protect = |access: c_int| {
        // SAFETY: pages of a mapped segment that nobody writes to; they can be read throughout.
        unsafe { raw(libc::SYS_mprotect, [start, bytes, access as usize, 0, 0, 0]) == 0 }
    };
    if !protect(libc::PROT_READ | libc::PROT_WRITE) {
        return;
    }
    for_each_function(|name, ours| {
        if let Some(symbol) = symbols.function(name) {
            // SAFETY: the symbol lies in the range that can be written now. An aligned word is
            // written whole: a reader finds the old function or the new one.
            unsafe {
                let value = &raw const (*symbol).value;
                value.cast_mut().write_volatile(ours.wrapping_sub(symbols.load_address));
            }
        }
    });
    protect(libc::PROT_READ);
}
