//! Tools that look at the library from outside, by the kernel's uprobes: they find the entry points
//! and the static probes where the file says that they are, see each call with its argument and
//! result, and the stacks of programs that keep frame pointers.

#![cfg(target_arch = "x86_64")]

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const LIMIT: Duration = Duration::from_secs(60);

/// What `readelf` says of the library.
fn readelf(flag: &str) -> String {
    let mut command = Command::new("readelf");
    command.args(["-W", flag]).arg(library::shared());
    run(command, LIMIT).expect_success().text()
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a hexadecimal number")
}

/// By how much the addresses in a section are beyond the places in the file.
fn shift(sections: &str, name: &str) -> u64 {
    let line = sections.lines().find(|line| line.split_whitespace().any(|word| word == name));
    let line = line.unwrap_or_else(|| panic!("no section {name}:\n{sections}"));
    let mut words = line.split_whitespace().skip_while(|word| *word != name).skip(2);
    let mut next = || hex(words.next().expect("a column"));
    next() - next()
}

/// Where each exported function of that name is in the file.
fn entry(name: &str) -> u64 {
    let symbols = readelf("--dyn-syms");
    let line = symbols.lines().find(|line| {
        line.split_whitespace().nth(7).is_some_and(|symbol| symbol.split('@').next() == Some(name))
    });
    let line = line.unwrap_or_else(|| panic!("no symbol {name}"));
    let address = line.split_whitespace().nth(1).expect("a column");
    hex(address) - shift(&readelf("--sections"), ".text")
}

/// Where the static probes of that name are in the file.
fn probes(name: &str) -> Vec<u64> {
    let (notes, shift) = (readelf("--notes"), shift(&readelf("--sections"), ".text"));
    let lines: Vec<&str> = notes.lines().map(str::trim).collect();
    let wanted = format!("Name: {name}");
    let found = lines.windows(2).filter(|pair| pair[0] == wanted);
    let location = |pair: &[&str]| {
        let rest = pair[1].strip_prefix("Location: ").expect("the line after the name");
        hex(rest.split(',').next().expect("a number")) - shift
    };
    found.map(location).collect()
}

/// perf takes the distance of a probe in memory from a section made for that, and adds it to where
/// that section is in the file. Where a linker has segments shifted by different amounts, as lld
/// has, the section must be in that of the code, or `perf` writes its breakpoints into the middle
/// of other instructions.
#[test]
fn static_probes_are_found_by_their_distance_in_the_file() {
    let sections = readelf("--sections");
    assert_eq!(shift(&sections, ".stapsdt.base"), shift(&sections, ".text"), "{sections}");
    for name in ["refill", "give_back", "large_allocate", "large_free", "reclaim", "record"] {
        assert!(!probes(name).is_empty(), "no probe {name}");
    }
}

/// perf prefers the names of functions in debug information to exported ones, and takes what it
/// finds there if that was inlined elsewhere. So no other function may be called as the functions
/// of C are.
#[test]
fn no_other_function_is_called_as_an_entry_point() {
    let information = {
        let mut command = Command::new("readelf");
        command.args(["-W", "--debug-dump=info"]).arg(library::shared());
        run(command, LIMIT).expect_success().text()
    };
    let lines: Vec<&str> = information.lines().collect();
    for (name, next) in lines.iter().zip(lines.iter().skip(1)) {
        let called = name.contains("DW_AT_name").then(|| name.rsplit(' ').next()).flatten();
        let entry = called.is_some_and(|name| {
            ["malloc", "free", "calloc", "realloc", "aligned_alloc", "memalign"].contains(&name)
        });
        assert!(!(entry && next.contains("DW_AT_inline")), "{name} is an inlined function's");
    }
}

/// Events at probes, in a buffer of their own; all is taken back at the end.
struct Tracing {
    root: PathBuf,
    group: String,
    events: Vec<String>,
}

