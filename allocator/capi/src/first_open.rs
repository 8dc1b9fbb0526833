//! What comes before a process's first `dlopen` or `dlmopen`.
//!
//! Most programs that could open libraries never do: `ls` and `bash` among them. So what must be
//! done before the first one (`redirect`) waits for it: where an object that was there at the start
//! has the address of `dlopen`, it gets that of a function here, which does what is to be done and
//! goes on to the same `dlopen`, with the caller's own return address. That tells the linker whose
//! search path counts, so the function is assembly that ends in a jump.
//!
//! Owns the addresses of the functions that calls go on to. They are written before any object has
//! the address of one here. On other processors than x86-64 nothing waits.

#[cfg(target_arch = "x86_64")]
pub use x86_64::watch;

/// The functions that open libraries.
pub const NAMES: [&core::ffi::CStr; 2] = [c"dlopen", c"dlmopen"];

/// Nothing waits for the first call here.
///
/// # Safety
/// None.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn watch(
    _: &crate::elf::LoadedObject,
    _: crate::redirect::ForEachObject<()>,
    _: [usize; 2],
) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::mem;
    use core::ops::Range;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use allocator::internal::syscall::raw;

    use super::NAMES;
    use crate::elf::LoadedObject;
    use crate::redirect::{ForEachObject, redirect_once};

    /// The process's `dlopen`, `dlmopen` and `dl_iterate_phdr`. Relaxed: written by a constructor,
    /// before anything calls the functions that read them.
    static DLOPEN: AtomicUsize = AtomicUsize::new(0);
    static DLMOPEN: AtomicUsize = AtomicUsize::new(0);
    static WALK: AtomicUsize = AtomicUsize::new(0);

    macro_rules! forwarder {
        ($name:literal, $to:ident) => {
            core::arch::global_asm!(
                ".pushsection .text.stratalloc_first_open, \"ax\", @progbits",
                concat!(".globl ", $name),
                concat!(".hidden ", $name),
                concat!(".type ", $name, ", @function"),
                ".p2align 4",
                concat!($name, ":"),
                ".cfi_startproc",
                // The arguments; three words align the stack.
                "push rdi",
                ".cfi_adjust_cfa_offset 8",
                "push rsi",
                ".cfi_adjust_cfa_offset 8",
                "push rdx",
                ".cfi_adjust_cfa_offset 8",
                "call {before}",
                "pop rdx",
                ".cfi_adjust_cfa_offset -8",
                "pop rsi",
                ".cfi_adjust_cfa_offset -8",
                "pop rdi",
                ".cfi_adjust_cfa_offset -8",
                "jmp qword ptr [rip + {to}]",
                ".cfi_endproc",
                concat!(".size ", $name, ", . - ", $name),
                ".popsection",
                before = sym before_open,
                to = sym $to,
            );
        };
    }

    forwarder!("stratalloc_dlopen", DLOPEN);
    forwarder!("stratalloc_dlmopen", DLMOPEN);

    unsafe extern "C" {
        // Never called from here: their addresses are given away.
        fn stratalloc_dlopen();
        fn stratalloc_dlmopen();
    }

    #[cold]
    extern "C" fn before_open() {
        // SAFETY: `watch` has stored glibc's function of this type before it gave away the address
        // of what calls this.
        unsafe {
            redirect_once(mem::transmute::<usize, ForEachObject<()>>(WALK.load(Ordering::Relaxed)));
        }
    }

    /// Has calls of the object go through this file. `false` if not all of them can: then nothing
    /// may wait for the first.
    ///
    /// # Safety
    /// In a constructor at the start of the process. `walk` is glibc's `dl_iterate_phdr`, `targets`
    /// are the process's functions of [`NAMES`], or 0.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub unsafe fn watch(
        object: &LoadedObject,
        walk: ForEachObject<()>,
        targets: [usize; 2],
    ) -> bool {
        // An executable may pass its own jump table off as the function, which leads to us again.
        let leads_back = |&target: &usize| target == 0 || object.contains(target);
        if targets.iter().any(leads_back) {
            return false;
        }
        WALK.store(walk as usize, Ordering::Relaxed);
        DLOPEN.store(targets[0], Ordering::Relaxed);
        DLMOPEN.store(targets[1], Ordering::Relaxed);
        let ours =
            [stratalloc_dlopen as *const () as usize, stratalloc_dlmopen as *const () as usize];
        let read_only = object.read_only_after_start().unwrap_or(0..0);
        let Some(symbols) = object.symbols() else { return true };
        let mut seen = 0;
        while let Some((name, place)) = object.next_import(&symbols, &NAMES, &mut seen) {
            if !place.is_whole_address || !place.address.is_multiple_of(align_of::<usize>()) {
                return false;
            }
            let word = place.address as *mut usize;
            // SAFETY: the linker has put an address into this word of the object's.
            let found = unsafe { word.read_volatile() };
            // What is looked up on the first call leads into the object until then.
            let is_expected = found == targets[name] || object.contains(found);
            // SAFETY: the word is the object's, and has the address of the function of this name,
            // or of what looks it up; ours does the same, but for what it does before.
            if !is_expected || !unsafe { write(word, ours[name], &read_only) } {
                return false;
            }
        }
        true
    }

    /// Writes a word that may lie in what the linker has made read-only.
    ///
    /// # Safety
    /// The word is mapped and aligned, and may get this value.
    unsafe fn write(word: *mut usize, value: usize, read_only: &Range<usize>) -> bool {
        // SAFETY: the call takes a number and returns a number.
        let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
        let start = word as usize & !(page - 1);
        // The linker protects whole pages: from that of the first byte, up to that of the end.
        let is_protected =
            (read_only.start & !(page - 1)..read_only.end & !(page - 1)).contains(&start);
        let protect = |access: i32| {
            // SAFETY: a page that is mapped, which holds addresses and no code.
            unsafe { raw(libc::SYS_mprotect, [start, page, access as usize, 0, 0, 0]) == 0 }
        };
        if is_protected && !protect(libc::PROT_READ | libc::PROT_WRITE) {
            return false;
        }
        // SAFETY: the caller says that the word may be written, and its page can be, now. A word is
        // written whole: who calls at the same time goes to the old function or to the new one.
        unsafe { word.write_volatile(value) };
        if is_protected {
            protect(libc::PROT_READ);
        }
        true
    }
}
