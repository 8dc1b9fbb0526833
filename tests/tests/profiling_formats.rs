//! Sampled profiles: that the estimates are right, and the forms that they are written in, read by
//! others' readers. Metrics, and what debuggers and tracers see of the library.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use stratalloc_tests::compile::{Link, command, program, run_cases};
use stratalloc_tests::process::run;
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(120);

const MIB: f64 = (1 << 20) as f64;

/// Runs `sampling.c` and returns the folder of its two profiles and the path of the first.
fn sampled(link: Link) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("profile");
    let mut program = command("sampling.c", link);
    program.arg(&path).env("STRATALLOC_SAMPLE_INTERVAL", "16KiB");
    run(program, LIMIT).expect_success();
    (folder, path)
}

fn report(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(ctl::program());
    command.arg("report").args(arguments).arg(path);
    run(command, LIMIT).expect_success().stdout
}

/// The sum of a figure over the groups whose innermost function is `function`.
fn sum(report: &Value, function: &str, figure: &str) -> f64 {
    let groups = report["groups"].as_array().expect("groups");
    let ours = groups.iter().filter(|group| group["frames"][0]["function"] == function);
    ours.map(|group| group[figure].as_f64().expect("a number")).sum()
}

fn json(path: &Path) -> Value {
    let text = report(path, &["--format", "json", "--figures", "total", "--limit", "100000"]);
    serde_json::from_slice(&text).expect("JSON")
}

/// Some 2,500 samples of what is kept and 13,000 of what is churned: a mean error of 2 and 1 %. The
/// bounds are six times that.
#[test]
fn sampled_estimates_are_near_the_truth() {
    for link in [Link::Shared, Link::Static] {
        let (_folder, path) = sampled(link);
        let report = json(&path);
        let near = |found: f64, truth: f64, tolerance: f64| (found / truth - 1.0).abs() < tolerance;
        let kept = sum(&report, "keep", "bytes");
        assert!(near(kept, 40.0 * MIB, 0.12), "{link:?}: {kept} bytes from keep");
        let churned = sum(&report, "churn", "bytes");
        assert!(near(churned, 200.0 * MIB, 0.06), "{link:?}: {churned} bytes from churn");
        // A block of many intervals is sampled for certain.
        let large = sum(&report, "keep_large", "bytes");
        assert!(near(large, 24.0 * MIB, 0.001), "{link:?}: {large} bytes from keep_large");
        let count = sum(&report, "keep", "allocations");
        assert!(near(count, 40.0 * MIB / 1015.5, 0.25), "{link:?}: {count} blocks from keep");
        let live: Value =
            serde_json::from_slice(&self::report(&path, &["--format", "json"])).expect("JSON");
        assert_eq!(sum(&live, "churn", "bytes"), 0.0, "what was freed is not outstanding");
        // What was churned lived for less than a moment, and all of it ended.
        let groups = report["groups"].as_array().expect("groups").iter();
        let churn = groups.filter(|group| group["frames"][0]["function"] == "churn");
        for group in churn {
            let lifetimes = group["freed_by_lifetime"].as_object().expect("lifetimes");
            let ended: f64 = lifetimes.values().filter_map(Value::as_f64).sum();
            let began = group["total_allocations"].as_f64().expect("a number");
            assert!(near(ended, began, 1e-6), "{group:#}");
            assert_eq!(lifetimes["longer"].as_f64(), Some(0.0), "{group:#}");
        }
        // All was freed, by another thread: nothing is outstanding, and the peak is known.
        let end = path.with_extension("end");
        let ended: Value =
            serde_json::from_slice(&self::report(&end, &["--format", "json"])).expect("JSON");
        assert_eq!(sum(&ended, "keep", "bytes") + sum(&ended, "keep_large", "bytes"), 0.0);
        let peak = sum(&json(&end), "keep", "peak_bytes");
        assert!(near(peak, 40.0 * MIB, 0.12), "{link:?}: {peak} bytes from keep at the peak");
    }
}