impl Tracing {
    /// `None` where the kernel or the rights are not there.
    fn start() -> Option<Self> {
        let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(PathBuf::from);
        let group = format!("stratalloc_test_{}", std::process::id());
        let root = roots.into_iter().find(|root| {
            let events = OpenOptions::new().append(true).open(root.join("uprobe_events"));
            events.is_ok() && fs::create_dir(root.join("instances").join(&group)).is_ok()
        })?;
        Some(Self { root, group, events: Vec::new() })
    }

    fn instance(&self) -> PathBuf {
        self.root.join("instances").join(&self.group)
    }

    fn events(&self) -> PathBuf {
        self.instance().join("events").join(&self.group)
    }

    /// Appends: a file that is opened anew forgets the events of everybody.
    fn tell(&self, line: &str) -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.root.join("uprobe_events"))?;
        file.write_all(line.as_bytes())
    }

    fn add(&mut self, kind: char, event: &str, library: &Path, at: u64, fetch: &str) {
        let group = &self.group;
        let line = format!("{kind}:{group}/{event} {}:{at:#x} {fetch}\n", library.display());
        self.tell(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.events.push(event.to_owned());
    }

    /// From here on, for one process only, with stacks.
    fn enable(&self, process: u32) {
        let set = |path: PathBuf, value: &str| {
            fs::write(&path, value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        };
        set(self.instance().join("options/userstacktrace"), "1");
        set(self.events().join("filter"), &format!("common_pid == {process}"));
        set(self.events().join("enable"), "1");
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.instance().join("trace")).expect("the trace")
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // Nothing is left to be done about what fails here.
        let _ = fs::write(self.events().join("enable"), "0");
        for event in &self.events {
            let _ = self.tell(&format!("-:{}/{event}\n", self.group));
        }
        let _ = fs::remove_dir(self.instance());
    }
}

/// Every call is seen once, at the entry and at the return, with what was passed and what came
/// back, and with the callers on the stack.
#[test]
fn uprobes_see_every_call() {
    let library = library::shared();
    let Some(mut tracing) = Tracing::start() else {
        eprintln!("left out: no tracefs here that this user may add uprobes to");
        return;
    };
    tracing.add('p', "malloc", &library, entry("malloc"), "size=%di:u64");
    tracing.add('r', "malloc_return", &library, entry("malloc"), "block=$retval:x64");
    tracing.add('p', "free", &library, entry("free"), "block=%di:x64");
    tracing.add('r', "free_return", &library, entry("free"), "");
    for (number, at) in probes("refill").into_iter().enumerate() {
        tracing.add('p', &format!("refill_{number}"), &library, at, "");
    }
    let mut program = command("probed.c", Link::Preload);
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().expect("the program");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    tracing.enable(child.id());
    child.stdin.take().expect("stdin is piped").write_all(b"\n").expect("a byte");
    let mut said = String::new();
    output.read_to_string(&mut said).expect("a line");
    assert!(child.wait().expect("the program").success());
    let trace = tracing.trace();

    let words: Vec<&str> = said.split_whitespace().collect();
    let [calls, freed, size, returns @ ..] = words.as_slice() else { panic!("{said}") };
    let (calls, freed): (usize, usize) = (calls.parse().unwrap(), freed.parse().unwrap());
    let of = |event: &str| -> Vec<&str> {
        let wanted = format!(": {event}: (");
        trace.lines().filter(|line| line.contains(&wanted)).collect()
    };
    let blocks = |event: &str| -> HashSet<&str> {
        of(event).iter().filter_map(|line| line.split("block=").nth(1)).collect()
    };
    assert_eq!(of("malloc").len(), calls, "{trace}");
    assert_eq!(of("malloc_return").len(), calls, "{trace}");
    assert_eq!(of("free").len(), freed, "{trace}");
    assert_eq!(of("free_return").len(), freed, "{trace}");
    assert!(of("malloc").iter().all(|line| line.ends_with(&format!("size={size}"))), "{trace}");
    assert_eq!(blocks("malloc_return").len(), calls, "blocks that live at once differ\n{trace}");
    assert_eq!(blocks("free").len(), freed, "{trace}");
    assert!(blocks("free").is_subset(&blocks("malloc_return")), "{trace}");
    let refills: usize = (0..).map(|n| of(&format!("refill_{n}")).len()).take(8).sum();
    assert!((1..=calls).contains(&refills), "{refills} refills\n{trace}");

    // The kernel writes the addresses of a stack, one a line, after the line of its event.
    let lines: Vec<&str> = trace.lines().collect();
    let stacks = lines.iter().enumerate().filter(|(_, line)| line.contains(": malloc_return: ("));
    let mut complete = 0;
    for (at, _) in stacks {
        let frames: Vec<u64> = lines[at + 2..]
            .iter()
            .map_while(|line| line.trim().strip_prefix("=>"))
            .map(|frame| hex(frame.trim().trim_matches(['<', '>'])))
            .collect();
        complete += usize::from(returns.iter().all(|wanted| frames.contains(&hex(wanted))));
    }
    assert_eq!(complete, calls, "stacks with both callers\n{said}\n{trace}");
}

