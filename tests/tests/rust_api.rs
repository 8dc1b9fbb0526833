//! The interface of the Rust crate: what it exports, what its documentation shows, what is
//! serialized, and what it is packaged with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use stratalloc_tests::library::target_dir;
use stratalloc_tests::process::run;
use stratalloc_tests::public_api::exported;

const LIMIT: Duration = Duration::from_secs(300);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whoever depends on the crate is broken by a change that nobody noticed.
#[test]
fn the_interface_is_the_one_that_is_written_down() {
    let listed: Vec<String> = exported(&root().join("allocator/src"))
        .into_iter()
        .map(|item| format!("# {}\n{}", item.path, item.text))
        .collect();
    let listed = listed.join("\n");
    let file = root().join("docs/api.txt");
    let written = fs::read_to_string(&file).unwrap_or_default();
    if written != listed {
        let proposal = target_dir().join("api.txt");
        fs::write(&proposal, &listed).expect("a file in the target folder");
        let changed: Vec<String> = differences(&written, &listed);
        panic!(
            "the interface is not that of docs/api.txt. If that is meant, say so in CHANGELOG.md and copy {} there.\n{}",
            proposal.display(),
            changed.join("\n")
        );
    }
}

/// The lines that only one of the two has.
fn differences(old: &str, new: &str) -> Vec<String> {
    let only = |in_: &str, not_in: &str, sign: char| -> Vec<String> {
        let others: Vec<&str> = not_in.lines().collect();
        let lines = in_.lines().filter(|line| !others.contains(line));
        lines.map(|line| format!("{sign} {line}")).collect()
    };
    [only(old, new, '-'), only(new, old, '+')].concat()
}

/// An example shows in a second what a paragraph explains; that it runs is up to the
/// documentation's tests.
#[test]
fn everything_public_has_an_example() {
    let items = exported(&root().join("allocator/src"));
    assert!(items.len() > 30, "only {} items are exported", items.len());
    let bare: Vec<String> = items.into_iter().flat_map(|item| item.without_example).collect();
    assert!(bare.is_empty(), "without an example: {bare:?}");
}

/// Services log their figures and read them back.
#[test]
fn figures_survive_a_trip_through_json() {
    let block = std::hint::black_box(vec![0_u8; 100_000]);
    let now = stratalloc::stats();
    drop(block);
    let text = serde_json::to_string(&now).expect("figures as JSON");
    let fields: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(fields["mapped"], now.mapped);
    assert_eq!(serde_json::from_str::<stratalloc::Stats>(&text).expect("figures"), now);
    let older: stratalloc::Stats = serde_json::from_str("{\"mapped\": 5}").expect("figures");
    assert_eq!((older.mapped, older.in_use), (5, 0), "a field that is missing is 0");
    stratalloc::for_each_size_class(|class| {
        let text = serde_json::to_string(&class).expect("a class as JSON");
        assert_eq!(serde_json::from_str::<stratalloc::ClassUsage>(&text).expect("a class"), class);
    });
}

/// A mistake in compiled-in options is to be found by the compiler, in words that help.
#[test]
fn an_option_out_of_range_does_not_compile() {
    let folder = tempfile::tempdir().expect("a folder");
    let allocator = root().join("allocator").canonicalize().expect("the allocator's folder");
    fs::create_dir(folder.path().join("src")).expect("a folder");
    let manifest = format!(
        "[package]\nname = \"mistake\"\nedition = \"2024\"\n[workspace]\n[dependencies]\nstratalloc = {{ path = {allocator:?} }}\n"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(root().join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("a lock file");
    let program = "use stratalloc::{Configured, Options, Stratalloc};\n\
                   #[global_allocator]\n\
                   static GLOBAL: Configured = Stratalloc::with_options(Options::new().soft_limit(10));\n\
                   fn main() {}\n";
    fs::write(folder.path().join("src/main.rs"), program).expect("a program");
    let mut check = cargo();
    check.args(["check", "--offline"]).current_dir(folder.path());
    check.env("CARGO_TARGET_DIR", target_dir().join("mistake"));
    let finished = run(check, LIMIT);
    assert!(!finished.succeeded(), "{finished}");
    assert!(finished.errors().contains("soft_limit takes 1 MiB or more"), "{finished}");
}

/// Who gets the crate from a registry gets its licences, and something that builds.
#[test]
fn the_package_is_whole_and_builds() {
    let mut list = cargo();
    list.args(["package", "--package", "stratalloc", "--offline", "--allow-dirty", "--list"]);
    list.current_dir(root());
    let files = run(list, LIMIT).expect_success().text();
    let has = |name: &str| files.lines().any(|line| line == name);
    for name in [
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "src/lib.rs",
        "examples/limits.rs",
    ] {
        assert!(has(name), "{name} is not in the package:\n{files}");
    }
    assert!(!files.contains("capi") && !files.contains("ctl"), "other crates' files:\n{files}");

    let mut package = cargo();
    package.args(["package", "--package", "stratalloc", "--offline", "--allow-dirty"]);
    package.arg("--target-dir").arg(target_dir());
    package.current_dir(root());
    let finished = run(package, LIMIT).expect_success();
    // Cargo names here what a registry would miss, or what it left out.
    let said = finished.errors();
    let complaint = |line: &&str| line.starts_with("warning") && !line.contains("ignoring test");
    assert_eq!(said.lines().find(complaint), None, "{said}");
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
