//! `stratalloc-run`: programs run on the library, and those that it cannot be preloaded into are
//! refused with the reason.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use stratalloc_tests::process::run;
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(60);

/// An installation in a folder that everybody may read: `bin` and `lib`, as `ci/install` lays it
/// out.
struct Installed(tempfile::TempDir);

impl Installed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        for name in ["bin", "lib"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let lib = folder.path().join("lib");
        fs::copy(library::shared(), lib.join("libstratalloc.so.0.1.0")).expect("the library");
        symlink("libstratalloc.so.0.1.0", lib.join("libstratalloc.so.0")).expect("a link");
        fs::copy(ctl::runner(), folder.path().join("bin/stratalloc-run")).expect("the program");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `stratalloc-run` with arguments.
    fn run<I: AsRef<std::ffi::OsStr>>(&self, arguments: &[I]) -> Command {
        let mut command = Command::new(self.path("bin/stratalloc-run"));
        command.args(arguments).env_remove("LD_PRELOAD");
        command
    }

    /// A copy of a program, to change.
    fn copy_of(&self, program: &str, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::copy(program, &path).expect("a copy");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }
}

/// Fails unless the command ends with that status and says `why`.
#[track_caller]
fn refused(command: Command, status: i32, why: &str) {
    let finished = run(command, LIMIT);
    assert_eq!(finished.status.and_then(|status| status.code()), Some(status), "{finished}");
    assert!(finished.errors().contains(why), "it does not say {why:?}: {finished}");
}

/// Which file the `malloc` of the process comes from.
const WHOSE: &str = "import os; maps = open('/proc/self/maps').read(); \
    print('stratalloc' in maps, os.environ['LD_PRELOAD'])";

#[test]
fn a_program_runs_on_the_library_beside_it() {
    let installed = Installed::new();
    let library = installed.path("lib/libstratalloc.so.0.1.0").canonicalize().expect("a path");
    let finished = run(installed.run(&["python3", "-c", WHOSE]), LIMIT).expect_success();
    assert_eq!(finished.text().trim(), format!("True {}", library.display()));

    // By a link from elsewhere, as distributions and users make them; a script; a status.
    let link = installed.path("link");
    symlink(installed.path("bin/stratalloc-run"), &link).expect("a link");
    let script = installed.path("script");
    fs::write(&script, "#! /bin/sh\necho \"$LD_PRELOAD $1\"; exit 7\n").expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode");
    let mut command = Command::new(link);
    command.arg(&script).arg("--help").env_remove("LD_PRELOAD");
    let finished = run(command, LIMIT);
    assert_eq!(finished.status.and_then(|status| status.code()), Some(7), "{finished}");
    assert_eq!(finished.text().trim(), format!("{} --help", library.display()));

    // What is preloaded already stays, and once is enough.
    let mut command = installed.run(&["python3", "-c", WHOSE]);
    command.env("LD_PRELOAD", "libm.so.6");
    let finished = run(command, LIMIT).expect_success();
    assert_eq!(finished.text().trim(), format!("True {}:libm.so.6", library.display()));
    let own = installed.path("bin/stratalloc-run").display().to_string();
    let finished = run(installed.run(&[&own, "python3", "-c", WHOSE]), LIMIT).expect_success();
    assert_eq!(finished.text().trim(), format!("True {}", library.display()));
}

#[test]
fn programs_that_are_not_there_or_may_not_run_have_the_status_of_env() {
    let installed = Installed::new();
    refused(installed.run(&["no-such-program"]), 127, "no-such-program");
    refused(installed.run(&["/no/such/program"]), 127, "/no/such/program");
    refused(installed.run(&["/etc/passwd"]), 126, "/etc/passwd");
    refused(installed.run(&["/etc"]), 126, "/etc");
    let script = installed.path("script");
    fs::write(&script, "#!/no/such/interpreter\n").expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its mode");
    refused(installed.run(&[script]), 127, "/no/such/interpreter");
    refused(installed.run(&["--no-such-option", "ls"]), 2, "--no-such-option");
    refused(installed.run::<&str>(&[]), 2, "Usage");
    // The hardened library is not installed here.
    refused(installed.run(&["--hardened", "ls"]), 125, "libstratalloc-hardened.so.0");
    refused(installed.run(&["--library", "/no/such/file", "ls"]), 125, "/no/such/file");
    let version = run(installed.run(&["--version"]), LIMIT).expect_success();
    assert_eq!(version.text().trim(), concat!("stratalloc-run ", env!("CARGO_PKG_VERSION")));
    let help = run(installed.run(&["--help"]), LIMIT).expect_success().text();
    assert!(help.contains("--hardened") && help.contains("127"), "{help}");
}

