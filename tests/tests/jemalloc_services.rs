//! Programs that were linked with libjemalloc, on the library: BIND 9, which allocates by `mallocx`
//! and in arenas of its own, and MariaDB, which asks jemalloc for its version. (Redis has tests of
//! its own.)

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratalloc_tests::library;
use stratalloc_tests::process::{Finished, exclusive, run};

const LIMIT: Duration = Duration::from_secs(60);

/// A service with the library preloaded, and its messages in a file. It is killed with this value.
struct Service {
    process: Child,
    log: PathBuf,
}

impl Service {
    fn start(program: &str, arguments: &[&str], log: PathBuf) -> Self {
        let file = fs::File::create(&log).expect("a log file");
        let mut command = on_library(program, arguments);
        command.stdin(Stdio::null()).stderr(file.try_clone().expect("the log")).stdout(file);
        let process = command
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; ci/test installs what is needed"));
        let service = Self { process, log };
        // Until then it still is a copy of ourselves.
        service.wait_until("the library in its memory", |service| service.maps_library());
        service
    }

    fn maps_library(&self) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.process.id()));
        maps.unwrap_or_default().contains(&library::shared().display().to_string())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < LIMIT, "no {what}; {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends by itself.
    fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("waiting for the service") {
                return (status, self.log());
            }
            assert!(start.elapsed() < LIMIT, "does not end; {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only if it is gone already, which the test itself finds out.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command with the library preloaded; programs of the system's administrator are found as well.
fn on_library(program: &str, arguments: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = path.split(':').map(|folder| Path::new(folder).join(program));
    let program = found.into_iter().find(|file| file.is_file()).unwrap_or(program.into());
    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", library::shared()).env("PATH", path);
    command
}

fn run_on_library(program: &str, arguments: &[&str]) -> Finished {
    run(on_library(program, arguments), LIMIT).expect_success()
}

/// A port of this machine on which nobody listens, neither by TCP nor by UDP.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// Aborted while its `mallocx` went to libjemalloc and its `sdallocx` to the library.
#[test]
fn rndc_confgen_writes_its_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("key");
    run_on_library("rndc-confgen", &["-a", "-c", text_of(&key)]);
    let text = fs::read_to_string(&key).expect("the key");
    assert!(text.contains("key \"rndc-key\"") && text.contains("secret"), "{text}");
}

const ZONE: &str = "$TTL 60\n@ IN SOA ns.test. root.test. 1 60 60 60 60\n@ IN NS ns.test.\n\
                    ns IN A 127.0.0.1\nwww IN A 192.0.2.7\n$GENERATE 1-2000 host$ IN TXT name$\n";

/// A name server: its configuration is checked, it answers over UDP, TCP and HTTP (which has an
/// arena of its own), is reconfigured, and ends cleanly.
#[test]
fn bind_answers_queries_and_ends_cleanly() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let (dns, http, control) = (free_port(), free_port(), free_port());
    run_on_library("rndc-confgen", &["-a", "-c", text_of(&at("key")), "-p", &control.to_string()]);
    fs::write(at("zone"), ZONE).expect("a zone");
    let options = format!(
        "include \"{folder}/key\";\n\
         options {{ directory \"{folder}\"; pid-file none; session-keyfile none; recursion no;\n\
         dnssec-validation no; listen-on-v6 {{ none; }}; listen-on port {dns} {{ 127.0.0.1; }};\n\
         listen-on port {http} tls none http default {{ 127.0.0.1; }}; }};\n\
         controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }}\n\
         keys {{ rndc-key; }}; }};\n\
         zone \"test\" {{ type primary; file \"{folder}/zone\"; }};\n",
        folder = folder.path().display()
    );
    fs::write(at("conf"), options).expect("a configuration");
    run_on_library("named-checkconf", &["-z", text_of(&at("conf"))]);

    let named = Service::start("named", &["-g", "-c", text_of(&at("conf"))], at("log"));
    named.wait_until("word that it runs", |named| named.log().contains(" running\n"));
    let ask = |arguments: &[&str]| {
        let common = ["@127.0.0.1", "+short", "+tries=3", "+time=5"];
        run_on_library("dig", &[&common[..], arguments].concat()).text().trim().to_owned()
    };
    let (dns, http, control) = (dns.to_string(), http.to_string(), control.to_string());
    for _ in 0..3 {
        assert_eq!(ask(&["-p", &dns, "www.test"]), "192.0.2.7", "{}", named.log());
        assert_eq!(
            ask(&["-p", &dns, "+tcp", "host77.test", "TXT"]),
            "\"name77\"",
            "{}",
            named.log()
        );
        assert_eq!(ask(&["-p", &http, "+http-plain", "www.test"]), "192.0.2.7", "{}", named.log());
        let rndc = |word: &str| {
            run_on_library("rndc", &["-k", text_of(&at("key")), "-p", &control, word]).text()
        };
        rndc("reload");
        assert!(rndc("status").contains("server is up"), "{}", named.log());
    }
    assert_eq!(ask(&["-p", &dns, "test", "AXFR"]).lines().count(), 2005, "the whole zone");
    run_on_library("rndc", &["-k", text_of(&at("key")), "-p", &control, "stop"]);
    let (status, log) = named.end();
    assert!(status.success() && log.trim_end().ends_with("exiting"), "{status}; {log}");
}

/// What two allocators must agree on.
const STATEMENTS: &str = "\
    create database d; use d; \
    create table t(a int primary key auto_increment, b text, key(b(20))); \
    insert into t(b) select repeat(md5(seq), 20) from seq_1_to_20000; \
    delete from t where a % 3 = 0; update t set b = concat(b, b) where a % 7 = 0; \
    select count(*), sum(length(b)), sum(crc32(b)) from t; \
    select left(b, 1) as c, count(*), max(length(b)) from t group by c order by c;";

/// A database server: set up, asked, and shut down; it reads jemalloc's version when it starts.
#[test]
fn mariadb_works_and_names_its_allocator() {
    let _alone = exclusive();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let data = format!("--datadir={}", at("data").display());
    let socket = format!("--socket={}", at("socket").display());
    let user = format!("--user={}", if is_root() { "root".into() } else { user_name() });
    let set_up = ["--no-defaults", &data, &user, "--auth-root-authentication-method=normal"];
    run_on_library(
        "mariadb-install-db",
        &[&set_up[..], &["--skip-test-db", "--skip-name-resolve"]].concat(),
    );

    let pid = format!("--pid-file={}", at("pid").display());
    let arguments = ["--no-defaults", &data, &socket, &user, &pid, "--skip-networking"];
    let server = Service::start("mariadbd", &arguments, at("log"));
    server.wait_until("word that it runs", |server| server.log().contains("ready for connections"));
    let ask = |statement: &str| {
        let arguments = ["--no-defaults", "-uroot", &socket, "-N", "-B", "-e", statement];
        run_on_library("mariadb", &arguments).text()
    };
    let version = ask("show variables like 'version_malloc_library'");
    assert!(version.contains("jemalloc stratalloc "), "{version}");
    let rows = ask(STATEMENTS);
    assert!(rows.starts_with("13334\t9752960\t"), "{rows}; {}", server.log());
    assert_eq!(rows.lines().count(), 17, "{rows}");
    ask("shutdown");
    let (status, log) = server.end();
    assert!(status.success() && log.contains("Shutdown complete"), "{status}; {log}");
}

fn is_root() -> bool {
    // SAFETY: reads a number of the process.
    unsafe { libc::geteuid() == 0 }
}

fn user_name() -> String {
    run(Command::new("whoami"), LIMIT).expect_success().text().trim().to_owned()
}
