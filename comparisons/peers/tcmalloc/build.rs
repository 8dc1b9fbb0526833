include!("../crate_version.rs");

fn main() {
    tell_version("TCMALLOC_VERSION", "tcmalloc-better");
}
