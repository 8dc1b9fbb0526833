//! What an installation puts beside the program: completion for shells, and a man page. Both come
//! from the description of the command line, so they have what the program takes.

use std::io;

use anyhow::Result;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::Offline;
use crate::live::Live;

/// What `completions` is asked for.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// The whole command line: with and without a process.
fn whole() -> Command {
    let live = Live::command();
    let target = live.get_positionals().next().expect("the process").clone();
    let offline = Offline::command().arg(target.required(false));
    live.get_subcommands().fold(offline, |whole, command| whole.subcommand(command.clone()))
}

/// Stands for the program's name while a script is made: `clap_complete` 4.6 gets the labels of a
/// script for bash wrong if the name has a hyphen.
const PLACEHOLDER: &str = "STRATALLOCCTL";

/// Writes what the shell's completion reads.
pub fn completions(asked: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut whole().name(PLACEHOLDER), PLACEHOLDER, &mut script);
    let script = String::from_utf8(script)?.replace(PLACEHOLDER, "stratalloc-ctl");
    crate::print(script.as_bytes())
}

/// Writes the man page, for section 1.
pub fn man() -> Result<()> {
    let mut page = Vec::new();
    write_man(&mut page)?;
    crate::print(&page)
}

/// The page, and the options of each command, which `clap_mangen` would put into pages of their
/// own.
fn write_man(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = whole();
    command.build();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        let about = one.get_about().map(ToString::to_string).unwrap_or_default();
        let text = format!(".SS {}\n{about}\n", one.get_name());
        page.extend_from_slice(text.replace('-', "\\-").as_bytes());
        for argument in one.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let name = argument.to_string();
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let text = format!(".TP\n\\fB{name}\\fR\n{help}\n").replace('-', "\\-");
            page.extend_from_slice(text.as_bytes());
        }
    }
    man.render_extra_section(page)?;
    man.render_version_section(page)
}