/// In all of these the dynamic linker would preload nothing and say nothing.
#[test]
fn programs_that_nothing_can_be_preloaded_into_are_refused() {
    let installed = Installed::new();
    let source = installed.path("static.c");
    fs::write(&source, "int main(void) { return 0; }").expect("a source");
    for (flag, name) in [("-static", "static"), ("-static-pie", "static-pie")] {
        let program = installed.path(name);
        let mut compile = Command::new("cc");
        compile.arg(flag).arg(&source).arg("-o").arg(&program);
        run(compile, LIMIT).expect_success();
        refused(installed.run(&[&program]), 126, "static executable");
    }
    let program = installed.path("musl");
    let mut compile = Command::new("musl-gcc");
    compile.arg(&source).arg("-o").arg(&program);
    run(compile, LIMIT).expect_success();
    refused(installed.run(&[&program]), 126, "musl");

    let mut foreign = fs::read("/bin/true").expect("a program");
    foreign[18] ^= 0x40;
    let path = installed.copy_of("/bin/true", "foreign", 0o755);
    fs::write(&path, &foreign).expect("another machine's");
    refused(installed.run(&[path]), 126, "another machine");
    foreign[4] = 1;
    let path = installed.copy_of("/bin/true", "narrow", 0o755);
    fs::write(&path, &foreign).expect("one of 32 bits");
    refused(installed.run(&[path]), 126, "32 bits");
}

/// Set-user-ID and set-group-ID programs of somebody else, for an ordinary user; for their owner
/// they are programs as any other. Making them takes root, as tests of services do.
#[test]
fn programs_with_more_rights_than_their_user_are_refused() {
    // SAFETY: the call takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        // Nothing can be made that belongs to somebody else; what the system has is there.
        let installed = Installed::new();
        let su = ["/bin/su", "/usr/bin/su"].into_iter().find(|path| Path::new(path).exists());
        refused(installed.run(&[su.expect("su")]), 126, "is set-user-ID");
        return;
    }
    let installed = Installed::new();
    let set_user = installed.copy_of("/bin/true", "set-user", 0o4755);
    let set_group = installed.copy_of("/bin/true", "set-group", 0o2755);
    let capable = installed.copy_of("/bin/true", "capable", 0o755);
    set_capability(&capable);
    let as_nobody = |program: &PathBuf| {
        let mut command = installed.run(&[program]);
        command.uid(65534).gid(65534);
        command
    };
    refused(as_nobody(&set_user), 126, "is set-user-ID");
    refused(as_nobody(&set_group), 126, "is set-group-ID");
    refused(as_nobody(&capable), 126, "has file capabilities");
    for program in [&set_user, &set_group, &capable] {
        run(installed.run(&[program]), LIMIT).expect_success();
    }
    let plain = installed.copy_of("/bin/true", "plain", 0o755);
    run(as_nobody(&plain), LIMIT).expect_success();
}

/// Gives a file the capability to bind low ports, as `setcap` does (`vfs_cap_data`, revision 2).
fn set_capability(path: &Path) {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    const NET_BIND_SERVICE: u32 = 1 << 10;
    let words = [REVISION_2_EFFECTIVE, NET_BIND_SERVICE, 0, 0, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: texts that a NUL ends, and bytes of the length that is given.
    let result = unsafe {
        let attribute = c"security.capability".as_ptr();
        libc::setxattr(name.as_ptr(), attribute, bytes.as_ptr().cast(), bytes.len(), 0)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
