//! Profiles that a program writes by calls, without the tool and without a socket: what is in them,
//! and that files, addresses and build-ids lead to functions and lines of a stripped program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};
use serde_json::Value;
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::ctl;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// A profile that pprof's own messages are read of.
fn decode(bytes: &[u8]) -> Profile {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked).expect("gzip, with its checksum");
    Profile::decode(&*unpacked).expect("pprof's messages")
}

/// Of addresses in a file, functions and lines by its debug information. All at once: to read that
/// takes longer than to look an address up.
fn resolve(file: &Path, addresses: &[u64]) -> Vec<(String, String)> {
    let mut command = Command::new("addr2line");
    command.args(["-f", "-C", "-e"]).arg(file);
    command.args(addresses.iter().map(|address| format!("{address:#x}")));
    let said = run(command, LIMIT).expect_success().text();
    let lines: Vec<&str> = said.lines().collect();
    lines.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// The build-id that `readelf` finds in a file.
fn build_id(file: &Path) -> String {
    let mut command = Command::new("readelf");
    command.arg("-n").arg(file);
    let said = run(command, LIMIT).expect_success().text();
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
    line.unwrap_or_default().to_owned()
}

/// Where the loadable code segment of a file lies: its position in the file less its address.
fn code_bias(file: &Path) -> u64 {
    let mut command = Command::new("readelf");
    command.arg("-lW").arg(file);
    let said = run(command, LIMIT).expect_success().text();
    let line = said.lines().find(|line| line.trim().starts_with("LOAD") && line.contains(" R E "));
    let words: Vec<&str> = line.expect("code").split_ascii_whitespace().collect();
    let hex = |word: &str| u64::from_str_radix(&word[2..], 16).expect("a number");
    hex(words[1]).wrapping_sub(hex(words[2]))
}

/// The functions of a profile's samples, innermost first, with their values: by what a reader has
/// who knows the mappings, and finds the file with debug information by its build-id.
fn named(profile: &Profile, file: &Path) -> Vec<(Vec<String>, Vec<i64>)> {
    let id = build_id(file);
    let bias = code_bias(file);
    let in_file = |address: u64| {
        let in_it = |one: &&pprof::protos::Mapping| {
            (one.memory_start..one.memory_limit).contains(&address)
                && profile.string_table[one.build_id as usize] == id
        };
        let mapping = profile.mapping.iter().find(in_it)?;
        Some((address - mapping.memory_start + mapping.file_offset).wrapping_sub(bias))
    };
    let places: Vec<(u64, u64)> = profile
        .location
        .iter()
        .filter_map(|place| Some((place.id, in_file(place.address)?)))
        .collect();
    let addresses: Vec<u64> = places.iter().map(|place| place.1).collect();
    let functions = resolve(file, &addresses).into_iter().map(|(function, _)| function);
    let names: BTreeMap<u64, String> = places.iter().map(|place| place.0).zip(functions).collect();
    let name = |id: &u64| names.get(id).cloned().unwrap_or_default();
    let samples = profile.sample.iter();
    samples.map(|one| (one.location_id.iter().map(name).collect(), one.value.clone())).collect()
}

/// Runs `profiles.c` with its debug information taken away, traced; returns the folder of what it
/// wrote, and the file that has the information.
fn stripped(link: Link) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let compiled = command("profiles.c", link);
    let program = folder.path().join("program");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&program).arg(compiled.get_program());
    run(strip, LIMIT).expect_success();
    let mut traced = Command::new(&program);
    traced.envs(compiled.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.arg(folder.path()).env("STRATALLOC_LEAK_REPORT", "trace");
    let said = run(traced, LIMIT).expect_success().text();
    assert!(said.ends_with("end\n") && said.contains(" 2000000\n"), "{said}");
    let debug = PathBuf::from(compiled.get_program());
    assert_eq!(build_id(&debug), build_id(&program));
    assert_eq!(resolve(&program, &[0])[0].0, "??", "the program has no names");
    (folder, debug)
}

