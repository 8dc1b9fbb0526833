//! In the C library's table of symbols, as it lies in this process's memory, the functions of the
//! `malloc` family get the addresses of ours. Why, and when, says `deepbind`; why that is sound,
//! `docs/decisions/001-deepbind.md`.
//!
//! Every search that finds one of these functions there, by `RTLD_DEEPBIND` or by `dlsym` on the C
//! library's handle, finds ours. The file, other processes and the C library's own code are not
//! touched. It costs some ten pages of private memory. Owns whether it was done; the lock is the
//! one that glibc holds while it walks over the loaded objects.

use core::arch::asm;
use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering};

use allocator::internal::elf::{Symbol, Symbols};
use allocator::internal::syscall::raw;

use crate::elf::LoadedObject;
use crate::{aligned, extensions, libc_names, standard};

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

/// Whether the process's `malloc` and `free`, at these addresses, are ours.
pub fn are_ours(malloc: usize, free: usize) -> bool {
    malloc == address_of!(standard::malloc) && free == address_of!(standard::free)
}

/// `dl_iterate_phdr`, but for what the visitor's second and third argument are called.
pub type ForEachObject<T> = unsafe extern "C" fn(Visitor<T>, &mut T) -> c_int;
pub type Visitor<T> = unsafe extern "C" fn(&LoadedObject, usize, &mut T) -> c_int;

/// The name by which the C library is known among the objects.
pub const OF_C_LIBRARY: &CStr = c"gnu_get_libc_version";

/// Written by the visitor alone, so under glibc's lock.
static IS_DONE: AtomicBool = AtomicBool::new(false);

/// Redirects the functions, unless that was done before. When it returns, it is done, whichever
/// thread does it: glibc lets one walk at a time, and a child of `fork` begins anew.
///
/// # Safety
/// `walk` is glibc's `dl_iterate_phdr`.
pub unsafe fn redirect_once(walk: ForEachObject<()>) {
    // Acquire: with the store of the visitor; whoever sees `true` may look the functions up.
    if !IS_DONE.load(Ordering::Acquire) {
        // SAFETY: the caller says what `walk` is. The visitor takes what it passes: the object, a
        // size, and the last argument.
        unsafe { walk(redirect_if_c_library, &mut ()) };
    }
}

unsafe extern "C" fn redirect_if_c_library(object: &LoadedObject, _: usize, (): &mut ()) -> c_int {
    // Relaxed: the lock that glibc holds orders this with the store of another thread.
    if IS_DONE.load(Ordering::Relaxed) {
        return 1;
    }
    if let Some(symbols) = object.symbols()
        && symbols.function(OF_C_LIBRARY).is_some()
    {
        redirect(object, &symbols);
        // Release: with the load in `redirect_once`, which then sees the symbols as written.
        IS_DONE.store(true, Ordering::Release);
        return 1;
    }
    0
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
