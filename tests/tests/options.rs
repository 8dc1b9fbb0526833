//! Options from the environment and from `mallopt` act as documented, and mistakes in them are
//! named and do no harm. What the programs print is compared with what the option promises.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratalloc::options;
use stratalloc_tests::compile::{Link, command, program};
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// Runs a case of `options.c` with these variables and nothing else that could tune a malloc.
#[track_caller]
fn run_case(case: &str, variables: &[(&str, &str)]) -> Finished {
    let mut program = command("options.c", Link::Preload);
    program.arg(case).envs(variables.iter().copied());
    run(program, LIMIT)
}

/// The figures that a case printed.
#[track_caller]
fn figures(case: &str, variables: &[(&str, &str)]) -> BTreeMap<String, u64> {
    figures_of(&run_case(case, variables).expect_success())
}

#[track_caller]
fn figures_of(finished: &Finished) -> BTreeMap<String, u64> {
    let text = finished.text();
    let pairs = text.lines().map(|line| line.split_once(' ').expect("name and number"));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

fn options(list: &str) -> [(&str, &str); 1] {
    [("STRATALLOC_OPTIONS", list)]
}

/// With 0 memory leaves the process with the `free`, not later.
#[test]
fn decay_of_zero_gives_memory_back_at_once() {
    let seen = figures("decay", &options("decay_ms=0"));
    assert!(seen["full"] >= 100 * MIB, "{seen:?}");
    assert!(seen["freed"] <= 10 * MIB, "{seen:?}");
}

/// The last frees of all give it back by default; a longer decay time has it stay, which a short
/// one ends within a second.
#[test]
fn a_short_decay_time_gives_memory_back_soon() {
    let seen = figures("decay", &[("STRATALLOC_DECAY_MS", "3600s")]);
    assert!(seen["freed"] >= 100 * MIB && seen["later"] >= 100 * MIB, "{seen:?}");
    let seen = figures("decay", &[("STRATALLOC_DECAY_MS", "100ms")]);
    assert!(seen["later"] <= 10 * MIB, "{seen:?}");
}

/// `never` means never by itself, however it is said; `malloc_trim` still gives all back (C1.5).
#[test]
fn without_decay_memory_stays_until_it_is_trimmed() {
    for variable in [
        ("STRATALLOC_OPTIONS", "decay_ms=never"),
        ("MALLOC_TRIM_THRESHOLD_", "-1"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=-1"),
    ] {
        let seen = figures("decay", &[variable]);
        assert!(seen["later"] >= 100 * MIB, "{variable:?}: {seen:?}");
        assert!(seen["trimmed"] <= 10 * MIB, "{variable:?}: {seen:?}");
    }
}

/// C1.2: the number of mappings follows the threshold, for 1 MiB and 65 MiB.
#[test]
fn the_direct_threshold_decides_which_blocks_get_mappings() {
    for (variable, blocks) in [
        (("STRATALLOC_OPTIONS", ""), 1),
        (("STRATALLOC_OPTIONS", "direct_bytes=512K"), 2),
        (("STRATALLOC_OPTIONS", "direct_bytes=1g"), 0),
        (("STRATALLOC_DIRECT_BYTES", "never"), 0),
        (("MALLOC_MMAP_MAX_", "0"), 0),
        (("MALLOC_MMAP_THRESHOLD_", "131072"), 1),
        (("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=0x8000000"), 0),
    ] {
        let seen = figures("direct", &[variable]);
        assert_eq!((seen["hblks"], seen["after"]), (blocks, 0), "{variable:?}");
    }
}

/// What threads and the tier between them may keep is bounded by three options; each must show.
#[test]
fn the_bounds_of_the_caches_hold() {
    let cached = |list: &str| figures("caches", &options(list))["fsmblks"];
    let default = cached("");
    let no_transfer = cached("transfer_cache_bytes=0");
    assert!(no_transfer * 4 < default, "{no_transfer} against {default}");
    for bound in ["magazine_max_bytes=256", "thread_cache_total_bytes=0"] {
        let less = cached(&format!("transfer_cache_bytes=0,{bound}"));
        assert!(less * 4 < no_transfer, "{bound}: {less} against {no_transfer}");
    }
}

/// The kernel keeps what it was told in the flags of the mapping.
#[test]
fn the_kernel_is_told_about_huge_pages_as_wanted() {
    let there = Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists();
    for (policy, wanted, unwanted) in [("auto", 0, 0), ("never", 0, 1), ("always", 1, 0)] {
        let seen = figures("huge", &options(&format!("huge_pages={policy}")));
        let expected = if there { [wanted, unwanted] } else { [0, 0] };
        assert_eq!([seen["wanted"], seen["unwanted"]], expected, "{policy}");
        assert_eq!([seen["direct_wanted"], seen["direct_unwanted"]], expected, "{policy}");
    }
}

/// The check at exit finds what no `free` saw, unless it is switched off.
#[test]
fn the_check_at_exit_can_be_switched_off() {
    let checked = run_case("interior_at_exit", &options("verify_at_exit=on"));
    assert_eq!(checked.signal(), Some(libc::SIGABRT), "{checked}");
    run_case("interior_at_exit", &options("verify_at_exit=off")).expect_success();
}

/// C3.2: `mallopt` sets the same things, and takes them back.
#[test]
fn mallopt_sets_and_takes_back() {
    for link in [Link::Preload, Link::Static] {
        let mut program = command("options.c", link);
        program.arg("mallopt_sets");
        run(program, LIMIT).expect_success();
    }
    let seen = figures("mallopt_trim", &[]);
    assert!(seen["later"] >= 100 * MIB && seen["trimmed"] <= 10 * MIB, "{seen:?}");
    assert!(seen["decayed"] <= 50 * MIB, "{seen:?}");
}

/// A mistake is named on stderr, one line each, and costs nothing but itself.
#[test]
fn mistakes_are_named_and_the_program_runs() {
    let list = "speed=11,direct_bytes=512K,decay_ms=soon,huge_pages\u{1b}[31m=1";
    let variables = [("STRATALLOC_OPTIONS", list), ("STRATALLOC_VERIFY_AT_EXIT", "perhaps")];
    let finished = run_case("direct", &variables).expect_success();
    assert_eq!(figures_of(&finished)["hblks"], 2, "the right item in the midst counts");
    let errors = finished.errors();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 4, "{errors}");
    assert!(lines.iter().all(|line| line.starts_with("stratalloc: ")), "{errors}");
    assert!(lines[0].contains("unknown option \"speed\""), "{errors}");
    assert!(lines[1].contains("\"soon\"") && lines[1].contains("decay_ms"), "{errors}");
    assert!(lines[2].contains("\"huge_pages?[31m\""), "nothing for the terminal: {errors}");
    assert!(lines[3].contains("\"perhaps\"") && lines[3].contains("verify_at_exit"), "{errors}");
}

/// Settings of another malloc, and other people's variables, are no mistakes.
#[test]
fn foreign_settings_are_silent() {
    let variables = [
        ("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0:x=y"),
        ("MALLOC_ARENA_MAX", "2"),
        ("MALLOC_TOP_PAD_", "1048576"),
        ("MALLOC_TRIM_THRESHOLD_", "soon"),
        ("STRATALLOC_SOMETHING_ELSE", "1"),
    ];
    let finished = run_case("direct", &variables).expect_success();
    assert_eq!(finished.errors(), "");
}

/// `help` prints every parameter with the value of the moment, and the program goes on.
#[test]
fn help_prints_the_table_and_the_program_runs() {
    let finished = run_case("direct", &options("help,decay_ms=1234ms")).expect_success();
    let errors = finished.errors();
    for parameter in options::all() {
        let start = format!("  {} = ", parameter.name);
        assert!(errors.lines().any(|line| line.starts_with(&start)), "{start}\n{errors}");
        assert!(errors.contains(parameter.meaning) && errors.contains(parameter.cost), "{errors}");
    }
    assert!(errors.contains("decay_ms = 1234ms"), "{errors}");
    assert_eq!(figures_of(&finished)["hblks"], 1);
}

/// A program that runs with more rights than its user takes no options from the user. Only root can
/// make one here; for others the kernel reports no such rights, and the options count.
#[test]
fn options_are_ignored_in_programs_with_more_rights() {
    let folder = tempfile::tempdir_in(stratalloc_tests::compile::output_dir()).expect("a folder");
    let path = folder.path().join("program");
    // By a process of its own: a file that this one has open for writing, even for a moment, may be
    // open in a child that another test is just starting, and then cannot be run ("text file
    // busy").
    let mut copying = Command::new("cp");
    copying.arg(program("options.c", Link::Static)).arg(&path);
    run(copying, LIMIT).expect_success();
    // SAFETY: takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if is_root {
        chown(&path, Some(65_534), None).expect("root may give files away");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("our file");
    let mut secured = Command::new(&path);
    secured.arg("secure").env("STRATALLOC_OPTIONS", "direct_bytes=512K,nonsense");
    let finished = run(secured, LIMIT).expect_success();
    let seen = figures_of(&finished);
    assert_eq!(seen["secure"], u64::from(is_root), "{finished}");
    assert_eq!(seen["hblks"], if is_root { 1 } else { 2 }, "{finished}");
    assert_eq!(finished.errors().is_empty(), is_root, "{finished}");
}

/// `docs/tuning.md` has the table of the code, word for word.
#[test]
fn the_documentation_has_the_table_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tuning.md");
    let text = fs::read_to_string(&path).expect("docs/tuning.md");
    let section = text.split("\n## ").find(|part| part.starts_with("The options\n"));
    let section = section.expect("a section called The options");
    let documented: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let mut wanted = String::new();
    for parameter in options::all() {
        let (name, default) = (parameter.name, parameter.default());
        let (unit, kind) = (parameter.kind.unit(), parameter.kind);
        let (meaning, cost, clause) = (parameter.meaning, parameter.cost, parameter.clause);
        writeln!(
            wanted,
            "| `{name}` | {unit} | {default} | {kind} | {meaning} | {cost} | {clause} |"
        )
        .expect("writing to a string");
    }
    let wanted: Vec<&str> = wanted.lines().collect();
    assert_eq!(documented, wanted, "copy these lines to docs/tuning.md:\n{}", wanted.join("\n"));
}
