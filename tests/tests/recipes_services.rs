//! Every command of the recipes for services runs: `docs/recipes/redis.md` and the others below,
//! with the services as Debian packages them.
//!
//! A recipe's blocks run one after the other in a folder of its own, in which the library is
//! installed (`usr/local`). PostgreSQL refuses to run as root: there root's shells become the user
//! `postgres`. What a recipe starts, its own commands end: a test fails for a process that is left
//! in its folder, and kills it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use stratalloc_tests::documents::{Runner, blocks, read};
use stratalloc_tests::process::{exclusive, run};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(20);

/// A bash that root starts goes on as this user, with the command that it was given.
const BECOME_POSTGRES: &str = "if [ \"$(id -u)\" = 0 ]; then exec setpriv --reuid=postgres \
    --regid=postgres --clear-groups bash -c \"$BASH_EXECUTION_STRING\"; fi\n";

/// A folder for a recipe, whose processes are killed when it goes.
struct Recipe {
    document: String,
    runner: Runner,
}

impl Recipe {
    fn new(name: &str) -> Self {
        let mut runner = Runner::default();
        let folder = runner.folder().to_owned();
        let at = |name: &str| folder.join(name);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("our folder");
        let (bin, lib) = (at("usr/local/bin"), at("usr/local/lib"));
        fs::create_dir_all(&bin).expect("folders");
        fs::create_dir_all(&lib).expect("folders");
        fs::copy(ctl::runner(), bin.join("stratalloc-run")).expect("a copy");
        fs::copy(ctl::program(), bin.join("stratalloc-ctl")).expect("a copy");
        fs::copy(library::shared(), lib.join("libstratalloc.so.0")).expect("a copy");
        let path = std::env::var("PATH").expect("a path");
        let servers = postgres_folder().display().to_string();
        runner.set("PATH", format!("{}:{servers}:{path}:/usr/sbin:/sbin", bin.display()));
        runner.set("STRATALLOC_CTL_PATH", bin.join("stratalloc-ctl"));
        Self { document: format!("docs/recipes/{name}.md"), runner }
    }

    /// Runs the blocks, and returns what each printed that is run.
    fn run(&self) -> Vec<String> {
        let mut printed = Vec::new();
        for block in blocks(&self.document) {
            printed.extend(self.runner.run(&block));
        }
        let start = Instant::now();
        while !self.processes().is_empty() {
            assert!(start.elapsed() < LIMIT, "{}: a process is left", self.document);
            sleep(Duration::from_millis(20));
        }
        printed
    }

    /// The processes that work in the folder.
    fn processes(&self) -> Vec<libc::pid_t> {
        let of = |entry: &fs::DirEntry| fs::read_link(entry.path().join("cwd"));
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        let here = entries
            .filter(|entry| of(entry).is_ok_and(|cwd| cwd.starts_with(self.runner.folder())));
        here.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

impl Drop for Recipe {
    fn drop(&mut self) {
        for process in self.processes() {
            // SAFETY: takes numbers; the process works in a folder of this test.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
    }
}

/// Where Debian has PostgreSQL's programs; of several versions, one.
fn postgres_folder() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|entry| entry.path().join("bin")).max().unwrap_or_default()
}

/// The numbers in the first line with `word`.
fn numbers(text: &str, word: &str) -> Vec<u64> {
    let line = text.lines().find(|line| line.contains(word));
    let line = line.unwrap_or_else(|| panic!("no {word} in {text}"));
    line.split(|letter: char| !letter.is_ascii_digit()).filter_map(|run| run.parse().ok()).collect()
}

/// Redis asks the library as if it were jemalloc, and saves from a child that answers, too.
#[test]
fn redis() {
    let _alone = exclusive();
    let printed = Recipe::new("redis").run().concat();
    assert!(numbers(&printed, "rdb_last_cow_size")[0] > 0, "{printed}");
}

/// Each session is a process that answers, and gives back what its queries used while it is idle.
#[test]
fn postgresql() {
    let _alone = exclusive();
    let mut recipe = Recipe::new("postgresql");
    // SAFETY: reads a number of the process.
    if unsafe { libc::geteuid() } == 0 {
        let start = recipe.runner.folder().join("become");
        fs::write(&start, BECOME_POSTGRES).expect("a file");
        let [user, group] = ["-u", "-g"].map(number_of_postgres);
        for place in ["", "target", "target/release"] {
            let folder = recipe.runner.folder().join(place);
            chown(folder, Some(user), Some(group)).expect("the user's folder");
        }
        recipe.runner.set("BASH_ENV", start);
    }
    let printed = recipe.run().concat();
    let resident = numbers(&printed, "VmRSS")[0];
    assert!(resident < 40_000, "an idle session holds {resident} kB: {printed}");
}

fn number_of_postgres(which: &str) -> u32 {
    let mut command = Command::new("id");
    command.args([which, "postgres"]);
    let said = run(command, LIMIT).expect_success().text();
    said.trim().parse().expect("a number")
}

/// Both workers answer, as the user that they became.
#[test]
fn nginx() {
    let _alone = exclusive();
    let printed = Recipe::new("nginx").run().concat();
    let workers = printed.lines().filter(|line| line.ends_with("  nginx")).count();
    assert_eq!(workers, 2, "{printed}");
}

/// With the package as `pip` installs it.
#[test]
fn python() {
    let _alone = exclusive();
    let mut recipe = Recipe::new("python");
    let site = recipe.runner.folder().join("site");
    let package = site.join("stratalloc");
    fs::create_dir_all(package.join("lib")).expect("folders");
    fs::create_dir_all(package.join("bin")).expect("folders");
    for file in ["__init__.py", "__main__.py"] {
        let text = read(&format!("packaging/python/stratalloc/{file}"));
        fs::write(package.join(file), text).expect("a file");
    }
    fs::copy(library::shared(), package.join("lib/libstratalloc.so.0")).expect("a copy");
    fs::copy(ctl::runner(), package.join("bin/stratalloc-run")).expect("a copy");
    recipe.runner.set("PYTHONPATH", &site);
    let printed = recipe.run().concat();
    assert!(printed.contains("\"page_heap_released\": "), "{printed}");
}

/// Buffers come from the library, and go back.
#[test]
fn node() {
    let _alone = exclusive();
    let printed = Recipe::new("node").run().concat();
    let resident = numbers(&printed, "VmRSS")[0];
    assert!(resident < 150_000, "an idle process holds {resident} kB: {printed}");
}

/// What the machine takes by `malloc` is the library's; what it maps is not.
#[test]
fn jvm() {
    let _alone = exclusive();
    let printed = Recipe::new("jvm").run().concat();
    assert!(printed.contains("VmRSS"), "{printed}");
}

/// What is counted here is not run; nobody adds to it unseen.
#[test]
fn what_is_not_run_is_known() {
    let names = ["redis", "postgresql", "nginx", "python", "node", "jvm"];
    let not_run = names.map(|name| {
        let document = format!("docs/recipes/{name}.md");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&document).exists());
        blocks(&document).iter().filter(|block| block.not_run.is_some()).count()
    });
    assert_eq!(not_run, NOT_RUN, "of {names:?}");
}

/// Blocks that are not run, by recipe.
const NOT_RUN: [usize; 6] = [0, 0, 0, 1, 0, 0];
