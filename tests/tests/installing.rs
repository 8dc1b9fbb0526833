//! `ci/install`: what it puts where, that C programs are built from it by pkg-config and CMake, and
//! that nothing is left of it afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(900);

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn install(arguments: &[&str]) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/install");
    let mut command = Command::new(script);
    command.args(arguments).env("CARGO_TARGET_DIR", library::target_dir());
    command
}

/// All files and links below a folder, by their paths from there.
fn files(folder: &Path) -> Vec<String> {
    let mut list = Command::new("find");
    list.arg(folder).args(["-not", "-type", "d", "-printf", "%P\\n"]);
    let mut names: Vec<String> =
        run(list, LIMIT).expect_success().text().lines().map(str::to_owned).collect();
    names.sort();
    names
}

fn source() -> PathBuf {
    library::programs_dir().join("installed")
}

/// Runs a program that was built from the installation in `prefix`.
#[track_caller]
fn expect_version(program: &Path, prefix: &Path) {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", prefix.join("lib"));
    let finished = run(command, LIMIT).expect_success();
    assert_eq!(finished.text().trim(), format!("stratalloc {VERSION}"), "{}", program.display());
}

fn built_by_pkg_config(prefix: &Path, folder: &Path) {
    let pkg_config = |flag: &str| {
        let mut command = Command::new("pkg-config");
        command.args([flag, "stratalloc"]);
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        run(command, LIMIT).expect_success().text()
    };
    assert_eq!(pkg_config("--modversion").trim(), VERSION);
    let output = folder.join("by-pkg-config");
    let mut compile = Command::new("cc");
    compile.args(["-Wall", "-Wextra", "-Werror", "-Wl,--as-needed"]).arg(source().join("main.c"));
    compile.args(pkg_config("--cflags").split_whitespace());
    compile.args(pkg_config("--libs").split_whitespace()).arg("-o").arg(&output);
    run(compile, LIMIT).expect_success();
    expect_version(&output, prefix);
    let mut dynamic = Command::new("readelf");
    dynamic.arg("-d").arg(&output);
    let dynamic = run(dynamic, LIMIT).expect_success().text();
    assert!(dynamic.contains("[libstratalloc.so.0]"), "{dynamic}");
}

fn built_by_cmake(prefix: &Path, folder: &Path) {
    let configure = |wanted: &str| {
        let mut command = Command::new("cmake");
        command.arg("-S").arg(source()).arg("-B").arg(folder.join("cmake"));
        command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
        command.arg(format!("-DWANTED={wanted}"));
        run(command, LIMIT)
    };
    let refused = configure("0.2");
    assert!(!refused.succeeded(), "a version that is not there was found");
    configure("0.1").expect_success();
    let mut build = Command::new("cmake");
    build.arg("--build").arg(folder.join("cmake"));
    run(build, LIMIT).expect_success();
    for name in ["shared", "static"] {
        expect_version(&folder.join("cmake").join(name), prefix);
    }
}

#[test]
fn what_is_installed_serves_programs_and_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = folder.path().join("prefix");
    let flag = format!("--prefix={}", prefix.display());
    run(install(&[&flag]), LIMIT).expect_success();
    let installed = files(&prefix);
    for name in ["", "-hardened", "-prefixed"] {
        let link = |name: String| fs::read_link(prefix.join("lib").join(name)).expect("a link");
        let whole = format!("libstratalloc{name}.so.{VERSION}");
        assert_eq!(link(format!("libstratalloc{name}.so.0")), Path::new(&whole));
        link(format!("libstratalloc{name}.so"));
    }
    for name in [
        "bin/stratalloc-ctl",
        "bin/stratalloc-run",
        "include/gperftools/malloc_extension.h",
        "include/stratalloc.h",
        "lib/libstratalloc.a",
        "share/man/man1/stratalloc-run.1",
        "share/man/man3/stratalloc.3",
        "share/man/man7/stratalloc.7",
    ] {
        assert!(installed.iter().any(|file| file == name), "{name} is not installed");
    }
    built_by_pkg_config(&prefix, folder.path());
    built_by_cmake(&prefix, folder.path());
    for arguments in [&["true"][..], &["--hardened", "true"]] {
        let mut command = Command::new(prefix.join("bin/stratalloc-run"));
        command.args(arguments);
        run(command, LIMIT).expect_success();
    }

    // Again, over itself, then away; what is somebody else's stays.
    run(install(&[&flag]), LIMIT).expect_success();
    assert_eq!(files(&prefix), installed);
    fs::write(prefix.join("lib/foreign"), "").expect("a file");
    run(install(&[&flag, "--uninstall"]), LIMIT).expect_success();
    assert_eq!(files(&prefix), ["lib/foreign"]);
    assert!(!prefix.join("share").exists() && !prefix.join("include").exists());
    let again = run(install(&[&flag, "--uninstall"]), LIMIT);
    assert!(again.errors().contains("nothing is installed"), "{again}");
}

/// Packages are made so: no file knows of the folder that it was made in.
#[test]
fn a_destination_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let destination = folder.path().display().to_string();
    let libdir = "lib/x86_64-linux-gnu";
    let arguments = ["--prefix", "/usr", "--destdir", &destination, "--libdir", libdir];
    run(install(&arguments), LIMIT).expect_success();
    let mut search = Command::new("grep");
    search.args(["-rlF", &destination]).arg(folder.path());
    assert_eq!(run(search, LIMIT).text(), "", "files that name the destination");
    let pc = folder.path().join("usr").join(libdir).join("pkgconfig/stratalloc.pc");
    let text = fs::read_to_string(pc).expect("a file for pkg-config");
    assert!(text.contains("prefix=/usr\nlibdir=${prefix}/lib/x86_64-linux-gnu\n"), "{text}");
}

#[test]
fn a_wrong_command_line_is_refused() {
    for arguments in [
        &[][..],
        &["--prefix"],
        &["--prefix", "relative"],
        &["--prefix", "/tmp", "--no-such-option"],
        &["--prefix", "/tmp", "--libdir", "../elsewhere"],
    ] {
        let finished = run(install(arguments), LIMIT);
        let status = finished.status.and_then(|status| status.code());
        assert_eq!(status, Some(2), "{finished}");
        assert!(finished.errors().contains("usage: ci/install"), "{finished}");
    }
}