/// Folded stacks are lines of `outer;inner bytes`; the flame graph is XML and has the functions on
/// it.
#[test]
fn folded_stacks_and_flame_graphs_name_the_functions() {
    let (_folder, path) = sampled(Link::Shared);
    let folded = String::from_utf8(report(&path, &["--format", "folded"])).expect("text");
    let mut kept = 0.0;
    for line in folded.lines() {
        let (stack, bytes) = line.rsplit_once(' ').expect("a number at the end");
        let bytes: f64 = bytes.parse().expect("a number");
        let mut frames = stack.rsplit(';');
        if frames.next() == Some("keep") {
            assert_eq!(frames.next(), Some("main"), "{line}");
            kept += bytes;
        }
    }
    assert!((kept / (40.0 * MIB) - 1.0).abs() < 0.12, "{kept}\n{folded}");
    let svg = String::from_utf8(report(&path, &["--format", "svg"])).expect("text");
    let mut reader = Reader::from_str(&svg);
    let mut elements = 0;
    loop {
        match reader.read_event().unwrap_or_else(|e| panic!("{e}:\n{svg}")) {
            Event::Start(_) | Event::Empty(_) => elements += 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(elements > 10 && svg.contains("keep_large"), "{svg}");
}

/// pprof's form, read by the decoder of another project.
#[test]
fn pprof_profiles_are_read_by_another_projects_decoder() {
    use pprof::protos::{Message, Profile};
    let (_folder, path) = sampled(Link::Shared);
    let mut bytes = Vec::new();
    let zipped = report(&path, &["--format", "pprof"]);
    flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut bytes).expect("gzip");
    let profile = Profile::decode(&bytes[..]).expect("a profile");
    let text = |index: i64| &profile.string_table[usize::try_from(index).expect("an index")];
    let types: Vec<&str> = profile.sample_type.iter().map(|kind| text(kind.ty).as_str()).collect();
    let in_use = types.iter().position(|name| *name == "inuse_space").expect("inuse_space");
    assert_eq!(text(profile.default_sample_type), "inuse_space");
    let name_of = |location: u64| {
        let location = profile.location.iter().find(|at| at.id == location).expect("a location");
        let id = location.line.first().expect("a line").function_id;
        let function = profile.function.iter().find(|f| f.id == id).expect("a function");
        text(function.name).as_str()
    };
    let kept: i64 = profile
        .sample
        .iter()
        .filter(|sample| name_of(sample.location_id[0]) == "keep")
        .map(|sample| sample.value[in_use])
        .sum();
    assert!((kept as f64 / (40.0 * MIB) - 1.0).abs() < 0.12, "{kept}");
}

#[test]
fn metrics_and_profiles_by_the_c_interface() {
    run_cases("metrics.c", Link::Shared, LIMIT);
    run_cases("metrics.c", Link::Static, LIMIT);
}

/// The grammar of OpenMetrics, as far as it concerns gauges: each family's lines are together,
/// `TYPE` comes first, units end the name, each sample has a value, and `# EOF` ends it. And the
/// parts sum up.
#[test]
fn metrics_are_well_formed_and_sum_up() {
    let mut print = command("metrics.c", Link::Shared);
    print.arg("print");
    let text = run(print, LIMIT).expect_success().text();
    let (mut family, mut seen, mut values) = (String::new(), Vec::new(), Vec::new());
    let body = text.strip_suffix("# EOF\n").expect("# EOF at the end");
    for line in body.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["#", "TYPE", name, kind] = words[..] {
            let counts = name == "stratalloc_tag_allocated_bytes";
            assert_eq!(kind, if counts { "counter" } else { "gauge" }, "{line}");
            assert!(!seen.contains(&name.to_owned()), "{line}: the family was there before");
            family = name.to_owned();
            seen.push(family.clone());
        } else if let ["#", "UNIT", name, unit] = words[..] {
            assert!(name == family && family.ends_with(&format!("_{unit}")), "{line}");
        } else if let ["#", "HELP", name, ..] = words[..] {
            assert_eq!(name, family, "{line}");
        } else if let [name, value] = words[..] {
            assert_eq!(name.split('{').next(), Some(family.as_str()), "{line}");
            let value: u64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            values.push((name.to_owned(), value));
        } else {
            panic!("not a line of OpenMetrics: {line}");
        }
    }
    let value = |name: &str| {
        let name = format!("stratalloc_{name}_bytes");
        values.iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{name}")).1
    };
    let parts = ["in_use", "thread_cache_free", "transfer_cache_free", "central_free"];
    let more = ["span_tails", "page_heap_free", "page_heap_released"];
    assert_eq!(parts.iter().chain(&more).map(|name| value(name)).sum::<u64>(), value("mapped"));
    assert!(values.iter().any(|(name, _)| name.starts_with("stratalloc_class_in_use_bytes{size=")));
}

/// A debugger that stops inside `malloc` sees the whole stack, down to `main`, through our frames;
/// it stops there by a static probe, which is so shown to be found.
#[test]
fn a_backtrace_from_inside_malloc_is_complete() {
    let library = library::shared();
    let mut gdb = Command::new("gdb");
    gdb.args(["-q", "-batch", "-nx", "-iex", "set debuginfod enabled off"]);
    gdb.args(["-ex", "set confirm off", "-ex", "set breakpoint pending on"]);
    gdb.arg("-ex").arg(format!("set environment LD_PRELOAD {}", library.display()));
    gdb.args(["-ex", "set startup-with-shell off", "-ex", "break child", "-ex", "run"]);
    gdb.args(["-ex", "break -probe-stap stratalloc:refill", "-ex", "continue"]);
    gdb.args(["-ex", "backtrace", "-ex", "kill", "-ex", "quit"]);
    gdb.arg(program("fibonacci.c", Link::Preload));
    let finished = run(gdb, LIMIT);
    let text = finished.text();
    let frames: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    let at = |name: &str| frames.iter().position(|line| line.contains(name));
    let (ours, fibonacci, child) = (at("refill"), at(" fibonacci ("), at(" child ("));
    assert!(ours == Some(0) && fibonacci > ours && child > fibonacci, "{finished}");
    assert!(child < at("start_thread").or(at("libc.so")).or(at("clone")), "{finished}");
}

