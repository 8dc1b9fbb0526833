//! What `stratalloc-ctl` does besides asking: it lists who answers, removes what is stale, says by
//! cause why a process does not answer, refuses what is no command, and writes completion and a man
//! page.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use stratalloc_tests::compile::{Link, command, program};
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run, start_service};

const LIMIT: Duration = Duration::from_secs(60);

fn tool(arguments: &[&str]) -> Finished {
    let mut command = Command::new(ctl::program());
    command.args(arguments);
    run(command, LIMIT)
}

/// Held by tests that have `list` remove what is stale: one would remove what another one expects
/// to be named to it.
static LISTS: Mutex<()> = Mutex::new(());

/// A process that ends with this value.
struct Running(Child);

impl Running {
    /// `prefork.c` without workers: it says that it is ready, and waits for its input to end.
    fn start(link: Link, variables: &[(&str, &str)]) -> Self {
        let mut program = match link {
            Link::Dlopen => Command::new(program("prefork.c", Link::Preload)),
            link => command("prefork.c", link),
        };
        Self::of(program.args(["workers", "0"]).envs(variables.iter().copied()))
    }

    fn of(program: &mut Command) -> Self {
        let (child, line) = start_service(program);
        assert!(line.starts_with("ready"), "{line}");
        Self(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the tool says when it fails: one line.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let finished = tool(arguments);
    let errors = finished.errors();
    let status = finished.status.and_then(|status| status.code());
    assert_eq!((status, errors.lines().count()), (Some(1), 1), "{finished}");
    errors
}

#[test]
fn each_cause_of_a_refusal_is_named_and_says_what_to_do() {
    let missing = refusal(&["4194303", "stats"]);
    assert!(
        missing.contains("there is no process 4194303") && missing.contains("list"),
        "{missing}"
    );
    // Not on the allocator, and on it without a socket; preloaded and as part of the program.
    let foreign = Running::start(Link::Dlopen, &[("STRATALLOC_CONTROL", "1")]);
    let text = refusal(&[&foreign.pid(), "stats"]);
    assert!(text.contains("does not run on stratalloc") && text.contains("preloaded"), "{text}");
    for link in [Link::Preload, Link::Static] {
        let silent = Running::start(link, &[]);
        let text = refusal(&[&silent.pid(), "stats"]);
        assert!(
            text.contains("has no control socket; start it with STRATALLOC_CONTROL=1"),
            "{text}"
        );
    }
    // One whose folder is open to others.
    let folder = ctl::private_folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our folder");
    let socket = folder.path().join("s").display().to_string();
    let refused = Running::start(Link::Preload, &[("STRATALLOC_CONTROL", &socket)]);
    let text = refusal(&[&refused.pid(), "stats"]);
    assert!(text.contains("listens on no socket; its stderr says why"), "{text}");
    // No socket, and one that nobody listens at.
    let text = refusal(&[&socket, "stats"]);
    assert!(text.contains("there is no socket"), "{text}");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let text = refusal(&[&socket, "stats"]);
    assert!(text.contains("stale") && text.contains("`stratalloc-ctl list`"), "{text}");
}

/// A stale socket at the path of a process that runs without one.
#[test]
fn a_socket_of_an_earlier_process_of_the_same_number_is_stale() {
    let folder = ctl::private_folder();
    let socket = folder.path().join("s").display().to_string();
    let silent = Running::start(Link::Preload, &[("STRATALLOC_CONTROL", &socket)]);
    fs::remove_file(&socket).expect("its socket");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let text = refusal(&[&silent.pid(), "stats"]);
    assert!(text.contains(&socket) && text.contains("stale"), "{text}");
}

/// Only root can run a process of another user's here.
#[test]
fn another_users_process_is_refused_by_rights() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let ours = Running::start(Link::Preload, &[("STRATALLOC_CONTROL", "1")]);
    // Where the other user can run it.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our folder");
    let copy = folder.path().join("stratalloc-ctl");
    // By another process: a thread of this one that forks meanwhile would hold the copy open.
    let mut cp = Command::new("cp");
    cp.arg(ctl::program()).arg(&copy);
    run(cp, LIMIT).expect_success();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.arg(&copy).args([&ours.pid(), "stats"]);
    let finished = run(other, LIMIT);
    let errors = finished.errors();
    assert!(!finished.succeeded() && errors.contains("no rights"), "{finished}");
    assert!(errors.contains("of user 0; run stratalloc-ctl as this user or as root"), "{errors}");
}

/// A process that answers as other versions would.
#[test]
fn another_version_is_named() {
    let folder = ctl::private_folder();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let answers = [
        "error: unknown request\n",
        "ok\nprotocol 9\nversion 7.0.0\nlive_bytes 1\n",
        "ok\nprotocol 8\nversion \u{1b}[2J\r\nlive_bytes 1\n",
    ];
    let server = std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        while answers.len() > 0 {
            let (mut peer, _) = listener.accept().expect("a peer");
            let mut request = [0; 5];
            // Some only see who listens.
            if peer.read_exact(&mut request).is_ok() {
                assert_eq!(&request, b"info\n");
                let answer = answers.next().expect("an answer");
                peer.write_all(answer.as_bytes()).expect("an answer");
            }
        }
    });
    let path = path.display().to_string();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        "an unknown version",
        "stratalloc 7.0.0, which speaks protocol 9",
        "stratalloc \\u{1b}[2J, which speaks protocol 8",
    ];
    for expected in expected {
        let text = refusal(&[&path, "stats"]);
        assert!(text.contains(expected) && text.contains(&format!("ctl {version}")), "{text}");
        assert!(text.contains("use the stratalloc-ctl that was built with"), "{text}");
    }
    server.join().expect("the server");
    let dump = folder.path().join("dump");
    fs::write(&dump, "stratalloc profile 2\nend\n").expect("a dump");
    let text = refusal(&["report", &dump.display().to_string()]);
    assert!(text.contains("version 2") && text.contains("reads 1"), "{text}");
}

