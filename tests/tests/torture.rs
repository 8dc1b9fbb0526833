//! What a process may do to its allocator without being sane: short here, for as long as one likes
//! by `ci/soak`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir, program, run_cases};
use stratalloc_tests::library;
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

fn source(name: &str) -> PathBuf {
    library::programs_dir().join(name)
}

/// Compiles with `compiler`; the arguments come after those that all programs share.
fn compile(compiler: &str, name: &str, output: &Path, arguments: &[&str]) {
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-O2", "-fno-builtin", "-D_GNU_SOURCE"]);
    command.arg(source(name)).arg("-o").arg(output).args(arguments).arg("-pthread");
    run(command, LIMIT).expect_success();
}

/// Forks from several threads at once, cancelled threads, destructors that allocate late, `vfork`,
/// `posix_spawn`: nothing hangs, no block changes, in the parent or in any child.
#[test]
fn threads_fork_spawn_and_are_cancelled_while_others_allocate() {
    let _alone = exclusive();
    for link in [Link::Preload, Link::Static] {
        run_cases("torture.c", link, LIMIT);
    }
}

/// Blocks and thread-local variables outlive the library that they came from.
#[test]
fn libraries_with_constructors_come_and_go() {
    let _alone = exclusive();
    let visitor = output_dir().join("visitor.so");
    compile("cc", "visitor.c", &visitor, &["-shared", "-fPIC"]);
    let mut torture = command("torture.c", Link::Preload);
    torture.arg("libraries_that_come_and_go").env("TORTURE_LIBRARY", visitor);
    run(torture, LIMIT).expect_success();
}

/// An executable without any shared library: no preload, no `dlsym`, thread-local storage at fixed
/// places.
#[test]
fn static_executables_run() {
    let _alone = exclusive();
    let archive = library::archive();
    let archive = archive.to_str().expect("a path in UTF-8");
    for (name, arguments) in
        [("api.c", ""), ("fork.c", "generations"), ("torture.c", "cancelled_threads")]
    {
        let binary = output_dir().join(format!("{}-wholly-static", name.replace('.', "-")));
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../allocator/capi/include");
        let include = format!("-I{}", include.display());
        compile("cc", name, &binary, &[&include, "-static", archive, "-lm"]);
        let mut command = Command::new(&binary);
        if !arguments.is_empty() {
            command.arg(arguments);
        }
        run(command, LIMIT).expect_success();
    }
}

/// Another C library: no glibc names, other thread-local storage, other stacks; with and without
/// shared libraries.
#[test]
fn programs_of_musl_link_with_the_archive() {
    let _alone = exclusive();
    let archive = library::archive();
    let archive = archive.to_str().expect("a path in UTF-8");
    for (name, argument) in
        [("torture.c", "cancelled_threads"), ("fork.c", "generations"), ("thread_churn.c", "2000")]
    {
        for link in ["-static", "-rdynamic"] {
            let binary = output_dir().join(format!("{}-musl{link}", name.replace('.', "-")));
            compile("musl-gcc", name, &binary, &[link, archive]);
            let mut command = Command::new(&binary);
            command.arg(argument);
            run(command, LIMIT).expect_success();
        }
    }
}

/// Whoever runs a setuid program must not steer its allocator: it reads no options, writes no
/// files. Needs root, who alone can make one that others run.
#[test]
fn a_setuid_program_does_not_listen_to_its_caller() {
    let plain = program("secure.c", Link::Static);
    let listening = |mut command: Command| {
        command.env("STRATALLOC_OPTIONS", "help").env_remove("LD_PRELOAD");
        let finished = run(command, LIMIT).expect_success();
        (finished.text(), !finished.errors().is_empty())
    };
    assert_eq!(listening(Command::new(&plain)), ("plain\n".into(), true));
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not root: nobody can run a setuid program as somebody else");
        return;
    }
    // In a folder that nobody can enter too.
    let folder = tempfile::Builder::new().prefix("setuid").tempdir_in("/tmp").expect("a folder");
    let mode = |path: &Path, bits| {
        fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("changing a mode");
    };
    mode(folder.path(), 0o755);
    let binary = folder.path().join("secure");
    fs::copy(&plain, &binary).expect("a copy");
    mode(&binary, 0o4755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
    command.current_dir("/");
    assert_eq!(listening(command), ("setuid\n".into(), false));
}
