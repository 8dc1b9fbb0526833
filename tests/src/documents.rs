//! Runs the fenced blocks of documents.
//!
//! [`blocks`] reads them. A comment before a block says what cannot be seen from it:
//! `<!-- not run: WHY -->`, or `<!-- file: PATH -->` where the block is the text of a file. A
//! [`Runner`] has a folder in which it writes such files and runs the others: commands by one
//! shell, line by line; in a block with lines that begin with `$ `, the others are the output, and
//! each must come, whatever its numbers are. A block of Rust is compiled and run. What a document's
//! commands need beside the library, its test puts into the folder; programs into `bin`, by
//! [`Runner::link`].

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run;
use crate::{ctl, library};

const LIMIT: Duration = Duration::from_secs(300);

/// A fenced block.
pub struct Block {
    /// What stands behind the fence.
    pub language: String,
    /// The text between the fences.
    pub lines: Vec<String>,
    /// Why it is not run.
    pub not_run: Option<String>,
    /// The file that it is.
    pub file: Option<String>,
    /// Where it is.
    pub place: String,
}

impl Block {
    /// What is between the fences, with the end of its last line.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// The lines that begin with `$ `, without that.
    fn prompts(&self) -> Vec<String> {
        let prompts = self.lines.iter().filter_map(|line| line.trim().strip_prefix("$ "));
        prompts.map(str::to_owned).collect()
    }
}

/// The root of the source tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the root")
}

/// The text of a document, by its path from the root.
#[must_use]
pub fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"))
}

/// The blocks of a document.
#[must_use]
pub fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut is_open, mut not_run, mut file) = (false, None, None);
    for (index, line) in read(document).lines().enumerate() {
        let trimmed = line.trim();
        if let Some(language) = trimmed.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                found.push(Block {
                    language: language.to_owned(),
                    lines: Vec::new(),
                    not_run: not_run.take(),
                    file: file.take(),
                    place: format!("{document}:{}", index + 1),
                });
            }
        } else if is_open {
            found.last_mut().expect("a block").lines.push(line.to_owned());
        } else if let Some(rest) = trimmed.strip_prefix("<!-- not run: ") {
            not_run = Some(comment(rest));
        } else if let Some(rest) = trimmed.strip_prefix("<!-- file: ") {
            file = Some(comment(rest));
        } else if !trimmed.is_empty() {
            let is_alone = not_run.is_some() || file.is_some();
            assert!(!is_alone, "{document}:{}: a comment without a block", index + 1);
        }
    }
    assert!(!is_open, "{document}: a block does not end");
    found
}

/// The rest of a comment.
fn comment(rest: &str) -> String {
    rest.strip_suffix(" -->").expect("the comment ends on its line").to_owned()
}

/// The rows of a document's tables between the heading `heading` and the next one: their cells,
/// without the heads.
#[must_use]
pub fn table_rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let (_, below) = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("{document} has no heading {heading:?}"));
    let lines = below.lines().take_while(|line| !line.starts_with('#'));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in lines.filter(|line| line.starts_with('|')) {
        if line.starts_with("|-") {
            // What stands above that is the head.
            rows.pop();
            continue;
        }
        let inside = line.trim_matches('|');
        rows.push(inside.split('|').map(|cell| cell.trim().to_owned()).collect());
    }
    rows
}

/// Runs blocks in a folder of its own, which has `target/release` with the library.
pub struct Runner {
    folder: tempfile::TempDir,
    replaced: Vec<(String, String)>,
    variables: Vec<(String, OsString)>,
}

impl Default for Runner {
    fn default() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("target/release")).expect("folders");
        fs::create_dir(folder.path().join("bin")).expect("a folder");
        for file in [library::shared(), library::archive()] {
            let name = file.file_name().expect("a name").to_owned();
            symlink(&file, folder.path().join("target/release").join(name)).expect("a link");
        }
        Self { folder, replaced: Vec::new(), variables: Vec::new() }
    }
}