#[test]
fn names_of_a_stripped_program_come_by_its_build_id() {
    for link in [Link::Shared, Link::Static] {
        let (folder, debug) = stripped(link);
        let read = |name: &str| decode(&fs::read(folder.path().join(name)).expect("it is there"));
        let of = |profile: &Profile, function: &str| -> Vec<i64> {
            let all = named(profile, &debug);
            let found = all.iter().filter(|(frames, _)| {
                frames.iter().any(|name| name == "open_session")
                    && frames.iter().any(|name| name == function)
            });
            // Blocks that were freed at one time may be in two classes of lifetimes.
            let sum = found.map(|(_, values)| values.clone()).reduce(|one, other| {
                one.iter().zip(other).map(|(left, right)| left + right).collect()
            });
            sum.unwrap_or_else(|| panic!("{link:?}, {function}: {all:?}"))
        };
        let heap = read("heap.pb.gz");
        assert_eq!(of(&heap, "before_the_base"), [2_000, 2_000_000, 1_000, 1_000_000], "{link:?}");
        assert_eq!(of(&heap, "after_the_base"), [2_000, 2_000_000, 2_000, 2_000_000]);
        let growth = read("growth.pb.gz");
        assert_eq!(of(&growth, "before_the_base"), [-1_000, -1_000_000]);
        assert_eq!(of(&growth, "after_the_base"), [2_000, 2_000_000]);
        assert_eq!(of(&read("peak.pb.gz"), "before_the_base"), [2_000, 2_000_000]);
        assert_eq!(of(&read("lifetimes.pb.gz"), "before_the_base"), [1_000]);
        let first = &heap.mapping[0];
        let file = &heap.string_table[first.filename as usize];
        assert!(file.ends_with("/program"), "the program comes first: {file}");
    }
}

#[test]
fn folded_stacks_and_json_lead_to_functions_and_lines() {
    let (folder, debug) = stripped(Link::Shared);
    let text = fs::read_to_string(folder.path().join("heap.folded")).expect("it is there");
    let line = text.lines().find(|line| line.ends_with(" 1000000")).expect("half are left");
    let stack: Vec<&str> = line.trim_end_matches(" 1000000").split(';').collect();
    let innermost = stack.last().expect("a stack").strip_prefix("program+0x").expect(line);
    let address = u64::from_str_radix(innermost, 16).expect(line);
    let (function, place) = resolve(&debug, &[address]).remove(0);
    assert_eq!(function, "open_session");
    assert!(place.contains("profiles.c:"), "{place}");

    let json: Value =
        serde_json::from_slice(&fs::read(folder.path().join("growth.json")).expect("it is there"))
            .expect("JSON");
    let sums: BTreeMap<i64, f64> = json["stacks"]
        .as_array()
        .expect("stacks")
        .iter()
        .map(|stack| {
            (stack["bytes"].as_i64().expect("bytes"), stack["count"].as_f64().expect("a count"))
        })
        .collect();
    assert_eq!((sums[&-1_000_000], sums[&2_000_000]), (-1_000.0, 2_000.0), "{json:#}");
    assert_eq!(json["mappings"][0]["build_id"], build_id(&debug).as_str());
}

#[test]
fn without_a_profile_the_calls_say_so_and_make_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = command("profiles.c", Link::Shared);
    program.arg(folder.path());
    let finished = run(program, LIMIT);
    let code = finished.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{finished}");
    assert!(String::from_utf8_lossy(&finished.stdout).contains("heap.pb.gz: "), "{finished}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// The example, listening; ends with this value.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut command = Command::new(ctl::axum_pprof());
        command.arg("127.0.0.1:0").stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { child, address }
    }

    /// The body of an answer.
    fn ask(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a time");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer[..end]));
        answer.split_off(end + 4)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_web_service_gives_its_heap_at_the_path_that_pprof_asks() {
    let service = Service::start();
    let open = |count: usize| (0..count).for_each(|_| drop(service.ask("POST", "/session")));
    open(300);
    service.ask("POST", "/debug/pprof/base");
    open(100);
    let held = |name: &str| -> i64 {
        let profile = decode(&service.ask("GET", &format!("/debug/pprof/{name}")));
        let all = named(&profile, &ctl::axum_pprof());
        let ours = all
            .iter()
            .filter(|(frames, _)| frames.iter().any(|name| name.contains("open_session")));
        ours.map(|(_, values)| *values.last().expect("a value")).sum()
    };
    // Blocks of more than the interval are sampled with a chance of four fifths: the error is that
    // of some hundred coins. The vector of the sessions themselves has 10 KB.
    let near = |found: i64, truth: i64| (found - truth).abs() * 5 < truth;
    let (heap, growth) = (held("heap"), held("growth"));
    assert!(near(heap, 40_000_000), "{heap}");
    assert!(near(growth, 10_000_000), "{growth}");
    let json = service.ask("GET", "/debug/pprof/heap?format=json");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(
        (json["mode"].as_str(), json["interval"].as_u64()),
        (Some("sample"), Some(64 << 10))
    );
}
