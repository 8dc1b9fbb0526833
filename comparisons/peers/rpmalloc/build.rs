include!("../crate_version.rs");

fn main() {
    tell_version("RPMALLOC_VERSION", "rpmalloc-sys");
}