impl Runner {
    /// The folder in which blocks are run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on, commands have `to` instead of `from`.
    pub fn replace(&mut self, from: impl Into<String>, to: impl Into<String>) {
        self.replaced.push((from.into(), to.into()));
    }

    /// From now on, commands run with this variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<OsString>) {
        self.variables.push((name.into(), value.into()));
    }

    /// From now on, `name` is the program at `path`.
    pub fn link(&self, name: &str, path: &Path) {
        symlink(path, self.folder().join("bin").join(name)).expect("a link");
    }

    /// Writes the file that the block is, or runs it. Returns what it printed, or `None` where the
    /// document says that it cannot be run.
    #[track_caller]
    pub fn run(&self, block: &Block) -> Option<String> {
        if let Some(file) = &block.file {
            let path = self.folder().join(file.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(&path, block.text()).expect("a file");
        }
        if block.not_run.is_some() {
            return None;
        }
        if block.file.is_some() {
            return Some(String::new());
        }
        if block.language == "rust" {
            return Some(self.rust(&block.lines, &block.place));
        }
        assert_eq!(block.language, "", "{}: not a kind that can be run", block.place);
        let prompts = block.prompts();
        if prompts.is_empty() {
            return Some(self.shell(&block.lines, &block.place));
        }
        let output = self.shell(&prompts, &block.place);
        let forms: Vec<String> = output.lines().map(form).collect();
        // What has no name here may have one elsewhere.
        let expected =
            block.lines.iter().map(|line| line.trim()).filter(|line| {
                !line.is_empty() && !line.starts_with("$ ") && !line.starts_with("??")
            });
        for line in expected {
            assert!(forms.contains(&form(line)), "{}: no {line:?} in\n{output}", block.place);
        }
        Some(output)
    }

    /// Runs commands, and returns what they print. Cargo's run at the root.
    #[track_caller]
    pub fn shell(&self, commands: &[String], place: &str) -> String {
        let mut script = String::from("exec 2>&1\nset -e\n");
        for command in commands {
            let mut command = command.clone();
            for (from, to) in &self.replaced {
                command = command.replace(from, to);
            }
            if command.starts_with("cargo ") {
                script += &format!("(cd {} && {command})\n", root().display());
            } else {
                script += &format!("{command}\n");
            }
        }
        let tool = ctl::program();
        let path = std::env::var("PATH").expect("a path");
        let ours = self.folder().join("bin");
        let path = format!("{}:{}:{path}", ours.display(), tool.parent().expect("it").display());
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(self.folder());
        shell.env("PATH", path).env("CARGO_TARGET_DIR", library::target_dir());
        shell.env("STRATALLOC_CTL_PATH", tool).env("HOME", self.folder());
        shell.envs(["CARGO_HOME", "RUSTUP_HOME"].map(|name| (name, home_of(name))));
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let finished = run(shell, LIMIT);
        assert!(finished.succeeded(), "{place}: {finished}");
        finished.text()
    }

    /// Compiles a program in Rust against the crate, runs it, and returns what it prints.
    #[track_caller]
    fn rust(&self, lines: &[String], place: &str) -> String {
        let mut text = lines.join("\n");
        if !text.contains("fn main()") {
            text += "\nfn main() { drop(Box::new(5)); }\n";
        }
        let source = self.folder().join("snippet.rs");
        fs::write(&source, text).expect("a file");
        let target = library::target_dir().join("debug");
        let external = format!("stratalloc={}", target.join("libstratalloc.rlib").display());
        let script = format!(
            "cargo build -p stratalloc && cd {} && rustc --edition 2024 --extern {external} -L {} \
             snippet.rs && ./snippet",
            self.folder().display(),
            target.join("deps").display(),
        );
        self.shell(&[script], place)
    }
}

/// Where a tool of Rust's has its files, though the shell gets another home.
#[must_use]
pub fn home_of(variable: &str) -> PathBuf {
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
