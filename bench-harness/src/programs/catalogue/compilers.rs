//! Compilers, which start several processes.

use crate::programs::inputs::{c_source, cpp_source};
use crate::programs::{Program, Work};

pub(super) const GCC: Program = Program {
    name: "gcc",
    stands_for: "building C: a compiler, an assembler, a process each for every file",
    does: "compiles two generated C files with -O2",
    packages: &["gcc"],
    file: "/usr/bin/gcc",
    version: &["--version"],
    quick: true,
    make: |inputs| {
        inputs.write("one.c", &c_source(inputs.seed, inputs.amount(60)))?;
        inputs.write("two.c", &c_source(inputs.seed + 1, inputs.amount(60)))
    },
    work: Work::Commands(|place| {
        let compile = |source: &str, object: &str| {
            place.step(&["-O2", "-c", &place.input(source), "-o", object])
        };
        vec![compile("one.c", "out1.o"), compile("two.c", "out2.o")]
    }),
};

pub(super) const CLANG: Program = Program {
    name: "clang",
    stands_for: "building C++: one large process that fills arenas and frees them at the end",
    does: "compiles generated C++ that instantiates the standard containers, with -O1",
    packages: &["clang", "libstdc++-12-dev"],
    file: "/usr/bin/clang",
    version: &["--version"],
    quick: false,
    make: |inputs| inputs.write("one.cc", &cpp_source(inputs.seed, inputs.amount(2))),
    work: Work::Commands(|place| {
        let source = place.input("one.cc");
        vec![place.step(&["-std=c++17", "-O1", "-c", &source, "-o", "out.o"])]
    }),
};