/// A process that ends hangs up on whoever asks it, which is no refusal: with the request taken
/// (its end of the connection is closed) or not (the connection is reset).
#[test]
fn a_process_that_ends_while_it_is_asked_does_not_lack_rights() {
    for mode in ["looks", "reads"] {
        let folder = ctl::private_folder();
        let socket = folder.path().join("s").display().to_string();
        let mut asked = Running::of(
            Command::new(program("answers.c", Link::Preload)).args([socket.as_str(), mode]),
        );
        let tool = std::thread::spawn(move || refusal(&[&socket, "stats"]));
        let mut line = String::new();
        let output = asked.0.stdout.as_mut().expect("stdout is piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "asked\n");
        drop(asked);
        let text = tool.join().expect("the tool");
        let is_told = text.contains("hung up before it answered") || text.contains("there is no");
        assert!(is_told && !text.contains("rights"), "{mode}: {text}");
    }
}

/// Processes that answer are listed, forked ones too, and what is stale is gone afterwards.
#[test]
fn the_list_has_who_answers_and_removes_what_is_stale() {
    let _alone = LISTS.lock();
    let server = Running::of(
        command("prefork.c", Link::Preload).args(["workers", "2"]).env("STRATALLOC_CONTROL", "1"),
    );
    let mine =
        |row: &Value| row["program"].as_str().is_some_and(|name| name.starts_with("prefork"));
    let start = Instant::now();
    let rows = loop {
        let text = tool(&["list", "--format", "json"]).expect_success().text();
        let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let parent = server.0.id();
        let children = rows.iter().filter(|row| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", row["pid"])).unwrap_or_default();
            stat.contains(&format!(" {parent} "))
        });
        if children.count() >= 2 || start.elapsed() > LIMIT {
            break rows;
        }
        sleep(Duration::from_millis(20));
    };
    assert!(rows.iter().filter(|row| mine(row)).count() >= 3, "{rows:#?}");
    let parent = rows.iter().find(|row| row["pid"] == server.0.id()).expect("the server");
    assert_eq!(parent["version"], env!("CARGO_PKG_VERSION"), "{parent}");
    let number =
        |name: &str| parent[name].as_u64().unwrap_or_else(|| panic!("no {name}: {parent}"));
    assert!(number("resident_bytes") > 500_000 && number("live_bytes") > 0, "{parent}");
    assert!(number("uptime_seconds") < 600, "{parent}");
    let socket = PathBuf::from(parent["socket"].as_str().expect("a path"));
    let table = tool(&["list"]).expect_success().text();
    assert!(table.lines().next().is_some_and(|line| line.trim().starts_with("PID")), "{table}");
    assert!(table.lines().any(|line| line.trim().starts_with(&server.pid())), "{table}");
    drop(server);
    assert!(socket.exists(), "a process that is killed leaves its socket");
    sleep(Duration::from_millis(2_500));
    let finished = tool(&["list"]).expect_success();
    assert!(finished.errors().contains(&socket.display().to_string()), "{finished}");
    assert!(!socket.exists());
}

