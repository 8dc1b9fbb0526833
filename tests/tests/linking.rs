//! `libstratalloc.a` in programs of every compiler, linker and way of linking that people use: the
//! program must link, run, and have our allocator for all of its calls (`tests/programs/linked.h`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

const LINKERS: [&str; 4] = ["bfd", "gold", "lld", "mold"];
/// The last is how careful builds of distributions link.
const WAYS: [&[&str]; 4] =
    [&[], &["-static"], &["-static-pie"], &["-Wl,--gc-sections,--as-needed,-z,now,-z,relro"]];

/// One way to make a program.
#[derive(Clone, Copy)]
struct Build {
    compiler: &'static str,
    source: &'static str,
    linker: &'static str,
    lto: bool,
    way: &'static [&'static str],
}

impl Build {
    /// gold knows no `-static-pie`, with any program.
    fn is_possible(self) -> bool {
        !(self.linker == "gold" && self.way.contains(&"-static-pie"))
    }

    fn name(self) -> String {
        let Self { compiler, source, linker, lto, way } = self;
        format!("{compiler} {source} -fuse-ld={linker} lto={lto} {}", way.join(" "))
    }

    /// Compiles, links and runs it. What went wrong, if something did.
    fn check(self, folder: &Path, number: usize) -> Result<(), String> {
        let output = folder.join(format!("program-{number}"));
        let cxx = self.source.ends_with(".cpp");
        let mut command = Command::new(self.compiler);
        command.arg(if cxx { "-std=gnu++17" } else { "-std=gnu11" });
        command.args(["-O1", "-fno-builtin", "-D_GNU_SOURCE", "-pthread"]).args(self.way);
        command.arg(format!("-fuse-ld={}", self.linker));
        if self.lto {
            // With machine code beside GCC's own form, which lld does not read.
            command.args(["-flto", "-ffat-lto-objects"].iter().take(match self.compiler {
                "gcc" | "g++" => 2,
                _ => 1,
            }));
        }
        command.arg("-I").arg(library::programs_dir());
        command.arg("-I").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../allocator/capi/include"));
        command.arg(library::programs_dir().join(self.source)).arg(library::archive());
        command.arg("-o").arg(&output);
        let linked = run(command, LIMIT);
        if !linked.succeeded() {
            return Err(format!("{}: not linked\n{linked}", self.name()));
        }
        // Who links statically with `--fatal-warnings` must be able to.
        if linked.errors().contains("stratalloc") {
            return Err(format!("{}: warnings of us\n{linked}", self.name()));
        }
        let finished = run(Command::new(&output), LIMIT);
        let right = finished.succeeded() && finished.text().starts_with("stratalloc ");
        // Static programs are large.
        let _ = std::fs::remove_file(&output);
        if right { Ok(()) } else { Err(format!("{}: wrong\n{finished}", self.name())) }
    }
}

/// All that `compilers` (with the source that each compiles) can make.
fn builds(compilers: [(&'static str, &'static str); 2]) -> Vec<Build> {
    let mut all = Vec::new();
    for (compiler, source) in compilers {
        for linker in LINKERS {
            for lto in [false, true] {
                for way in WAYS {
                    let build = Build { compiler, source, linker, lto, way };
                    all.extend(build.is_possible().then_some(build));
                }
            }
        }
    }
    all
}

#[track_caller]
fn all_work(compilers: [(&'static str, &'static str); 2]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let failures: Vec<String> = builds(compilers)
        .into_iter()
        .enumerate()
        .filter_map(|(number, build)| build.check(folder.path(), number).err())
        .collect();
    assert!(failures.is_empty(), "{} do not work:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn programs_of_gcc_link_with_the_archive_by_every_linker() {
    all_work([("gcc", "linking.c"), ("g++", "linking.cpp")]);
}

#[test]
fn programs_of_clang_link_with_the_archive_by_every_linker() {
    all_work([("clang", "linking.c"), ("clang++", "linking.cpp")]);
}
