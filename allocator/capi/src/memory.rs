//! Bodies for `memset`, `memcpy`, `memmove`, `memcmp`, `bcmp` and `strlen`, which the compiler
//! calls wherever it likes. In the shared library these names lead here instead of to the program:
//! a program or a preloaded library may define them as its own (tools that check bounds do), and
//! such a function may allocate while the caller holds a lock of ours.
//!
//! The linker does it, in the shared library alone (`build.rs`): the names stay inside, neither
//! imported nor exported. The archive keeps the program's functions, since there they are the
//! program's own choice, and defines none of them.
//!
//! `calloc` clears and `realloc` copies the program's memory by these, so they are as fast as
//! glibc's for sizes up to 1 MiB (`docs/imports.md` has figures). They are assembly because the
//! compiler would recognise the loop of a `memset` in Rust and turn it into a call of itself.

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::asm;
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    use core::ffi::c_void;
    use core::mem;
    use core::sync::atomic::{AtomicUsize, Ordering};

    use allocator::internal::elf::dlsym;

    use crate::libc_version;

    core::arch::global_asm!(include_str!("memory_x86_64.s"));

    unsafe extern "C" {
        /// Fewest bytes that are moved 32 at a time. Relaxed: either way is right at any time.
        #[link_name = "stratalloc_vector_least"]
        safe static VECTOR_LEAST: AtomicUsize;
        /// Fewest bytes that the processor's string instructions move. Relaxed: either way is
        /// right.
        #[link_name = "stratalloc_string_least"]
        safe static STRING_LEAST: AtomicUsize;
    }

    /// The bounds on processors that have the instructions: string instructions take some time to
    /// start, which narrow moves lose sooner than wide ones.
    const VECTORS: usize = 65;
    const STRINGS: usize = 2 << 10;
    const STRINGS_BESIDE_VECTORS: usize = 128 << 10;

    /// What the processor has, and the kernel lets programs use.
    struct Features {
        /// Moves of 32 bytes (AVX2).
        vectors: bool,
        /// String instructions that are fast for many bytes (ERMS).
        strings: bool,
    }

    // Bits of leaf 7 (ebx) of `cpuid`.
    const AVX2: u32 = 1 << 5;
    const ENHANCED_STRINGS: u32 = 1 << 9;

    /// Run by the loader. What comes before does without.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static START: extern "C" fn() = look_at_processor;

    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    extern "C" fn look_at_processor() {
        let features = known_to_c_library().unwrap_or_else(asked_of_processor);
        if features.vectors {
            VECTOR_LEAST.store(VECTORS, Ordering::Relaxed);
        }
        if features.strings {
            let least = if features.vectors { STRINGS_BESIDE_VECTORS } else { STRINGS };
            STRING_LEAST.store(least, Ordering::Relaxed);
        }
    }

    /// What glibc found out before (`__x86_get_cpuid_feature_leaf` of its `sys/platform/x86.h`,
    /// since 2.33). Under a hypervisor each `cpuid` stops the processor for some microseconds.
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn known_to_c_library() -> Option<Features> {
        /// `struct cpuid_feature`: each eax, ebx, ecx, edx; what the processor says, and what of it
        /// programs may use.
        #[repr(C)]
        struct Leaf {
            of_processor: [u32; 4],
            usable: [u32; 4],
        }
        type GetLeaf = unsafe extern "C" fn(u32) -> *const Leaf;
        const LEAF_7: u32 = 1;
        // A lookup in vain, as in older ones and in musl, would leave a message for `dlerror`: the
        // program's next call of that would take it for a failure of its own.
        libc_version::glibc().filter(|&version| version >= (2, 33))?;
        let name = c"__x86_get_cpuid_feature_leaf";
        // SAFETY: the global scope is always there; the name ends in NUL.
        let found = unsafe { dlsym()?(libc::RTLD_DEFAULT, name.as_ptr()) };
        // SAFETY: null, which is `None`, or glibc's function of that name, whose type its header
        // gives.
        let get = unsafe { mem::transmute::<*mut c_void, Option<GetLeaf>>(found) }?;
        // SAFETY: it takes any number, and returns null or a leaf that is never written to after
        // the start of the process.
        let leaf = unsafe { get(LEAF_7).as_ref() }?;
        let ebx = leaf.usable[1];
        Some(Features { vectors: ebx & AVX2 != 0, strings: ebx & ENHANCED_STRINGS != 0 })
    }

    /// What the processor says itself: static programs, older glibc, musl.
    #[cold]
    #[inline(never)]
    fn asked_of_processor() -> Features {
        // Bits of leaf 1 (ecx) and of the register XCR0: whether the kernel saves the registers of
        // 16 and 32 bytes.
        const OSXSAVE_AND_AVX: u32 = 1 << 27 | 1 << 28;
        const SAVED: u32 = 0b110;
        if __cpuid(0).eax < 7 {
            return Features { vectors: false, strings: false };
        }
        let (first, seventh) = (__cpuid(1), __cpuid_count(7, 0));
        let has_avx = first.ecx & OSXSAVE_AND_AVX == OSXSAVE_AND_AVX;
        Features {
            vectors: has_avx && saved_registers() & SAVED == SAVED && seventh.ebx & AVX2 != 0,
            strings: seventh.ebx & ENHANCED_STRINGS != 0,
        }
    }

    /// The low half of XCR0.
    fn saved_registers() -> u32 {
        let low: u32;
        // SAFETY: the caller has seen OSXSAVE, so the instruction is there; it reads a register.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack));
        }
        low
    }
}

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(include_str!("memory_aarch64.s"));
