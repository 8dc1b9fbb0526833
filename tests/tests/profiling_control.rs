//! Talking to a running process by its control socket: a leak found while a service serves, the
//! other commands, who may talk, and what garbage does (nothing).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run, start_service};

const LIMIT: Duration = Duration::from_secs(60);

/// The leaking service, serving until this is dropped.
struct Service {
    child: Child,
    input: Option<ChildStdin>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Service {
    fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_program(Command::new(ctl::example("service")), variables)
    }

    /// A program that says `ready`, and ends when its input does.
    fn start_program(mut program: Command, variables: &[(&str, &str)]) -> Self {
        let folder = ctl::private_folder();
        let socket = folder.path().join("control.sock");
        let (mut child, line) = start_service(
            program
                .env("STRATALLOC_CONTROL", &socket)
                .envs(variables.iter().copied())
                .current_dir(folder.path()),
        );
        assert_eq!(line, "ready\n");
        let input = child.stdin.take();
        Self { child, input, socket, _folder: folder }
    }

    fn ask(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(ctl::program());
        command.arg(&self.socket).args(arguments);
        run(command, LIMIT)
    }

    fn text(&self, arguments: &[&str]) -> String {
        self.ask(arguments).expect_success().text()
    }

    /// What the socket says to `request`.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("the socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a time");
        // The other side may have closed already.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Ends the service in order and waits for it.
    fn stop(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("the service").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TRACE: [(&str, &str); 1] = [("STRATALLOC_LEAK_REPORT", "trace")];

/// The must-show of the issue: the leak of a service with four threads is at the top of the report,
/// and of what grew, while it serves.
#[test]
fn a_leak_is_found_while_the_service_serves() {
    let service = Service::start(&TRACE);
    std::thread::sleep(Duration::from_millis(300));
    let growth = service.text(&["leaks", "--growth", "0.5", "--format", "json"]);
    let growth: Value = serde_json::from_str(&growth).expect("JSON");
    let group = &growth["groups"][0];
    let names: Vec<&str> = group["frames"]
        .as_array()
        .expect("frames")
        .iter()
        .filter_map(|frame| frame["function"].as_str())
        .collect();
    let at = |wanted: &str| names.iter().position(|name| name.contains(wanted));
    assert!(at("open_session").is_some() && at("open_session") < at("handle"), "{growth:#}");
    let (bytes, count) = (group["bytes"].as_u64(), group["allocations"].as_f64());
    assert_eq!(bytes.map(|bytes| bytes as f64), count.map(|count| count * 4096.0), "{growth:#}");
    let report = service.text(&["leaks", "--limit", "1"]);
    assert!(report.contains("Service::open_session at"), "{report}");
    service.stop();
}

/// The same in a sampled process, by an estimate.
#[test]
fn a_leak_is_found_by_sampling_too() {
    let service = Service::start(&[("STRATALLOC_SAMPLE_INTERVAL", "16KiB")]);
    let mut report = String::new();
    let start = Instant::now();
    // Sampled by chance; each second leaks some four megabytes, so hundreds of samples.
    while !report.contains("Service::open_session at") && start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(200));
        report = service.text(&["leaks", "--limit", "1"]);
    }
    assert!(report.contains("Service::open_session at"), "{report}");
    assert!(report.contains("estimated from a sample every 16384 bytes"), "{report}");
    assert!(service.text(&["set", "sample_interval=1MiB"]).contains("sample_interval = 1MiB"));
    service.stop();
}

#[test]
fn every_command_is_answered() {
    let service = Service::start(&TRACE);
    assert!(service.text(&["stats"]).contains("in use by the program"));
    let top = service.text(&["top", "--count", "2", "--interval", "0.1"]);
    assert_eq!(top.matches("in use by the program").count(), 2, "{top}");
    assert!(top.lines().any(|line| line.trim_start().starts_with("4096 ")), "{top}");
    assert!(service.text(&["metrics"]).ends_with("# EOF\n"));
    assert!(service.text(&["trim"]).contains("bytes given back"));
    assert!(service.text(&["release", "1000000"]).contains("bytes given back"));
    assert_eq!(service.text(&["set", "decay_ms=123ms"]), "decay_ms = 123ms\n");
    for wrong in [["set", "decay_ms=x"], ["set", "nonsense=1"], ["set", "sample_interval=5"]] {
        let finished = service.ask(&wrong);
        assert!(!finished.succeeded() && finished.errors().lines().count() == 1, "{finished}");
    }
    service.stop();
}

/// Whatever comes over the socket, the process goes on and answers the next one.
#[test]
fn garbage_is_refused_and_harmless() {
    let service = Service::start(&TRACE);
    let long = vec![b'a'; 100_000];
    let requests: [&[u8]; 12] = [
        b"",
        b"\n",
        b"\0\0\0\n",
        b"stats",
        b"stats stats\n",
        b"set\n",
        b"set x\n",
        b"release -1\n",
        b"release 99999999999999999999\n",
        b"\xff\xfe\n",
        b"set decay_ms=\n",
        &long,
    ];
    for request in requests {
        let answer = service.raw(request);
        assert!(answer.is_empty() || answer.starts_with("error: "), "{request:?}: {answer:?}");
    }
    // Who hangs up before the answer is there does not end the process by SIGPIPE.
    for _ in 0..20 {
        let mut stream = UnixStream::connect(&service.socket).expect("the socket");
        stream.write_all(b"profile\n").expect("a request");
    }
    assert!(service.raw(b"stats\n").starts_with("ok\n"));
    service.stop();
}

