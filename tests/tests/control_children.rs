//! Control sockets of forked children: workers of a server, daemons, `redis-server --daemonize`.
//! And the children that must have none: those that do not allocate, and those that share memory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::process::{Finished, run, start_service};
use stratalloc_tests::{ctl, library};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

fn ask(target: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(ctl::program());
    command.arg(target).args(arguments);
    run(command, LIMIT)
}

/// Asks until there is an answer: a child's socket comes a moment after its first allocation.
fn ask_patiently(target: &str, arguments: &[&str]) -> String {
    let start = Instant::now();
    loop {
        let finished = ask(target, arguments);
        if finished.succeeded() || start.elapsed() > LIMIT {
            return finished.expect_success().text();
        }
        sleep(Duration::from_millis(20));
    }
}

/// `prefork.c`, until this is dropped.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    /// The processes that it forked.
    forked: Vec<String>,
    folder: TempDir,
}

impl Server {
    /// With sockets at `socket` in a folder of their own; `1`: where they are if nobody says it.
    fn start(arguments: &[&str], socket: &str, link: Link) -> Self {
        let folder = ctl::private_folder();
        let place = if socket == "1" { socket.into() } else { folder.path().join(socket) };
        let (mut child, line) = start_service(
            command("prefork.c", link)
                .args(arguments)
                .env("STRATALLOC_CONTROL", place)
                .env("STRATALLOC_LEAK_REPORT", "trace"),
        );
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ready"));
        let input = child.stdin.take();
        Self { child, input, forked: words.collect(), folder }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let entries = self.folder.path().read_dir().expect("the folder");
        entries.map(|entry| entry.expect("a file").path()).collect()
    }

    fn stop(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().expect("the server").success());
        let start = Instant::now();
        let is_there = |pid: &String| Path::new("/proc").join(pid).exists();
        while self.forked.iter().any(is_there) {
            assert!(start.elapsed() < LIMIT, "a child stays");
            sleep(Duration::from_millis(10));
        }
    }
}

/// Each worker answers for itself, by its process number, wherever the sockets are; and its parent
/// still does.
#[test]
fn every_worker_of_a_server_answers_for_itself() {
    for (socket, link) in [("control-%p.sock", Link::Preload), ("control.sock", Link::Static)] {
        let server = Server::start(&["workers", "3"], socket, link);
        for (index, worker) in server.forked.iter().enumerate() {
            let report = ask_patiently(worker, &["leaks", "--limit", "1"]);
            let (count, bytes) = (index + 1, (index + 1) * 10_000);
            let line = format!("{bytes} bytes in {count} allocations");
            assert!(report.contains(&line), "no {line:?}: {report}");
            assert!(report.contains("serve at "), "{report}");
        }
        let parent = server.child.id().to_string();
        assert!(ask(&parent, &["stats"]).expect_success().text().contains("in use"));
        assert_eq!(server.sockets().len(), 4, "{:?}", server.sockets());
        server.stop();
    }
}

/// As nginx's workers do: group and user are given up one after the other, and the socket is made
/// as whom the worker became, though each of the two calls wakes the thread that makes it.
#[test]
fn workers_that_give_up_their_rights_have_sockets_of_their_own_user() {
    let server = Server::start(&["users", "3"], "1", Link::Preload);
    for worker in &server.forked {
        ask_patiently(worker, &["stats"]);
        let user = fs::metadata(format!("/proc/{worker}")).expect("it runs").uid();
        let socket = format!("/tmp/stratalloc-{user}/{worker}.sock");
        let owner = fs::metadata(&socket).unwrap_or_else(|e| panic!("{socket}: {e}")).uid();
        assert_eq!(owner, user);
        // SAFETY: reads a number of the process.
        assert!(user != 0 || unsafe { libc::geteuid() } != 0, "it gave up being root");
    }
    server.stop();
}

/// A daemon is followed after its parent has ended, and its socket goes with it.
#[test]
fn a_daemon_answers_after_its_parent_has_ended() {
    let server = Server::start(&["daemon"], "%p.sock", Link::Preload);
    let daemon = server.forked[0].clone();
    let report = ask_patiently(&daemon, &["leaks", "--limit", "1"]);
    assert!(report.contains("daemonize at "), "{report}");
    let folder = server.folder.path().to_owned();
    let socket = folder.join(format!("{daemon}.sock"));
    assert!(socket.exists());
    assert!(ask(&socket.display().to_string(), &["metrics"]).text().ends_with("# EOF\n"));
    server.stop();
}

/// Redis forks, leaves its session, and goes on as the child; the server is followed by its number.
#[test]
fn a_redis_server_that_became_a_daemon_is_followed() {
    let folder = ctl::private_folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut server = Command::new("redis-server");
    server.args(["--port", "0", "--save", "", "--daemonize", "yes", "--dir"]).arg(folder.path());
    server.args([
        "--unixsocket",
        &at("redis.sock"),
        "--pidfile",
        &at("pid"),
        "--logfile",
        &at("log"),
    ]);
    server.env("LD_PRELOAD", library::shared()).env("STRATALLOC_CONTROL", at("%p.sock"));
    server.env("STRATALLOC_SAMPLE_INTERVAL", "4KiB");
    run(server, LIMIT).expect_success();
    let start = Instant::now();
    while !fs::read_to_string(at("pid")).is_ok_and(|pid| pid.ends_with('\n')) {
        assert!(start.elapsed() < LIMIT, "no number: {:?}", fs::read_to_string(at("log")));
        sleep(Duration::from_millis(10));
    }
    let pid = fs::read_to_string(at("pid")).expect("a number").trim().to_owned();
    let client = |arguments: &[&str]| {
        let mut client = Command::new("redis-cli");
        client.args(["-s", &at("redis.sock")]).args(arguments);
        run(client, LIMIT)
    };
    let fill = "for i = 1, 20000 do redis.call('SET', 'k' .. i, string.rep('x', 500)) end";
    client(&["EVAL", fill, "0"]).expect_success();
    let in_use = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with("in use by the program"));
        let words = line.and_then(|line| line.split_whitespace().nth(6));
        words.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no figure: {text}"))
    };
    let held = in_use(&ask_patiently(&pid, &["stats"]));
    assert!(held > 10_000_000, "{held}");
    let report = ask(&pid, &["leaks", "--limit", "3"]).expect_success().text();
    assert!(report.contains("estimated from a sample every 4096 bytes"), "{report}");
    assert!(report.contains("redis"), "{report}");
    client(&["SHUTDOWN", "NOSAVE"]);
    let start = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(start.elapsed() < LIMIT, "redis stays");
        sleep(Duration::from_millis(10));
    }
    assert!(!Path::new(&at(&format!("{pid}.sock"))).exists(), "the socket is removed");
}

/// No thread comes into being behind the back of a child that does not allocate or shares its
/// parent's memory, and children that are gone at once leave no socket behind.
#[test]
fn children_that_need_no_thread_have_none() {
    let folder = ctl::private_folder();
    let mut program = command("prefork.c", Link::Preload);
    program.arg("kinds").env("STRATALLOC_CONTROL", folder.path().join("%p.sock"));
    let text = run(program, LIMIT).expect_success().text();
    let expected = "without allocation: 1\nwith allocation: 2\nexec: 7\nvfork: 1\nparent: 2 2\n";
    assert_eq!(text, expected);
    let left: Vec<_> = folder.path().read_dir().expect("the folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
