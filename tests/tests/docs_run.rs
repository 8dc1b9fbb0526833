//! Every command and snippet of README and `docs/profiling.md` runs.
//!
//! They run in a folder with what the documents name: a Python program, programs in C,
//! `target/release` with the library, a service by the number `PID`, and the tool in the path
//! ([`stratalloc_tests::documents`]). What cannot run has a comment before it, and is counted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command};

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::ctl;
use stratalloc_tests::documents::{Runner, blocks};
use stratalloc_tests::process::start_service;

/// What would take too long as it stands, and what is run instead.
const SHORTER: [(&str, &str); 4] = [
    ("--for 60 --every 0.5", "--for 1 --every 0.5"),
    ("--growth 60", "--growth 0.5"),
    (" top ", " top --count 1 "),
    ("cargo build --release -p stratalloc-ctl", "cargo build -p stratalloc-ctl"),
];

/// A folder with what the documents name, and a service.
struct Scratch {
    runner: Runner,
    service: Child,
}

impl Scratch {
    fn new() -> Self {
        let mut runner = Runner::default();
        let at = |name: &str| runner.folder().join(name);
        fs::write(at("program.py"), "print(sum(len(str(i)) for i in range(1000)))\n")
            .expect("a file");
        let source = "#include <stdlib.h>\nint main(void) { free(malloc(100)); return 0; }\n";
        fs::write(at("program.c"), source).expect("a file");
        for name in ["fibonacci", "unreachable"] {
            let binary = program(&format!("{name}.c"), Link::Preload);
            symlink(binary, at(name)).expect("a link");
        }
        fs::create_dir(at("sockets")).expect("a folder");
        fs::set_permissions(at("sockets"), fs::Permissions::from_mode(0o700)).expect("our folder");
        let (service, _) = start_service(
            Command::new(ctl::example("service"))
                .env("STRATALLOC_CONTROL", at("sockets/%p.sock"))
                .env("STRATALLOC_LEAK_REPORT", "trace"),
        );
        for (long, short) in SHORTER {
            runner.replace(long, short);
        }
        runner.replace(" PID ", format!(" {} ", service.id()));
        Self { runner, service }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// Every block, and how many are not run, so that nobody adds one unseen.
#[test]
fn every_command_of_the_readme_and_of_the_profiling_page_runs() {
    let scratch = Scratch::new();
    let (mut ran, mut not_run) = (0, Vec::new());
    for document in ["README.md", "docs/profiling.md"] {
        for block in blocks(document) {
            match (scratch.runner.run(&block), block.not_run) {
                (Some(_), _) => ran += 1,
                (None, reason) => not_run.push((block.place, reason)),
            }
        }
    }
    assert_eq!((ran, not_run.len()), (9, 8), "{not_run:#?}");
}