/// What each of bpftrace's scripts says, a line for an event.
const SCRIPT: &str = r#"
usdt:LIBRARY:otel_memory:alloc { printf("alloc %lx %d %d\n", arg0, arg1, arg2); }
usdt:LIBRARY:otel_memory:free { printf("free %lx\n", arg0); }
usdt:LIBRARY:stratalloc:refilled { printf("refilled %d %d %d\n", arg0, arg1, arg2); }
interval:ms:200 { printf("looking\n"); }
"#;

/// bpftrace reads the static probes of a running process, those that take time included: it counts
/// up the word that tells the allocator to look at the clock.
#[test]
fn bpftrace_reads_the_static_probes() {
    if Tracing::start().is_none() || Command::new("bpftrace").arg("--version").output().is_err() {
        eprintln!("left out: no tracefs here that this user may add uprobes to, or no bpftrace");
        return;
    }
    let mut program = command("probed.c", Link::Preload);
    program.env("STRATALLOC_LEAK_REPORT", "trace").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().expect("the program");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");

    let script = SCRIPT.replace("LIBRARY", library::shared().to_str().expect("a path in UTF-8"));
    let mut look = Command::new("bpftrace");
    look.args(["-p", &child.id().to_string(), "-e", &script]).stdout(Stdio::piped());
    let mut look = look.spawn().expect("bpftrace");
    let mut seen = BufReader::new(look.stdout.take().expect("stdout is piped"));
    let mut text = String::new();
    while text.matches("looking").count() < 2 {
        let read = seen.read_line(&mut text).expect("a line");
        assert!(read > 0, "bpftrace has ended: {text}");
    }
    child.stdin.take().expect("stdin is piped").write_all(b"\n").expect("a byte");
    assert!(child.wait().expect("the program").success());
    // It ends with the process.
    seen.read_to_string(&mut text).expect("its output");
    look.wait().expect("bpftrace");

    let of = |event: &str| -> Vec<Vec<&str>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(event));
        lines.map(|line| line.split_whitespace().collect()).collect()
    };
    let (allocated, freed, refilled) = (of("alloc "), of("free "), of("refilled "));
    assert_eq!((allocated.len(), freed.len()), (100, 75), "{text}");
    assert!(allocated.iter().all(|event| event[1..] == ["777", "777"]), "{text}");
    let known: HashSet<&str> = allocated.iter().map(|event| event[0]).collect();
    assert!(freed.iter().all(|event| known.contains(event[0])), "{text}");
    // Where each call is traced, each is a refill.
    assert_eq!(refilled.len(), 100, "{text}");
    for event in &refilled {
        let [size, object, took] = event[..] else { panic!("{event:?}") };
        let (object, took): (usize, u64) = (object.parse().unwrap(), took.parse().unwrap());
        assert!(size == "777" && object >= 777, "{event:?}");
        assert!((1..1_000_000_000).contains(&took), "{event:?}");
    }
}
