//! Address limit (C1.6): how much a process can use when its addresses are limited.
//!
//! `ulimit -v` (`RLIMIT_AS`) is how shared machines, build farms and job queues keep a program in
//! bounds. An allocator that reserves addresses generously, or keeps spans that others cannot use,
//! leaves a part of them to nobody. The limit must hold from the start of the process, as it does
//! after `ulimit`, so this program is started again under it ([`Context::filler`]): the child takes
//! blocks until there are no more and says how much that was ([`fill`]). A child that cannot even
//! start, or dies on its way, could use nothing.

use super::claims::in_mib;
use super::{Chart, Claim, Context, Figures, Finding, GOAL, Observed, Row, Scenario, Tuning};
use super::{Unit, column};
use crate::random::Random;
use std::alloc::{Layout, alloc};
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::ptr::NonNull;

const CASE: &str = "limit of 1,024 MiB";

pub const SCENARIO: Scenario = Scenario {
    name: "address-limit",
    title: "Usable under a limit on addresses",
    does: "A process starts under a limit of 1,024 MiB on its addresses (ulimit -v) and allocates \
           blocks of 100 to 3,072 bytes until there are no more. What counts is the bytes asked \
           for; a process that cannot start or dies has none.",
    cases: &[CASE],
    tunings: &[Tuning::Default],
    columns: &[
        column("limit", Unit::Kib),
        column("usable", Unit::Kib),
        column("of the limit", Unit::Share),
        column("blocks", Unit::Count),
    ],
    chart: Chart::Bars { column: "usable" },
    sleeps: 0.0,
    claims: &[Claim {
        clause: GOAL,
        says: "more than 950 MiB of 1,024 can be used",
        tunings: &[],
        check: goal,
    }],
    run,
};

/// Part of the limit that ought to be usable.
const USABLE: f64 = 950.0 / 1024.0;

fn goal(figures: &Figures<'_>) -> Option<Finding> {
    let limit = figures.get(CASE, "limit")?;
    let usable = figures.get(CASE, "usable")?;
    let said = format!("{} of {} could be used", in_mib(usable), in_mib(limit));
    Some(Finding { holds: usable > USABLE * limit, figures: said })
}

/// The limit, in MiB.
const LIMIT_MIB: usize = 1024;
/// Sizes of the blocks.
const SMALLEST: usize = 100;
const LARGEST: usize = 3 << 10;

fn run(context: &Context<'_>) -> io::Result<Observed> {
    let limit = context.scaled(LIMIT_MIB, 64) << 20;
    let mut command = (context.filler)();
    command.arg(context.seed.to_string()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let bounds = libc::rlimit { rlim_cur: limit as u64, rlim_max: limit as u64 };
    let bound = move || {
        // SAFETY: the structure is valid; the call is made by the child before it becomes this
        // program again, and is safe after a fork.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &bounds) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes one system call and does not allocate.
    unsafe { command.pre_exec(bound) };
    let mut child = command.spawn()?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said)?;
    }
    child.wait()?;
    let (bytes, blocks) = parse(&said).unwrap_or((0, 0));
    let (limit, usable) = ((limit >> 10) as f64, bytes as f64 / 1024.0);
    let figures = [limit, usable, usable / limit, blocks as f64];
    Ok(Observed { rows: vec![Row::new(CASE, &figures)], curves: Vec::new() })
}

/// What stands before the child's figures.
const ANSWER: &str = "filled ";

/// Bytes and blocks, by the child's line of output.
fn parse(said: &str) -> Option<(u64, u64)> {
    let (_, figures) = said.rsplit_once(ANSWER)?;
    let mut figures = figures.split_whitespace().map(|figure| figure.parse().ok());
    Some((figures.next()??, figures.next()??))
}

/// A block's first bytes: the list needs no memory of its own.
struct Link {
    next: Option<NonNull<Link>>,
    size: usize,
}

