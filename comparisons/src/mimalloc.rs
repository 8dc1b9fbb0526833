//! The program that runs workloads under a mimalloc: each version has a package of its own, since
//! only one copy of the library can be linked.

/// Defines the global allocator and `main` of a package that depends on `mimalloc` and
/// `libmimalloc-sys`: its entry of the [`registry`](crate::registry), and what its versions begin
/// with.
#[macro_export]
macro_rules! mimalloc_runner {
    ($entry:ident, $versions:literal) => {
        #[global_allocator]
        static ALLOCATOR: ::bench_harness::watch::Watched<::mimalloc::MiMalloc> =
            ::bench_harness::watch::Watched(::mimalloc::MiMalloc);

        fn main() -> ::std::process::ExitCode {
            ::bench_harness::child::main(&::bench_harness::child::Subject {
                owns: Some(|block| {
                    // SAFETY: it may be asked about any address.
                    unsafe { ::libmimalloc_sys::mi_is_in_heap_region(block.cast()) }
                }),
                witness: Some(|| match number() {
                    number if $crate::system::mimalloc_version(number).starts_with($versions) => {
                        Ok(format!("mi_version() is {number}"))
                    }
                    number => Err(format!("not in use: mi_version() is {number}")),
                }),
                release: Some(|| {
                    // SAFETY: it may be called at any time; with true it gives back what is free.
                    unsafe { ::libmimalloc_sys::mi_collect(true) }
                }),
                ..$crate::registry::$entry.subject(|| $crate::system::mimalloc_version(number()))
            })
        }

        /// What the library says of its version.
        fn number() -> i32 {
            // SAFETY: it returns a constant.
            unsafe { ::libmimalloc_sys::mi_version() }
        }
    };
}
