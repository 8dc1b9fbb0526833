//! The programs, in the order of the report.
//!
//! Who adds one says what it stands for, gives it an input of its own kind, and takes an amount
//! that keeps a run at one to two seconds. A program that brings its own allocator proves nothing
//! (rustc is one: it is linked with its own jemalloc), and is refused by the host's proof.

mod compilers;
mod documents;
mod interpreters;
mod services;
mod tools;

use super::Program;

/// All programs.
pub const ALL: [&Program; 22] = [
    &interpreters::PYTHON,
    &interpreters::PYTHON_MALLOC,
    &interpreters::RUBY,
    &interpreters::PERL,
    &interpreters::PHP,
    &interpreters::LUA,
    &interpreters::NODE,
    &interpreters::JAVA,
    &compilers::GCC,
    &compilers::CLANG,
    &tools::GIT,
    &tools::JQ,
    &tools::GAWK,
    &tools::XSLTPROC,
    &tools::SQLITE,
    &documents::IMAGEMAGICK,
    &documents::GHOSTSCRIPT,
    &services::REDIS_CACHE,
    &services::REDIS_STRUCTURES,
    &services::MARIADB,
    &services::WEB_RUST,
    &services::WEB_CPP,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_that_is_installed_has_every_programs_packages() {
        let listed: Vec<_> = include_str!("../packages").lines().collect();
        let needed: BTreeSet<_> =
            ALL.iter().flat_map(|program| program.packages).copied().collect();
        assert_eq!(
            listed,
            needed.into_iter().collect::<Vec<_>>(),
            "bench-harness/src/programs/packages"
        );
    }
}
