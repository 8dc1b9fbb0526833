include!("../crate_version.rs");

fn main() {
    tell_version("SNMALLOC_VERSION", "snmalloc-rs");
}
