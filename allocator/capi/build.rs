//! Linker flags of `libstratalloc.so`. They apply to the shared library only, not to the archive.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A program linked with a path to the file records the name, not the path.
    let hardened = std::env::var_os("CARGO_FEATURE_HARDENED").is_some();
    let name = if hardened { "libstratalloc-hardened.so" } else { "libstratalloc.so" };
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{name}");
    for (flag, _reason) in FLAGS {
        println!("cargo:rustc-cdylib-link-arg={flag}");
    }
    for (name, body) in MEMORY {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--defsym={name}={body}");
    }
}

/// Names that the compiler calls, and what they mean inside of the library (`src/memory.rs`).
const MEMORY: [(&str, &str); 6] = [
    ("memset", "stratalloc_memset"),
    ("memcpy", "stratalloc_memmove"),
    ("memmove", "stratalloc_memmove"),
    ("memcmp", "stratalloc_memcmp"),
    ("bcmp", "stratalloc_memcmp"),
    ("strlen", "stratalloc_strlen"),
];

/// Each flag with the reason why it is there.
const FLAGS: [(&str, &str); 5] = [
    (
        "-Wl,-z,nodelete",
        "blocks, thread exit handlers and fork handlers outlive a dlclose, so it must not unmap",
    ),
    (
        "-Wl,-Bsymbolic-functions",
        "our own calls between exported names never land in another library's allocator",
    ),
    (
        "-Wl,-z,initfirst",
        "our fork handlers are registered before any constructor of the program can register one",
    ),
    ("-lc", "the libc crate leaves this to std once another crate of the build turns its `std` on"),
    ("-Wl,-z,defs", "a name that nobody defines fails the build, not the first preloaded program"),
];