/// A worker that a signal ends leaves its socket and, until its parent looks, its number. One that
/// a signal stops has the kernel take connections for it, a few; the next one would wait for ever.
#[test]
fn nobody_waits_for_a_worker_that_a_signal_has_ended_or_stopped() {
    let _alone = LISTS.lock();
    let mut service = command("prefork.c", Link::Preload);
    let (child, line) =
        start_service(service.args(["workers", "2"]).env("STRATALLOC_CONTROL", "1"));
    let _server = Running(child);
    let workers: Vec<i32> =
        line.split_whitespace().skip(1).map(|word| word.parse().expect("a number")).collect();
    let [ended, stopped] = workers[..] else { panic!("{line}") };
    let signal = |pid, signal| {
        // SAFETY: a child of the server's, which is not waited for before the server ends.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    let lists = || {
        let start = Instant::now();
        let finished = tool(&["list", "--format", "json"]).expect_success();
        assert!(start.elapsed() < Duration::from_secs(15), "{finished}");
        let rows: Vec<Value> = serde_json::from_str(&finished.text()).expect("JSON");
        let has = |pid: i32| rows.iter().find(|row| row["pid"] == pid).cloned();
        (has(ended), has(stopped), finished.errors())
    };
    let start = Instant::now();
    let [ended_socket, stopped_socket] = loop {
        if let (Some(one), Some(other), _) = lists() {
            break [one, other].map(|row| row["socket"].as_str().expect("a path").to_owned());
        }
        assert!(start.elapsed() < LIMIT, "no sockets");
        sleep(Duration::from_millis(20));
    };
    sleep(Duration::from_millis(2_100));
    signal(ended, libc::SIGKILL);
    signal(stopped, libc::SIGSTOP);
    let waiting = [(); 8].map(|()| {
        let socket = stopped_socket.clone();
        std::thread::spawn(move || drop(UnixStream::connect(socket)))
    });
    sleep(Duration::from_millis(200));
    let (no_one, no_other, errors) = lists();
    assert!(no_one.is_none() && no_other.is_none(), "{no_one:?} {no_other:?}");
    assert!(errors.contains(&format!("removed {ended_socket}, which was stale")), "{errors}");
    assert!(errors.contains(&format!("{stopped_socket}: the process does not answer")), "{errors}");
    assert!(fs::exists(&stopped_socket).expect("a path"), "it is not stale");
    signal(stopped, libc::SIGCONT);
    for thread in waiting {
        thread.join().expect("a connection");
    }
    let (no_one, other, _) = lists();
    assert!(no_one.is_none() && other.is_some());
}

