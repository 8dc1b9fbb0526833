//! Linker flags of `libstratalloc.so`. They apply to the shared library only, not to the archive.

mod old_glibc;

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=old_glibc.rs");
    old_glibc::link();
    // A program linked with a path to the file records the name, not the path.
    let soname = soname();
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    link_beside("libstratalloc.so", &soname);
    for (flag, _reason) in FLAGS {
        println!("cargo:rustc-cdylib-link-arg={flag}");
    }
    // The kernel maps code in aligned pieces of 64 KiB, which are to begin at the same functions
    // each time. The hardened library has tables that make it longer than 2 MiB, so that the kernel
    // places it at a multiple of that by itself; there, the gaps would only take memory that may be
    // locked.
    if env::var_os("CARGO_FEATURE_HARDENED").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,max-page-size=65536");
        // And the code begins with such a piece: what nearly every program runs comes first
        // (`src/layout.rs`), and is less than two of them. GNU's linker does not know this, and
        // does the same by default on x86-64.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,separate-loadable-segments");
    }
    for (name, body) in NAMES {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--defsym={name}={body}");
    }
}

/// The name that programs ask for: the file's, and the number of the interface, which changes when
/// a program that was linked with an older library may not run on it any more.
fn soname() -> String {
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let variant = match (has("HARDENED"), has("PREFIXED")) {
        (true, false) => "-hardened",
        (false, true) => "-prefixed",
        (true, true) => "-prefixed-hardened",
        (false, false) => "",
    };
    format!("libstratalloc{variant}.so.0")
}

/// Makes a link named `link` to `file`, in the folder that cargo builds the library into, so that
/// programs that were linked with that file run (`ci/install` makes an installation's).
fn link_beside(file: &str, link: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names the folder"));
    // PROFILE/build/stratalloc-capi-0123/out
    let Some(folder) = out.ancestors().nth(3) else { return };
    let link = folder.join(link);
    if std::fs::read_link(&link).is_ok_and(|target| target.as_os_str() == file) {
        return;
    }
    let _ = std::fs::remove_file(&link);
    if let Err(error) = std::os::unix::fs::symlink(file, &link) {
        println!("cargo:warning={}: {error}", link.display());
    }
}

/// Names that the compiler uses, and what they mean inside of the library (`src/memory.rs`,
/// `src/own_pthread.rs`).
const NAMES: [(&str, &str); 7] = [
    ("memset", "stratalloc_memset"),
    ("memcpy", "stratalloc_memmove"),
    ("memmove", "stratalloc_memmove"),
    ("memcmp", "stratalloc_memcmp"),
    ("bcmp", "stratalloc_memcmp"),
    ("strlen", "stratalloc_strlen"),
    ("__dso_handle", "stratalloc_handle"),
];

/// Each flag with the reason why it is there.
const FLAGS: [(&str, &str); 6] = [
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
    (
        "-nostartfiles",
        "what the C compiler adds at start and end does nothing here, on pages of its own",
    ),
    ("-lc", "the libc crate leaves this to std once another crate of the build turns its `std` on"),
    ("-Wl,-z,defs", "a name that nobody defines fails the build, not the first preloaded program"),
];