/// Allocates until there is nothing left, and says how much it was on standard output.
pub fn fill(seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed);
    let (mut newest, mut blocks, mut bytes) = (None, 0_u64, 0_u64);
    loop {
        let size = random.between(SMALLEST, LARGEST);
        let Ok(layout) = Layout::from_size_align(size, align_of::<Link>()) else { break };
        // SAFETY: the size is not zero.
        let Some(block) = NonNull::new(unsafe { alloc(layout) }.cast::<Link>()) else { break };
        // SAFETY: the block is big enough and aligned for a link, and owned here.
        unsafe { block.write(Link { next: newest, size }) };
        // A block of less than an OS page lies on two pages at most: its last byte is on the other.
        // SAFETY: the byte is the last one of the block.
        unsafe { block.as_ptr().cast::<u8>().add(size - 1).write_volatile(1) };
        newest = Some(block);
        blocks += 1;
        bytes += size as u64;
    }
    // Read back: what was given out must be there, and once only.
    let mut found = 0_u64;
    let mut at = newest;
    while let Some(link) = at {
        // SAFETY: every link was written when its block was allocated, and none was freed.
        let link = unsafe { link.as_ref() };
        found += link.size as u64;
        at = link.next;
    }
    if found != bytes {
        return Err(io::Error::other("blocks lost their contents"));
    }
    // There is no memory left for a buffer; the blocks go with the process.
    let mut room = [0_u8; 96];
    let mut text = io::Cursor::new(room.as_mut_slice());
    writeln!(text, "{ANSWER}{bytes} {blocks}")?;
    let length = text.position() as usize;
    // SAFETY: standard output is open, and is not closed here.
    let mut output = ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) });
    output.write_all(&room[..length])
}

#[cfg(test)]
pub mod tests {
    use super::super::claims::tests::holds;
    use super::*;
    use std::process::Command;

    /// The test program, made to run [`fills_under_a_limit`] alone.
    pub fn filler() -> Command {
        let mut command = Command::new(std::env::current_exe().expect("it has a name"));
        let test = concat!(module_path!(), "::fills_under_a_limit");
        let test = test.split_once("::").map_or(test, |(_, rest)| rest);
        // The seed that is added becomes the name of a test to leave out: there is none of it.
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1", "--skip"]);
        command
    }

    #[test]
    #[ignore = "takes all memory that it can get: started by the scenario, under a limit"]
    fn fills_under_a_limit() {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is valid for writing one `rlimit`.
        unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
        if limit.rlim_cur <= 1 << 30 {
            fill(1).expect("standard output is there");
            // The test harness could not go on without memory.
            std::process::exit(0);
        }
    }

    #[test]
    fn most_of_a_limit_can_be_used() {
        let context = super::super::tests::context(CASE);
        let observed = run(&context).expect("a process can be started");
        let [limit, usable, share, blocks] = observed.rows[0].figures[..] else { unreachable!() };
        assert_eq!(limit, 65_536.0);
        // The test program itself, unoptimised, is mapped within the limit, too, and grows with
        // every module of this package; so does what glibc reserves for its second thread.
        assert!(share > 0.2 && share < 1.0 && usable < limit, "{observed:?}");
        let mean = usable * 1024.0 / blocks;
        assert!((1_500.0..1_700.0).contains(&mean), "{observed:?}");
    }

    #[test]
    fn a_child_that_says_nothing_could_use_nothing() {
        assert_eq!(parse("running 1 test\nfilled 1000 10\n"), Some((1000, 10)));
        assert_eq!(parse("memory allocation of 5 bytes failed"), None);
        assert_eq!(parse("filled 1000"), None);
        let row = |usable: f64| [1_048_576.0, usable, usable / 1_048_576.0, 600_000.0];
        assert!(holds("address-limit", 0, &[(CASE, &row(960.0 * 1024.0))]));
        assert!(!holds("address-limit", 0, &[(CASE, &row(940.0 * 1024.0))]));
        assert!(!holds("address-limit", 0, &[(CASE, &row(0.0))]));
    }
}
