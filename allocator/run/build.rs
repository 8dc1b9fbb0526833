//! The name of this architecture's folder in Debian's `/usr/lib`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo names the architecture");
    println!("cargo:rustc-env=STRATALLOC_MULTIARCH={arch}-linux-gnu");
}
