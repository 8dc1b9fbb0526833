//! Replays the corpora of `tests/fuzz/corpus` and a bounded number of random changes of them, on
//! stable Rust: the same in every run. The targets `api` and `trace` can also be run for as long as
//! one likes by `cargo fuzz`.

#[path = "../fuzz/api.rs"]
mod api;
#[path = "../fuzz/trace.rs"]
mod trace;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratalloc_tests::compile::{Link, command, output_dir};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// A row of numbers that looks random and is the same each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// The corpus, and `count` inputs made of it: bytes flipped, cut, repeated, and two inputs joined.
fn inputs(target: &str, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut all = corpus(target);
    let seeds = all.len();
    for _ in 0..count {
        let mut input = all[random.below(seeds)].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(input.len());
            match random.below(5) {
                0 if !input.is_empty() => input[at] = random.below(256) as u8,
                1 if !input.is_empty() => input[at] ^= 1 << random.below(8),
                2 => input.truncate(at),
                3 => {
                    let tail = input[at..].to_vec();
                    input.extend(tail);
                }
                _ => {
                    let other = &all[random.below(seeds)];
                    let tail = other[random.below(other.len())..].to_vec();
                    input.truncate(at);
                    input.extend(tail);
                }
            }
        }
        all.push(input);
    }
    all
}

/// Blocks keep their content and never overlap, whatever is called in whatever order on three
/// threads.
#[test]
fn sequences_of_calls_agree_with_the_model() {
    inputs("api", 150).iter().for_each(|input| api::run(input));
}

/// What is decoded from any bytes fits together, and replays to the same sum each time.
#[test]
fn trace_files_are_errors_or_can_be_replayed() {
    assert!(corpus("trace").iter().all(|input| trace::run(input)), "the corpus is all traces");
    let sound = inputs("trace", 4_000).iter().filter(|input| trace::run(input)).count();
    assert!(sound > 300, "{sound} sound traces only");
}

/// Whatever `mallctl` is asked for, it answers without writing past the room that it is given.
#[test]
fn names_of_mallctl_are_answered_within_bounds() {
    let path = output_dir().join("mallctl-names");
    let mut names = Vec::new();
    for mut input in inputs("mallctl", 3_000) {
        input.retain(|&byte| byte != b'\n' && byte != 0);
        names.extend(input);
        names.push(b'\n');
    }
    fs::write(&path, names).expect("a file of names");
    let program = command("mallctl_names.c", Link::Shared);
    let mut fed = Command::new("/bin/sh");
    fed.arg("-c").arg("exec \"$0\" <\"$1\"").arg(program.get_program()).arg(path);
    for (name, value) in program.get_envs() {
        fed.env(name, value.expect("variables are set, not removed"));
    }
    let known: usize = run(fed, LIMIT).expect_success().text().trim().parse().expect("a number");
    assert!(known > 10, "{known} answers");
}

/// No text in the variable keeps a program from running.
#[test]
fn option_strings_never_stop_a_program() {
    for mut input in inputs("options", 150) {
        input.retain(|&byte| byte != 0);
        let mut program = Command::new("true");
        program.env("LD_PRELOAD", library::shared());
        let text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&input[..]);
        program.env("STRATALLOC_OPTIONS", text);
        run(program, LIMIT).expect_success();
    }
}

/// Sends `request`; what came back until the server hung up or a moment of silence.
fn ask(socket: &Path, request: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket).expect("a socket that listens");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    // A server that hung up in the middle is free to do so.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A control socket answers each proper request, whatever it was sent before.
#[test]
fn the_control_socket_survives_any_request() {
    let folder = tempfile::Builder::new().prefix("fuzz").tempdir_in("/tmp").expect("a folder");
    // The library wants a folder that is closed to all others.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("changing a mode");
    let socket = folder.path().join("s");
    let mut process = Command::new("sleep")
        .arg("120")
        .env("LD_PRELOAD", library::shared())
        .env("STRATALLOC_CONTROL", &socket)
        .env("STRATALLOC_SAMPLE_INTERVAL", "1KiB")
        .stdin(Stdio::null())
        .spawn()
        .expect("a process");
    let start = Instant::now();
    while !socket.exists() {
        assert!(start.elapsed() < LIMIT, "no socket");
        sleep(Duration::from_millis(10));
    }
    for input in inputs("control", 200) {
        ask(&socket, &input);
        assert!(process.try_wait().expect("a status").is_none(), "died of {input:?}");
    }
    let answer = String::from_utf8(ask(&socket, b"stats\n")).expect("text");
    process.kill().expect("killing a child");
    process.wait().expect("waiting for a child");
    assert!(answer.starts_with("ok\n"), "{answer}");
}
