//! Lets `libstratalloc.so` load on every glibc since 2.17, whatever glibc it is built on.
//!
//! A linker writes down the newest version of each function that the C library beside it has:
//! `pthread_key_create` of glibc 2.34 is another symbol than that of 2.2.5, and a library that asks
//! for it is refused by older systems. The shared library imports some thirty names
//! (`docs/imports.md`), so it is linked with a C library that has only those of `NAMES`, in the
//! versions of `NAMES`: a few lines of assembly, made here. Names that 2.17 does not have, or has
//! in another library than `libc.so.6`, are weak references without a version: found where they
//! are, and null elsewhere.
//!
//! Not for the archive, which is linked by its users, on their machines. `check-library` looks at
//! the result.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What glibc 2.17 has in `libc.so.6`, and in which version on x86-64. All that an aarch64 machine
/// has is of 2.17.
const NAMES: [(&str, &str); 19] = [
    ("_IO_list_lock", "GLIBC_2.2.5"),
    ("_IO_list_resetlock", "GLIBC_2.2.5"),
    ("_IO_list_unlock", "GLIBC_2.2.5"),
    ("__cxa_finalize", "GLIBC_2.2.5"),
    ("__environ", "GLIBC_2.2.5"),
    ("__errno_location", "GLIBC_2.2.5"),
    ("__register_atfork", "GLIBC_2.3.2"),
    ("bcmp", "GLIBC_2.2.5"),
    ("fwrite", "GLIBC_2.2.5"),
    ("getauxval", "GLIBC_2.16"),
    ("gnu_get_libc_version", "GLIBC_2.2.5"),
    ("memcmp", "GLIBC_2.2.5"),
    ("memcpy", "GLIBC_2.14"),
    ("memmove", "GLIBC_2.2.5"),
    ("memset", "GLIBC_2.2.5"),
    ("pthread_attr_destroy", "GLIBC_2.2.5"),
    ("pthread_attr_init", "GLIBC_2.2.5"),
    ("pthread_attr_setdetachstate", "GLIBC_2.2.5"),
    ("strlen", "GLIBC_2.2.5"),
];

/// The one that is a variable.
const VARIABLE: &str = "__environ";

/// References to these are strong, for static programs, whose linker takes what is weak from no
/// archive. Before glibc 2.34 they are in `libpthread`, which a process need not have. The linker
/// sends them to the functions of `src/own_pthread.rs`, which have weak references.
const WRAPPED: [&str; 3] = ["pthread_key_create", "pthread_key_delete", "pthread_setspecific"];

/// Makes that C library in the build's folder, and tells cargo to link the shared library with it.
/// Nothing where the C library is not glibc, or the machine is another one.
pub fn link() {
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    let version = match target("ARCH").as_str() {
        "x86_64" => |of_x86: &'static str| of_x86,
        "aarch64" => |_: &'static str| "GLIBC_2.17",
        _ => return,
    };
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names the folder"));
    let folder = folder.join("glibc-2.17");
    fs::create_dir_all(&folder).expect("a folder for the C library");
    make(&folder, version);
    println!("cargo:rustc-link-search=native={}", folder.display());
    for name in WRAPPED {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap={name}");
    }
}

/// `libc.so` in `folder`: first what is made here, then the part of glibc that is linked into every
/// program (`pthread_atfork`).
fn make(folder: &Path, version: fn(&'static str) -> &'static str) {
    let mut assembly = String::new();
    let mut versions: Vec<&str> = Vec::new();
    let mut script = String::new();
    for (name, of_x86) in NAMES {
        let (kind, section) =
            if name == VARIABLE { ("object", "bss") } else { ("function", "text") };
        assembly += &format!(
            ".{section}\n.globl {name}\n.type {name}, %{kind}\n{name}:\n.skip 8\n.size {name}, 8\n"
        );
        if !versions.contains(&version(of_x86)) {
            versions.push(version(of_x86));
        }
    }
    for each in versions {
        let names = NAMES.iter().filter(|(_, of_x86)| version(of_x86) == each);
        let list: String = names.map(|(name, _)| format!("{name}; ")).collect();
        script += &format!("{each} {{ global: {list}}};\n");
    }
    script += "NOBODY { local: *; };\n";
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    };
    let source = write("libc.s", &assembly);
    let script = write("libc.map", &script);
    let compiler = compiler();
    let status = Command::new(&compiler)
        .args(["-shared", "-nostdlib", "-Wl,-soname,libc.so.6", "-o"])
        .arg(folder.join("libc.so.6"))
        .arg(format!("-Wl,--version-script={}", script.display()))
        .arg(source)
        .status();
    assert!(status.as_ref().is_ok_and(|s| s.success()), "{compiler}: {status:?}");
    write("libc.so", "INPUT ( libc.so.6 -lc_nonshared )\n");
}

/// What cargo links with.
fn compiler() -> String {
    env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into())
}
