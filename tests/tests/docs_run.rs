//! Every command and snippet of README and `docs/profiling.md` runs.
//!
//! A block of commands is run line by line by one shell, in a folder with what the documents name:
//! a Python program, programs in C, `target/release` with the library, a service by the number
//! `PID`, and the tool in the path. In a block with lines that begin with `$ `, the others are the
//! output: each must come, whatever its numbers are. A block of Rust is compiled and run. What
//! cannot run has a comment before it, `<!-- not run: WHY -->`, and is counted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use stratalloc_tests::compile::{Link, program};
use stratalloc_tests::process::{run, start_service};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(300);

/// What would take too long as it stands, and what is run instead.
const SHORTER: [(&str, &str); 4] = [
    ("--for 60 --every 0.5", "--for 1 --every 0.5"),
    ("--growth 60", "--growth 0.5"),
    (" top ", " top --count 1 "),
    ("cargo build --release -p stratalloc-ctl", "cargo build -p stratalloc-ctl"),
];

/// A fenced block.
struct Block {
    /// What stands behind the fence.
    language: String,
    lines: Vec<String>,
    /// Why it is not run.
    not_run: Option<String>,
    /// Where it is.
    place: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the root")
}

/// The blocks of a document.
fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).expect("a document");
    let mut found: Vec<Block> = Vec::new();
    let (mut is_open, mut reason) = (false, None);
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(language) = trimmed.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                found.push(Block {
                    language: language.to_owned(),
                    lines: Vec::new(),
                    not_run: reason.take(),
                    place: format!("{document}:{}", index + 1),
                });
            }
        } else if is_open {
            found.last_mut().expect("a block").lines.push(line.to_owned());
        } else if let Some(rest) = trimmed.strip_prefix("<!-- not run: ") {
            let why = rest.strip_suffix(" -->").expect("the comment ends on its line");
            reason = Some(why.to_owned());
        } else if !trimmed.is_empty() {
            assert!(reason.is_none(), "{document}:{}: a comment without a block", index + 1);
        }
    }
    assert!(!is_open, "{document}: a block does not end");
    found
}

/// A folder with what the documents name, and a service.
struct Scratch {
    folder: tempfile::TempDir,
    service: Child,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("program.py"), "print(sum(len(str(i)) for i in range(1000)))\n")
            .expect("a file");
        let source = "#include <stdlib.h>\nint main(void) { free(malloc(100)); return 0; }\n";
        fs::write(at("program.c"), source).expect("a file");
        for name in ["fibonacci", "unreachable"] {
            let binary = program(&format!("{name}.c"), Link::Preload);
            symlink(binary, at(name)).expect("a link");
        }
        fs::create_dir_all(at("target/release")).expect("folders");
        for file in [library::shared(), library::archive()] {
            symlink(&file, at("target/release").join(file.file_name().expect("a name")))
                .expect("a link");
        }
        fs::create_dir(at("sockets")).expect("a folder");
        fs::set_permissions(at("sockets"), fs::Permissions::from_mode(0o700)).expect("our folder");
        let (service, _) = start_service(
            Command::new(ctl::example("service"))
                .env("STRATALLOC_CONTROL", at("sockets/%p.sock"))
                .env("STRATALLOC_LEAK_REPORT", "trace"),
        );
        Self { folder, service }
    }

    /// Runs commands, and returns what they print. Cargo's run at the root.
    fn shell(&self, commands: &[String], place: &str) -> String {
        let mut script = String::from("exec 2>&1\nset -e\n");
        for command in commands {
            let mut command = command.clone();
            for (long, short) in SHORTER {
                command = command.replace(long, short);
            }
            let command = command.replace(" PID ", &format!(" {} ", self.service.id()));
            if command.starts_with("cargo ") {
                script += &format!("(cd {} && {command})\n", root().display());
            } else {
                script += &format!("{command}\n");
            }
        }
        let tool = ctl::program();
        let path = std::env::var("PATH").expect("a path");
        let path = format!("{}:{path}", tool.parent().expect("a folder").display());
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(self.folder.path());
        shell.env("PATH", path).env("CARGO_TARGET_DIR", library::target_dir());
        shell.env("STRATALLOC_CTL_PATH", tool).env("HOME", self.folder.path());
        shell.envs(["CARGO_HOME", "RUSTUP_HOME"].map(|name| (name, home_of(name))));
        let finished = run(shell, LIMIT);
        assert!(finished.succeeded(), "{place}: {finished}");
        finished.text()
    }

    /// Compiles a program in Rust against the crate, and runs it.
    fn rust(&self, lines: &[String], place: &str) {
        let mut text = lines.join("\n");
        if !text.contains("fn main()") {
            text += "\nfn main() { drop(Box::new(5)); }\n";
        }
        let source = self.folder.path().join("snippet.rs");
        fs::write(&source, text).expect("a file");
        let target = library::target_dir().join("debug");
        let external = format!("stratalloc={}", target.join("libstratalloc.rlib").display());
        let script = format!(
            "cargo build -p stratalloc && cd {} && rustc --edition 2024 --extern {external} -L {} \
             snippet.rs && ./snippet",
            self.folder.path().display(),
            target.join("deps").display(),
        );
        self.shell(&[script], place);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// Where a tool of Rust's has its files, though the shell gets another home.
fn home_of(variable: &str) -> PathBuf {
    let folder = if variable == "CARGO_HOME" { ".cargo" } else { ".rustup" };
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(folder);
    std::env::var_os(variable).map_or_else(home, PathBuf::from)
}

/// A line without its numbers and without the folders of files.
fn form(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        let mut text = String::new();
        for letter in name.chars() {
            if !letter.is_ascii_digit() {
                text.push(letter);
            } else if !text.ends_with('0') {
                text.push('0');
            }
        }
        text
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Every block, and how many are not run, so that nobody adds one unseen.
#[test]
fn every_command_of_the_readme_and_of_the_profiling_page_runs() {
    let scratch = Scratch::new();
    let (mut ran, mut not_run) = (0, Vec::new());
    for document in ["README.md", "docs/profiling.md"] {
        for block in blocks(document) {
            if let Some(reason) = &block.not_run {
                not_run.push(format!("{}: {reason}", block.place));
                continue;
            }
            ran += 1;
            if block.language == "rust" {
                scratch.rust(&block.lines, &block.place);
                continue;
            }
            assert_eq!(block.language, "", "{}: not a kind that can be run", block.place);
            let prompts: Vec<String> = block
                .lines
                .iter()
                .filter_map(|line| line.trim().strip_prefix("$ ").map(str::to_owned))
                .collect();
            if prompts.is_empty() {
                scratch.shell(&block.lines, &block.place);
                continue;
            }
            let output = scratch.shell(&prompts, &block.place);
            let forms: Vec<String> = output.lines().map(form).collect();
            // What has no name here may have one elsewhere.
            let expected = block.lines.iter().map(|line| line.trim()).filter(|line| {
                !line.is_empty() && !line.starts_with("$ ") && !line.starts_with("??")
            });
            for line in expected {
                assert!(forms.contains(&form(line)), "{}: no {line:?} in\n{output}", block.place);
            }
        }
    }
    assert_eq!((ran, not_run.len()), (9, 10), "{not_run:#?}");
}
