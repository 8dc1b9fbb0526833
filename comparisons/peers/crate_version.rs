// Part of build scripts, by `include!`: tells the program which version of its allocator's crate
// was resolved, since the library cannot.

/// Has the program find `crate NAME VERSION` in the variable `variable` when it is compiled.
fn tell_version(variable: &str, name: &str) {
    let lock =
        std::fs::read_to_string("../Cargo.lock").expect("cargo wrote it before it built this");
    let version = lock.split("[[package]]").find_map(|package| {
        let (_, rest) = package.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        rest.split_once('"').map(|(version, _)| version)
    });
    let version = version.expect("it is a dependency");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rustc-env={variable}=crate {name} {version}");
}