/// Listens as this process, where those on the allocator listen, until it ends.
struct Listener {
    folder: tempfile::TempDir,
    server: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// `answer` is told of each that has sent a request.
    fn start(answer: impl Fn(&mut UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::Builder::new().prefix("stratalloc-").tempdir_in("/tmp");
        let mut this = Self { folder: folder.expect("a folder"), server: None };
        let listener = UnixListener::bind(this.socket()).expect("a socket");
        let serve = move || {
            for peer in listener.incoming() {
                let (mut peer, mut request) = (peer.expect("a peer"), [0; 5]);
                match peer.read_exact(&mut request) {
                    Ok(()) if &request == b"stop\n" => return,
                    Ok(()) => answer(&mut peer),
                    // Some only see who listens.
                    Err(_) => {}
                }
            }
        };
        this.server = Some(std::thread::spawn(serve));
        this
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(format!("{}.sock", std::process::id()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let stop = UnixStream::connect(self.socket());
        stop.and_then(|mut peer| peer.write_all(b"stop\n")).expect("the server");
        self.server.take().map(std::thread::JoinHandle::join);
    }
}

/// Whoever has a process may listen as one of these. It is missed in the list, and nothing else.
#[test]
fn an_answer_without_end_holds_up_no_list() {
    let _alone = LISTS.lock();
    let slowly = |peer: &mut UnixStream| {
        while peer.write_all(b"x").is_ok() {
            sleep(Duration::from_millis(500));
        }
    };
    let fast = |peer: &mut UnixStream| while peer.write_all(&[b'x'; 1 << 16]).is_ok() {};
    for answer in [slowly, fast] {
        let listener = Listener::start(answer);
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -v 1000000; exec \"$0\" list"]).arg(ctl::program());
        let finished = run(limited, LIMIT).expect_success();
        assert!(finished.elapsed < Duration::from_secs(15), "{finished}");
        let silent = format!("{}: the process does not answer", listener.socket().display());
        assert!(finished.errors().contains(&silent), "{finished}");
    }
}

/// What a process says of itself comes to the terminal of whoever lists all.
#[test]
fn control_characters_of_others_are_written_out_in_the_list() {
    let _alone = LISTS.lock();
    let answer = "ok\nprotocol 1\nversion \u{1b}[2J\u{9b}1m\nlive_bytes 1\n";
    let _listener = Listener::start(move |peer| drop(peer.write_all(answer.as_bytes())));
    let table = tool(&["list"]).expect_success().text();
    assert!(table.contains("\\u{1b}[2J\\u{9b}1m"), "{table}");
    assert!(!table.contains(|c: char| c.is_control() && c != '\n'), "{table}");
}

/// One user's processes, however many, keep nobody from the list of the others.
#[test]
fn many_that_do_not_answer_hold_up_the_list_no_longer_than_a_few() {
    let _alone = LISTS.lock();
    let mut service = command("prefork.c", Link::Preload);
    let (child, line) =
        start_service(service.args(["workers", "12"]).env("STRATALLOC_CONTROL", "1"));
    let _server = Running(child);
    let workers: Vec<i32> =
        line.split_whitespace().skip(1).map(|word| word.parse().expect("a number")).collect();
    assert_eq!(workers.len(), 12, "{line}");
    let start = Instant::now();
    let is_listed = |table: &str, pid: &i32| {
        table.lines().any(|line| line.split_whitespace().next() == Some(&pid.to_string()))
    };
    loop {
        let table = tool(&["list"]).expect_success().text();
        if workers.iter().all(|pid| is_listed(&table, pid)) {
            break;
        }
        assert!(start.elapsed() < LIMIT, "{table}");
        sleep(Duration::from_millis(20));
    }
    let signal = |signal| {
        for &pid in &workers {
            // SAFETY: a child of the server's, which is not waited for before the server ends.
            assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        }
    };
    signal(libc::SIGSTOP);
    let finished = tool(&["list"]);
    signal(libc::SIGCONT);
    let finished = finished.expect_success();
    assert!(finished.elapsed < Duration::from_secs(20), "{finished}");
    let errors = finished.errors();
    let unnamed = workers.iter().find(|pid| !errors.contains(&format!("/{pid}.sock: the process")));
    assert_eq!(unnamed, None, "{finished}");
}

#[test]
fn a_bad_command_line_ends_with_status_2_and_the_usage() {
    let wrong: [&[&str]; 7] = [
        &[],
        &["1"],
        &["1", "nonsense"],
        &["1", "leaks", "--format", "x"],
        &["1", "leaks", "--unreachable", "--growth", "1"],
        &["completions", "csh"],
        &["list", "--x"],
    ];
    for arguments in wrong {
        let finished = tool(arguments);
        assert_eq!(finished.status.and_then(|status| status.code()), Some(2), "{finished}");
        assert!(finished.errors().contains("Usage: stratalloc-ctl"), "{finished}");
    }
    assert!(tool(&["--help"]).expect_success().text().contains("stratalloc-ctl list"));
}

/// What is written for shells is what they take, and names every command.
#[test]
fn completion_and_the_man_page_name_every_command() {
    let commands =
        ["list", "report", "leaks", "profile", "top", "metrics", "trim", "release", "set"];
    for shell in ["bash", "zsh", "fish"] {
        let script = tool(&["completions", shell]).expect_success().text();
        for name in commands {
            assert!(script.contains(name), "{shell}: no {name}");
        }
        assert!(script.contains("unreachable"), "{shell}: no options");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("completion");
    fs::write(&script, tool(&["completions", "bash"]).text()).expect("a script");
    let mut bash = Command::new("bash");
    let complete = "source \"$0\"; complete_words() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                    _stratalloc-ctl \"$1\" \"${@: -1}\" \"${@: -2:1}\"; echo \"${COMPREPLY[@]}\"; }; \
                    complete_words stratalloc-ctl li; complete_words stratalloc-ctl 1 le; \
                    complete_words stratalloc-ctl 1 leaks --unr";
    bash.args(["-c", complete]).arg(&script);
    assert_eq!(run(bash, LIMIT).expect_success().text(), "list\nleaks\n--unreachable\n");
    let page = tool(&["man"]).expect_success().text();
    assert!(page.contains(".TH stratalloc-ctl 1") && page.contains("unreachable"), "{page}");
    for name in commands {
        assert!(page.contains(&format!(".SS {name}\n")), "no {name}: {page}");
    }
}
