include!("../crate_version.rs");

fn main() {
    tell_version("HARDENED_MALLOC_VERSION", "hardened-malloc");
}
