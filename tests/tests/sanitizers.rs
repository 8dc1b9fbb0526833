//! Programs that are compiled with a sanitizer and linked with the library (`docs/testing.md` says
//! what works and why).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(120);

/// Compiles a program with a sanitizer and against `library`, into `folder`.
fn compile(source: &str, sanitizer: &str, library: &Path, folder: &Path) -> PathBuf {
    let binary = folder.join(format!("{source}.{sanitizer}"));
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-O1", "-g", "-fno-builtin", "-D_GNU_SOURCE"]);
    command.arg(format!("-fsanitize={sanitizer}")).arg("-fno-sanitize-recover=all");
    command.arg(library::programs_dir().join(source)).arg(library).arg("-o").arg(&binary);
    command.args(["-pthread", "-ldl", "-lm"]);
    run(command, LIMIT).expect_success();
    binary
}

/// A case of a program, with what else it needs in its environment.
fn run_case(binary: &Path, case: &str, expected: Option<&Path>) -> Finished {
    let mut command = Command::new(binary);
    command.env("LD_LIBRARY_PATH", library::shared().parent().expect("its folder"));
    command.arg(case);
    // The programs check that this is what their `malloc` comes from.
    command.envs(expected.map(|path| ("STRATALLOC_EXPECT", path)));
    run(command, LIMIT)
}

/// UndefinedBehaviorSanitizer leaves allocation alone: every block is ours, and none is misaligned
/// or too short.
#[test]
fn programs_with_ubsan_run_on_the_library() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for source in ["api.c", "destructors.c"] {
        let binary = compile(source, "undefined", &library::archive(), folder.path());
        for case in run_case(&binary, "--list", None).expect_success().text().lines() {
            let finished = run_case(&binary, case, Some(&binary)).expect_success();
            assert!(!finished.errors().contains("runtime error"), "{finished}");
        }
    }
}

/// AddressSanitizer and ThreadSanitizer bring an allocator of their own, which runs in the place of
/// ours, and find what they ever find.
#[test]
fn sanitizers_with_an_allocator_of_their_own_take_precedence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (sanitizer, name) in [("address", "AddressSanitizer"), ("thread", "ThreadSanitizer")] {
        let binary = compile("memcheck.c", sanitizer, &library::shared(), folder.path());
        // Where the kernel places mappings more randomly than a sanitizer can bear, some runs do
        // not begin.
        let said = format!("{name}: heap-use-after-free");
        let runs: Vec<_> = (0..5).map(|_| run_case(&binary, "use_after_free", None)).collect();
        let found = runs.iter().any(|run| !run.succeeded() && run.errors().contains(&said));
        assert!(found, "{}", runs[0]);
    }
}