/// What a consumer of OpenTelemetry's probes sees: each sampled block with its size and the bytes
/// that it stands for, and its end, once. With a sample for each byte that is every block.
#[test]
fn a_consumer_of_opentelemetrys_probes_sees_sampled_blocks_come_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (script, go) = (folder.path().join("script"), folder.path().join("go"));
    std::fs::write(&go, "\n").expect("a file");
    let library = library::shared();
    let library = library.display();
    let say = |probe: &str, format: &str, arguments: &str| {
        format!(
            "break -probe-stap otel_memory:{probe}\ncommands\nsilent\n\
             printf \"{probe} {format}\\n\", {arguments}\ncontinue\nend\n"
        )
    };
    let commands = format!(
        "set debuginfod enabled off\nset confirm off\nset breakpoint pending on\n\
         set environment LD_PRELOAD {library}\nset environment STRATALLOC_EXPECT {library}\n\
         set environment STRATALLOC_SAMPLE_INTERVAL 1\nbreak inner\nrun < {}\ndelete\n{}{}\
         continue\nquit\n",
        go.display(),
        say("alloc", "%lx %lu %lu", "$_probe_arg0, $_probe_arg1, $_probe_arg2"),
        say("free", "%lx", "$_probe_arg0")
    );
    std::fs::write(&script, commands).expect("a script");
    let mut gdb = Command::new("gdb");
    gdb.args(["-q", "-batch", "-nx", "-x"]).arg(&script).arg(program("probed.c", Link::Preload));
    let finished = run(gdb, LIMIT);
    let text = finished.text();
    let of = |probe: &str| -> Vec<Vec<&str>> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(probe));
        lines.map(|line| line.split_whitespace().collect()).collect()
    };
    let (allocated, freed) = (of("alloc "), of("free "));
    assert_eq!((allocated.len(), freed.len()), (100, 75), "{finished}");
    for (event, end) in allocated.iter().zip(&freed) {
        assert_eq!(event[1..], ["777", "777"], "{finished}");
        assert_eq!(event[0], end[0], "freed in the order of allocation: {finished}");
    }
}

/// The static probes are in the file where tools look for them.
#[test]
fn static_probes_are_listed_in_the_library() {
    let mut readelf = Command::new("readelf");
    readelf.arg("--notes").arg(library::shared());
    let text = run(readelf, LIMIT).expect_success().text();
    let own = ["refill", "give_back", "flush", "span_allocate", "span_free", "grow"];
    let more =
        ["refilled", "flushed", "release", "large_allocate", "large_free", "reclaim", "record"];
    for (provider, names) in
        [("stratalloc", [own.as_slice(), &more].concat()), ("otel_memory", vec!["alloc", "free"])]
    {
        for name in names {
            let wanted = format!("Provider: {provider}\n    Name: {name}\n");
            assert!(text.contains(&wanted), "no probe {name}:\n{text}");
        }
    }
    // Those that take time have a word that is counted up while somebody looks; the others none.
    let semaphores = |name: &str| -> Vec<bool> {
        let of = |at: usize| text[at..].split("Semaphore: ").nth(1).expect("a semaphore");
        let wanted = format!("Name: {name}\n");
        let found = text.match_indices(&wanted);
        found.map(|(at, _)| !of(at).starts_with("0x0000000000000000")).collect()
    };
    for (name, wanted) in [
        ("release", true),
        ("refilled", true),
        ("flushed", true),
        ("refill", false),
        ("alloc", false),
    ] {
        let found = semaphores(name);
        assert!(!found.is_empty() && found.iter().all(|&is| is == wanted), "{name}:\n{text}");
    }
}

/// Every way of asking leads to the allocator when a uprobe is at the exported name: the names are
/// functions of the library's dynamic symbol table, with sizes, as bcc and perf need them.
#[test]
fn entry_points_are_functions_with_sizes() {
    let mut nm = Command::new("nm");
    nm.args(["-D", "-S", "--defined-only"]).arg(library::shared());
    let text = run(nm, LIMIT).expect_success().text();
    for name in ["malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "_Znwm"]
    {
        let line = text.lines().find(|line| line.ends_with(&format!(" {name}")));
        let fields: Vec<&str> = line.unwrap_or_else(|| panic!("{name}")).split(' ').collect();
        let size = u64::from_str_radix(fields[1], 16).expect("a size");
        assert!(size > 0 && fields[2] == "T", "{line:?}");
    }
}
