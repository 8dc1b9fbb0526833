//! Where names come from: files in the process's own root, by build-id, and debug information in
//! folders by build-id. Never a file of the same name that is another one.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::process::{Finished, run, start_service};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(60);

/// A program of one leak, by a function of this name.
const SOURCE: &str = "#include <stdio.h>\n#include <stdlib.h>\nvoid *held;\n\
    __attribute__((noinline)) void NAME(void) { held = malloc(12345); }\n\
    int main(void) { NAME(); puts(\"ready\"); fflush(stdout); while (getchar() != EOF) {} return 0; }\n";

/// Compiles `SOURCE` with the function `name` to `folder/program`.
fn compile(folder: &Path, name: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let source = folder.join("program.c");
    fs::write(&source, SOURCE.replace("NAME", name)).expect("a source");
    let mut compiler = Command::new("cc");
    compiler.args(["-g", "-O1", "-fno-builtin", "-Wl,--build-id", "-o"]);
    compiler.arg(folder.join("program")).arg(&source);
    run(compiler, LIMIT).expect_success();
}

struct Running(Child);

impl Running {
    fn start(mut program: Command, socket: &Path) -> Self {
        program.env("STRATALLOC_CONTROL", socket).env("STRATALLOC_LEAK_REPORT", "trace");
        let (child, line) = start_service(program.env("LD_PRELOAD", library::shared()));
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tool(arguments: &[&str]) -> Finished {
    let mut command = Command::new(ctl::program());
    command.args(arguments);
    run(command, LIMIT)
}

/// The program of a container lies at a path where this machine has another program. Names come
/// from the container's. Only root can make a container here.
#[test]
fn names_of_a_containers_process_come_from_its_own_files() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let folder = ctl::private_folder();
    let (here, there) = (folder.path().join("app"), folder.path().join("root"));
    compile(&here, "of_the_host");
    compile(&there, "of_the_container");
    let mut container = Command::new("unshare");
    let script = format!(
        "mount --bind {} {} && exec {}/program",
        there.display(),
        here.display(),
        here.display()
    );
    container.args(["--mount", "sh", "-c", &script]);
    let socket = folder.path().join("%p.sock");
    let running = Running::start(container, &socket);
    let pid = running.0.id().to_string();
    let report = tool(&[&pid, "leaks", "--limit", "1"]).expect_success().text();
    assert!(report.contains("of_the_container at "), "{report}");
    assert!(!report.contains("of_the_host"), "{report}");
    // The dump knows the build-ids: read here, where the path leads to another file, it names none.
    let dump = folder.path().join("dump").display().to_string();
    tool(&[&pid, "profile", "--format", "raw", "-o", &dump]).expect_success();
    let report = tool(&["report", "--limit", "1", &dump]).expect_success().text();
    assert!(report.contains("?? (program+0x"), "{report}");
    assert!(!report.contains("of_the_host") && !report.contains("of_the_container"), "{report}");
}

/// The socket of a process in namespaces of its own is found by the number that it has here.
#[test]
fn a_process_in_a_namespace_of_processes_is_found_by_its_number_here() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let mut container = Command::new("unshare");
    // The files may lie in /tmp, which becomes another one.
    let script = "exec 8<\"$0\" 9<\"$1\"; mount -t tmpfs tmpfs /tmp && \
                  LD_PRELOAD=/proc/self/fd/9 exec /proc/self/fd/8 workers 0";
    container.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script]);
    container.arg(program("prefork.c", Link::Preload)).arg(library::shared());
    let (child, line) = start_service(container.env("STRATALLOC_CONTROL", "1"));
    let running = Running(child);
    assert!(line.starts_with("ready"), "{line}");
    let rows = tool(&["list", "--format", "json"]).expect_success().text();
    let rows: serde_json::Value = serde_json::from_str(&rows).expect("JSON");
    let inside = |row: &&serde_json::Value| {
        row["socket"].as_str().is_some_and(|path| path.contains("/root/tmp/stratalloc-0/1.sock"))
    };
    let row = rows.as_array().and_then(|rows| rows.iter().find(inside));
    let pid = row.unwrap_or_else(|| panic!("not there: {rows:#}"))["pid"].to_string();
    assert!(tool(&[&pid, "stats"]).expect_success().text().contains("in use"));
    drop(running);
}

/// A stripped program has names and lines by its build-id, in folders as debuginfod's, and none by
/// debug information of another build.
#[test]
fn a_stripped_program_is_named_by_its_build_id() {
    let folder = ctl::private_folder();
    compile(folder.path(), "kept_aside");
    let binary = folder.path().join("program");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let debug = at("program.debug");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(folder.path());
        run(command, LIMIT).expect_success().text()
    };
    let id = shell("readelf -n program | sed -n 's/.*Build ID: //p'").trim().to_owned();
    assert_eq!(id.len(), 40, "{id}");
    shell("objcopy --only-keep-debug program program.debug && strip program");
    let running = Running::start(Command::new(&binary), &folder.path().join("%p.sock"));
    let pid = running.0.id().to_string();
    let leaks = |arguments: &[&str]| {
        let mut all = vec![pid.as_str(), "leaks", "--limit", "1"];
        all.extend(arguments);
        tool(&all).expect_success().text()
    };
    assert!(!leaks(&[]).contains("kept_aside"), "{}", leaks(&[]));
    let tree = at("tree");
    let place = folder.path().join("tree/.build-id").join(&id[..2]);
    fs::create_dir_all(&place).expect("folders");
    fs::copy(&debug, place.join(format!("{}.debug", &id[2..]))).expect("a copy");
    let named = leaks(&["--debug-dir", &tree]);
    assert!(named.contains("kept_aside at ") && named.contains("program.c:4"), "{named}");
    // As debuginfod's clients keep it.
    let cache = folder.path().join("cache");
    fs::create_dir_all(cache.join(&id)).expect("folders");
    fs::copy(&debug, cache.join(&id).join("debuginfo")).expect("a copy");
    assert_eq!(leaks(&["--debug-dir", &cache.display().to_string()]), named);
    // The program itself is gone: its debug information is enough.
    let dump = at("dump");
    tool(&[&pid, "profile", "--format", "raw", "-o", &dump]).expect_success();
    fs::remove_file(&binary).expect("the program");
    let report = |tree: &str| tool(&["report", "--limit", "1", "--debug-dir", tree, &dump]);
    assert!(report(&tree).expect_success().text().contains("kept_aside at "));
    // That of another build is at the place, and is not used.
    let other = folder.path().join("other");
    compile(&other, "another_build");
    fs::copy(other.join("program"), place.join(format!("{}.debug", &id[2..]))).expect("a copy");
    let text = report(&tree).expect_success().text();
    assert!(!text.contains("another_build") && !text.contains("kept_aside"), "{text}");
}
