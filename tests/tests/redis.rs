//! A Redis server on the library: under load, saving from a forked child, and with the same data at
//! the end as a server on its usual allocator. Debian's is linked with libjemalloc, and asks it for
//! figures and purges by `MEMORY` and `INFO`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratalloc_tests::library;
use stratalloc_tests::process::{exclusive, run};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Fills the database with all kinds of values; what it makes is the same in every run.
const FILL: &str = "\
for i = 1, 20000 do \
  local k = tostring(i % 5000) \
  redis.call('SET', 's' .. i, string.rep('x', i % 700)) \
  redis.call('RPUSH', 'l' .. k, i, string.rep('y', i % 90)) \
  redis.call('HSET', 'h' .. k, 'f' .. (i % 170), string.rep('z', i % 40)) \
  redis.call('SADD', 'e' .. k, i, 'm' .. i) \
  redis.call('ZADD', 'z' .. k, i % 77, 'w' .. i) \
  redis.call('APPEND', 'a' .. (i % 50), string.rep('q', i % 300)) \
  if i % 3 == 0 then redis.call('DEL', 's' .. (i - 1)) end \
end \
return redis.call('DBSIZE')";

/// A server with its data and its socket in a folder of its own; ends with this value.
struct Server {
    folder: TempDir,
    process: Child,
    preload: Option<PathBuf>,
}

impl Server {
    fn start(preload: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = fs::File::create(folder.path().join("log")).expect("a log file");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--enable-debug-command", "local"]);
        command.arg("--dir").arg(folder.path()).arg("--unixsocket").arg(socket(folder.path()));
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("the log")).stdout(log);
        command.envs(preload.iter().map(|library| ("LD_PRELOAD", library)));
        let process = command
            .spawn()
            .unwrap_or_else(|e| panic!("redis-server: {e}; ci/test installs what is needed"));
        let server = Self { folder, process, preload };
        let start = Instant::now();
        while !socket(server.folder.path()).exists() {
            assert!(start.elapsed() < LIMIT, "no socket; {}", server.log());
            sleep(Duration::from_millis(10));
        }
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs a client program, on the same allocator, and returns what it printed.
    fn client(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.arg("-s").arg(socket(self.folder.path())).args(arguments);
        command.envs(self.preload.iter().map(|library| ("LD_PRELOAD", library)));
        let finished = run(command, LIMIT);
        assert!(finished.succeeded(), "{finished}\n--- server log\n{}", self.log());
        finished.text()
    }

    fn ask(&self, arguments: &[&str]) -> String {
        self.client("redis-cli", arguments).trim().to_owned()
    }

