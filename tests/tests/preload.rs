//! Real programs print the same with the library preloaded as without, and every process of theirs
//! has it loaded.

use std::process::Command;
use std::time::Duration;

use stratalloc_tests::library::programs_dir;
use stratalloc_tests::preload::same_output;
use stratalloc_tests::process::exclusive;

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `interpreter` on one of our scripts.
fn script_prints_the_same(interpreter: &str, script: &str) {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new(interpreter);
        command.arg(programs_dir().join(script));
        command
    });
}

#[test]
fn python() {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new("python3");
        command.arg(programs_dir().join("program.py")).env("PYTHONHASHSEED", "0");
        command
    });
}

/// Python's small objects normally come from its own pools; this way all come from `malloc`.
#[test]
fn python_with_all_objects_from_malloc() {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new("python3");
        command.arg(programs_dir().join("program.py"));
        command.env("PYTHONHASHSEED", "0").env("PYTHONMALLOC", "malloc");
        command
    });
}

#[test]
fn perl() {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new("perl");
        command.arg(programs_dir().join("program.pl"));
        command.env("PERL_HASH_SEED", "0").env("PERL_PERTURB_KEYS", "0");
        command
    });
}

#[test]
fn git() {
    script_prints_the_same("sh", "use_git.sh");
}

#[test]
fn tar_xz_gzip_and_text_tools() {
    script_prints_the_same("sh", "use_tools.sh");
}

#[test]
fn sort_of_50_megabytes_on_four_threads() {
    script_prints_the_same("sh", "sort_big.sh");
}

/// The compiler, which starts other programs, writes the same assembly on stdout.
fn compiler_writes_the_same(compiler: &str, source: &str) {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new(compiler);
        command.args(["-O1", "-S", "-o", "-"]).arg(programs_dir().join(source));
        command
    });
}

#[test]
fn gcc() {
    compiler_writes_the_same("gcc", "compiled.c");
}

#[test]
fn g_plus_plus() {
    compiler_writes_the_same("g++", "compiled.cpp");
}

#[test]
fn sqlite() {
    let _alone = exclusive();
    same_output(LIMIT, || {
        let mut command = Command::new("sqlite3");
        let script = format!(".read {}", programs_dir().join("program.sql").display());
        command.arg("-batch").arg("new.db").arg(script);
        command
    });
}
