//! `stratalloc-run PROGRAM`: runs a program with the library preloaded.
//!
//! * `library`: where the library is, relative to this program.
//! * `program`: which file is run, and whether the dynamic linker would preload anything into it.
//!
//! It says what is wrong where `LD_PRELOAD` would do nothing in silence. Then it becomes the
//! program. The status is the program's, or as that of env(1): 127 where there is no such program,
//! 126 where it cannot be run this way, 125 where something of ours is missing.

mod library;
mod program;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

/// Runs a program on the allocator stratalloc.
///
/// The library is found beside this program (../lib and the like). What LD_PRELOAD has already
/// stays behind it. Options of the allocator are set in the environment (STRATALLOC_OPTIONS=help
/// lists them).
#[derive(Parser)]
#[command(name = "stratalloc-run", version)]
#[command(
    after_help = "The status is that of PROGRAM; 127: there is no such program; 126: it cannot \
    be run this way (set-user-ID, static, no permission); 125: the library is missing."
)]
struct Arguments {
    /// Preload the hardened library, which finds more misuse.
    #[arg(long)]
    hardened: bool,
    /// Preload this file.
    #[arg(long, value_name = "FILE", conflicts_with = "hardened")]
    library: Option<PathBuf>,
    /// The program, looked for in PATH unless it has a slash, and its arguments.
    #[arg(required = true, num_args = 1.., value_names = ["PROGRAM", "ARG"])]
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// Why the program was not run, and the status that says so.
#[derive(Debug)]
pub struct Refusal {
    status: u8,
    text: String,
}

impl Refusal {
    /// Something that belongs to this program is missing.
    pub fn ours(text: String) -> Self {
        Self { status: 125, text }
    }

    /// The program cannot be run this way.
    pub fn cannot(text: String) -> Self {
        Self { status: 126, text }
    }

    /// There is no such program.
    pub fn missing(text: String) -> Self {
        Self { status: 127, text }
    }
}

fn main() -> ExitCode {
    let refusal = run(Arguments::parse());
    eprintln!("stratalloc-run: {}", refusal.text);
    ExitCode::from(refusal.status)
}

/// Becomes the program. Returns why that did not work.
fn run(arguments: Arguments) -> Refusal {
    let library = match library::find(arguments.library.as_deref(), arguments.hardened) {
        Ok(library) => library,
        Err(refusal) => return refusal,
    };
    let name = &arguments.command[0];
    let program = match program::find(name) {
        Ok(program) => program,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = program::check(&program) {
        return refusal;
    }
    let error = Command::new(&program)
        .arg0(name)
        .args(&arguments.command[1..])
        .env("LD_PRELOAD", preload(&library, env::var_os("LD_PRELOAD")))
        .exec();
    Refusal::cannot(format!("{}: {error}", program.display()))
}

/// The value of `LD_PRELOAD`: the library, then what was there, without the library itself.
fn preload(library: &Path, before: Option<OsString>) -> OsString {
    let mut value = library.as_os_str().to_owned();
    let before = before.unwrap_or_default();
    // The dynamic linker takes both for separators.
    let others = before.as_bytes().split(|&byte| byte == b':' || byte == b' ');
    for other in
        others.filter(|other| !other.is_empty() && *other != library.as_os_str().as_bytes())
    {
        value.push(":");
        value.push(std::ffi::OsStr::from_bytes(other));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a user preloads besides goes on to work, and a second `stratalloc-run` adds nothing.
    #[test]
    fn what_was_preloaded_stays() {
        let library = Path::new("/lib/ours.so");
        let with = |before: &str| preload(library, Some(before.into()));
        assert_eq!(preload(library, None), "/lib/ours.so");
        assert_eq!(with(""), "/lib/ours.so");
        assert_eq!(with("a.so:/b.so c.so"), "/lib/ours.so:a.so:/b.so:c.so");
        assert_eq!(with("a.so:/lib/ours.so:b.so"), "/lib/ours.so:a.so:b.so");
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        let parsed = Arguments::parse_from(["stratalloc-run", "ls", "--hardened", "--", "-l"]);
        assert!(!parsed.hardened, "options behind the program are the program's");
        assert_eq!(parsed.command, ["ls", "--hardened", "--", "-l"]);
    }
}