    /// Saves from a forked child while writes go on, and waits for it.
    fn save_in_background(&self) {
        assert!(self.ask(&["BGSAVE"]).contains("started"), "{}", self.log());
        let start = Instant::now();
        loop {
            self.client("redis-benchmark", &["-q", "-n", "2000", "-P", "16", "-t", "set,lpush"]);
            let state = self.ask(&["INFO", "persistence"]);
            if state.contains("rdb_bgsave_in_progress:0") {
                assert!(state.contains("rdb_last_bgsave_status:ok"), "{state}\n{}", self.log());
                return;
            }
            assert!(start.elapsed() < LIMIT, "the save does not end; {}", self.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the server is gone already, which the test itself finds out.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// The same deterministic data, reloaded and saved; returns Redis's digest of it.
fn digest_of_known_data(server: &Server) -> String {
    assert_eq!(server.ask(&["FLUSHALL"]), "OK");
    let size = server.ask(&["EVAL", FILL, "0"]);
    assert_eq!(server.ask(&["DBSIZE"]), size, "{}", server.log());
    let digest = server.ask(&["DEBUG", "DIGEST"]);
    assert_eq!(digest.len(), 40, "{digest}");
    assert_eq!(server.ask(&["DEBUG", "RELOAD"]), "OK", "{}", server.log());
    assert_eq!(server.ask(&["DEBUG", "DIGEST"]), digest, "reloaded; {}", server.log());
    digest
}

/// The number behind `name:` in a text of `INFO`.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let digits = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
    digits.trim().parse().unwrap_or_else(|e| panic!("{name}:{digits} {e}"))
}

/// Every figure is about the heap that the server uses, and every command does what it says.
#[test]
fn redis_sees_its_memory() {
    let _alone = exclusive();
    let server = Server::start(Some(library::shared()));
    server.ask(&["EVAL", FILL, "0"]);
    let before = server.ask(&["INFO", "memory"]);
    let (used, allocated) =
        (number(&before, "used_memory"), number(&before, "allocator_allocated"));
    let (active, resident) =
        (number(&before, "allocator_active"), number(&before, "allocator_resident"));
    assert!(used > 8 << 20 && used <= allocated + allocated / 10, "{before}");
    assert!(allocated <= active && active <= resident, "{before}");
    assert!(active < 2 * used && resident < 2 * used + (8 << 20), "{before}");

    let usage = server.ask(&["MEMORY", "USAGE", "s20000"]);
    assert!(usage.parse::<u64>().is_ok_and(|bytes| bytes > 400), "a string of 400: {usage}");
    let stats = server.ask(&["MEMORY", "STATS"]);
    assert!(stats.contains("allocator.allocated") && stats.contains("keys.count"), "{stats}");
    let doctor = server.ask(&["MEMORY", "DOCTOR"]);
    assert!(doctor.contains("Sam"), "{doctor}");
    assert!(!doctor.contains("High allocator"), "{doctor}");
    let text = server.ask(&["MEMORY", "MALLOC-STATS"]);
    assert!(text.starts_with("___ Begin jemalloc statistics ___"), "{text}");
    assert!(
        text.contains("\"stratalloc ") && text.ends_with("--- End jemalloc statistics ---"),
        "{text}"
    );
    assert!(server.ask(&["MEMORY", "HELP"]).contains("PURGE"));

    // This build has no defragmentation of its own, and says so.
    assert!(server.ask(&["CONFIG", "SET", "activedefrag", "yes"]).contains("modified Jemalloc"));
    for wanted in ["no", "yes"] {
        assert_eq!(server.ask(&["CONFIG", "SET", "jemalloc-bg-thread", wanted]), "OK");
    }
    assert_eq!(server.ask(&["FLUSHALL"]), "OK");
    assert_eq!(server.ask(&["MEMORY", "PURGE"]), "OK");
    // Redis renews the figures ten times a second.
    let start = Instant::now();
    loop {
        let after = server.ask(&["INFO", "memory"]);
        if number(&after, "allocator_resident") < resident / 2 {
            assert!(number(&after, "allocator_allocated") < allocated / 2, "{after}");
            return;
        }
        assert!(start.elapsed() < LIMIT, "nothing went back: {before}\n{after}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn redis_server_under_load() {
    let _alone = exclusive();
    let expected = digest_of_known_data(&Server::start(None));

    let mut server = Server::start(Some(library::shared()));
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.process.id())).expect("its maps");
    let library = library::shared().display().to_string();
    assert!(maps.contains(&library), "the server runs without the library");
    let load = ["-q", "-n", "50000", "-P", "16", "-r", "20000", "-d", "100", "-t"];
    for test in ["set", "get", "lpush", "lrange_100", "hset,sadd,zadd,lpop,spop"] {
        print!("{}", server.client("redis-benchmark", &[&load[..], &[test]].concat()));
    }
    server.save_in_background();
    assert_eq!(digest_of_known_data(&server), expected, "data differ from the usual allocator's");
    server.save_in_background();
    assert_eq!(server.ask(&["PING"]), "PONG", "{}", server.log());

    server.client("redis-cli", &["SHUTDOWN", "NOSAVE"]);
    let status = server.process.wait().expect("waiting for the server");
    assert!(status.success(), "{status}; {}", server.log());
}