/// The folder and the socket are the owner's alone, and a folder that is not refuses to hold a
/// socket. The socket is gone when the process is.
#[test]
fn the_socket_is_private_and_goes_with_the_process() {
    let service = Service::start(&TRACE);
    let socket = service.socket.clone();
    let mode = fs::metadata(&socket).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our folder");
    let mut open = Command::new(ctl::example("fibonacci"));
    open.env("STRATALLOC_CONTROL", folder.path().join("control.sock"));
    let finished = run(open, LIMIT).expect_success();
    assert!(finished.errors().starts_with("stratalloc: no control socket: "), "{finished}");
    assert_eq!(folder.path().read_dir().expect("the folder").count(), 0);
    service.stop();
    assert!(!socket.exists());
}

/// Other users are refused by what the kernel says of them. Only root can become somebody else
/// here; for others, the modes checked above are what can be seen.
#[test]
fn other_users_are_refused() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let service = Service::start(&TRACE);
    // Let the other user reach the socket, so that only the kernel's word is left against it.
    let folder = service.socket.parent().expect("a folder");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our folder");
    fs::set_permissions(&service.socket, fs::Permissions::from_mode(0o666)).expect("our socket");
    let script = "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); \
                  s.connect(sys.argv[1])\ntry:\n s.sendall(b'stats\\n'); print(len(s.recv(100)))\n\
                  except OSError: print(0)";
    let mut other = Command::new("python3");
    other.args(["-c", script]).arg(&service.socket);
    assert_eq!(run(other, LIMIT).expect_success().text(), "0\n");
    assert!(service.raw(b"stats\n").starts_with("ok\n"), "the owner still can");
    service.stop();
}

/// The second way: a signal makes the process write a dump, which is read like one over the socket.
#[test]
fn a_signal_writes_a_profile() {
    let variables = [
        ("STRATALLOC_LEAK_REPORT", "trace"),
        ("STRATALLOC_DUMP_SIGNAL", "usr2"),
        ("STRATALLOC_PROFILE_FILE", "profile-%p"),
    ];
    let service = Service::start(&variables);
    let process = libc::pid_t::try_from(service.child.id()).expect("a process's number");
    let file = service.socket.with_file_name(format!("profile-{process}"));
    // SAFETY: takes no pointers; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(process, libc::SIGUSR2) }, 0);
    let start = Instant::now();
    while !fs::read_to_string(&file).is_ok_and(|text| text.ends_with("end\n")) {
        assert!(start.elapsed() < LIMIT, "no profile came");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut report = Command::new(ctl::program());
    report.arg("report").arg(&file);
    let report = run(report, LIMIT).expect_success().text();
    assert!(report.contains("outstanding"), "{report}");
    service.stop();
}

/// The thread that answers is none of the C library's: a program whose `main` calls `pthread_exit`
/// is over when its last thread is. Until then it is answered, though the thread that the process
/// is named after is gone.
#[test]
fn a_program_that_leaves_main_by_pthread_exit_ends_by_itself() {
    let folder = ctl::private_folder();
    let mut program = command("main_exits.c", Link::Preload);
    program.env("STRATALLOC_CONTROL", folder.path().join("control.sock"));
    program.env("STRATALLOC_DUMP_SIGNAL", "usr2");
    let finished = run(program, LIMIT).expect_success();
    assert!(finished.errors().is_empty(), "{finished}");
    assert_eq!(folder.path().read_dir().expect("the folder").count(), 0, "the socket is removed");

    let mut program = command("main_exits.c", Link::Preload);
    program.arg("go on");
    let service = Service::start_program(program, &TRACE);
    let dump = service.raw(b"profile\n");
    assert!(dump.starts_with("ok\n") && dump.ends_with("end\n"), "{dump}");
    let mappings = dump.split("\nmappings\n").nth(1).expect("mappings");
    assert!(mappings.contains("libstratalloc"), "{dump}");
    assert!(service.text(&["leaks"]).contains("long_one at "));
    service.stop();
}

/// The thread is one of the program's own: it has the program's users and rights, and so loses what
/// the program gives up.
#[test]
fn the_thread_that_answers_has_the_programs_rights() {
    let service = Service::start(&TRACE);
    let tasks = format!("/proc/{}/task", service.child.id());
    let statuses = fs::read_dir(tasks).expect("threads").map(|task| {
        fs::read_to_string(task.expect("a thread").path().join("status")).expect("its status")
    });
    let statuses: Vec<String> = statuses.collect();
    let named =
        |name: &str| statuses.iter().find(|status| status.contains(&format!("Name:\t{name}\n")));
    let ours = named("stratalloc-ctl").unwrap_or_else(|| panic!("no such thread: {statuses:#?}"));
    let main =
        fs::read_to_string(format!("/proc/{}/status", service.child.id())).expect("its status");
    for what in ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff"] {
        let line = |status: &str| {
            let found = status.lines().find(|line| line.starts_with(&format!("{what}:")));
            found.unwrap_or_else(|| panic!("no {what}: {status}")).to_owned()
        };
        assert_eq!(line(ours), line(&main), "{ours}");
    }
    assert!(ours.contains("CapAmb:\t0000000000000000\n"), "{ours}");
    service.stop();
}
