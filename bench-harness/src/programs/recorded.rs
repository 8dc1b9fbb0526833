//! What was counted of each program once, and is the same on every machine that has the same
//! versions: the share of its instructions that are glibc's `malloc` and its kin, and what it holds
//! at most.
//!
//! The table beside this file is what `stratalloc-bench-program record FOLDER` prints, which takes
//! a quarter of an hour or more: instructions are counted by callgrind, under which programs are
//! tens of times slower. What a program holds is counted by glibc's `libmemusage`. Where a program
//! does not run under one of them, or is newer than the table, its cell is empty. Redis does not
//! under the latter, which does not serve `malloc_usable_size`; the web services did not listen in
//! time under the former. The machine had other work meanwhile, which neither count depends on.

use super::Program;
use super::catalogue::ALL;
use super::host::{Answer, Purpose, Request, answer};
use std::path::Path;
use std::process::ExitCode;

const TABLE: &str = include_str!("recorded.csv");

/// First line of the table.
const HEAD: &str = "program,malloc_share,live_kib,version";
/// glibc's library that tells at exit what was held at most, where glibc itself lies.
const USAGE: &str = "libmemusage.so";
/// Part of the input with which instructions are counted.
const SHARE_SCALE: f64 = 0.1;
/// Longest time of one program under valgrind, in milliseconds.
const LIMIT_MS: u64 = 400_000;

/// What was counted of a program.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recorded {
    /// Share of its instructions that are the allocator's.
    pub malloc_share: Option<f64>,
    /// Most memory that its largest process holds at once.
    pub live_kib: Option<u64>,
}

/// What was counted of the program of this name.
pub fn of(name: &str) -> Recorded {
    let line = TABLE.lines().skip(1).find(|line| line.split(',').next() == Some(name));
    let fields: Vec<&str> = line.unwrap_or("").split(',').collect();
    Recorded {
        malloc_share: fields.get(1).and_then(|text| text.parse().ok()),
        live_kib: fields.get(2).and_then(|text| text.parse().ok()),
    }
}

/// Counts programs, all where none is named, and prints their part of the table.
pub(super) fn record(folder: &Path, names: &[&str]) -> ExitCode {
    let Ok(folder) = std::path::absolute(folder) else { return ExitCode::FAILURE };
    let folder = folder.as_path();
    let Some(own) = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()))
    else {
        return ExitCode::FAILURE;
    };
    println!("{HEAD}");
    let wanted = |program: &&Program| names.is_empty() || names.contains(&program.name);
    for program in ALL.into_iter().filter(wanted) {
        if let Some(reason) = program.missing(&own) {
            eprintln!("{}: {reason}", program.name);
            continue;
        }
        let share = counted(program, folder, &own, SHARE_SCALE, Purpose::Share);
        let live = counted(program, folder, &own, 1.0, Purpose::Live);
        let share = match share {
            Some(Answer::Shared(share)) => format!("{share:.4}"),
            _ => String::new(),
        };
        let live = match live {
            Some(Answer::Lived(kib)) => kib.to_string(),
            _ => String::new(),
        };
        let version = program.version(&own).replace(',', ";");
        println!("{},{share},{live},{version}", program.name);
    }
    ExitCode::SUCCESS
}

fn counted(
    program: &Program,
    folder: &Path,
    own: &Path,
    scale: f64,
    purpose: Purpose,
) -> Option<Answer> {
    let inputs = folder.join(format!("{purpose:?}"));
    let libc = crate::driver::system_library().ok()?;
    let request = Request {
        program: program.name.to_owned(),
        inputs: inputs.clone(),
        work: folder.join("run"),
        own: own.to_owned(),
        scale,
        seed: 1,
        library: if purpose == Purpose::Live { libc.with_file_name(USAGE) } else { libc },
        system: None,
        environment: Vec::new(),
        padding: 0,
        limit_ms: LIMIT_MS,
        purpose,
    };
    let counted = program
        .prepare(&inputs, scale, request.seed)
        .map_err(|error| error.to_string())
        .and_then(|()| answer(&request));
    counted.inspect_err(|reason| eprintln!("{}: {purpose:?}: {reason}", program.name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_of_programs_that_there_are_and_its_figures_are_plausible() {
        assert_eq!(TABLE.lines().next(), Some(HEAD));
        for line in TABLE.lines().skip(1) {
            let name = line.split(',').next().unwrap_or_default();
            assert!(super::super::find(name).is_some(), "there is no program {name}");
            let recorded = of(name);
            assert!(recorded.malloc_share.is_none_or(|share| share > 0.0 && share < 0.9), "{name}");
        }
        for program in ALL {
            assert_ne!(of(program.name), Recorded::default(), "{} is not recorded", program.name);
        }
        assert_eq!(of("nobody"), Recorded::default());
    }
}
