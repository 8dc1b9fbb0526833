//! What is known about runs of real programs, and how it joins the workloads' results.
//!
//! Programs are kept apart from the workloads, because only allocators that can be preloaded have
//! columns there. [`Results::of_programs`] gives them in the form of results of their own, so that
//! what is computed from workloads (intervals, geometric means, standings) is computed from
//! programs by the same code.

use super::{Results, Run, WorkloadFacts};
use serde::{Deserialize, Serialize};

/// Real programs and their runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Programs {
    /// Factor on the amount of each program's input.
    pub scale: f64,
    /// The programs that were run, in the order of the report.
    pub facts: Vec<ProgramFacts>,
    /// Every run that gave a measurement.
    pub runs: Vec<ProgramRun>,
    /// The proof that the allocator was in use, for each pair of program and allocator.
    pub in_use: Vec<InUse>,
    /// Programs that could not be run at all, and why: each costs its row.
    pub missing_programs: Vec<Missing>,
    /// Allocators that cannot be put under a program, and why: each costs its column.
    pub missing_allocators: Vec<Missing>,
}

/// What a reader must know about a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramFacts {
    /// Name on the command line.
    pub name: String,
    /// The real use that it stands for.
    pub stands_for: String,
    /// What one run does.
    pub does: String,
    /// The version that was run, by the program's own word.
    pub version: String,
    /// Debian's packages that it comes from; none where this project builds it.
    pub packages: Vec<String>,
    /// Most threads that were seen at once, in all of its processes together.
    pub threads: usize,
    /// Processes that one run starts, as far as they were seen.
    pub processes: usize,
    /// Most memory that it holds at once, in KiB, where that was found out.
    pub live_kib: Option<u64>,
    /// Share of its instructions that are glibc's `malloc`, `free` and their kin, counted by
    /// callgrind; none where it does not run there.
    pub malloc_share: Option<f64>,
}

/// One measured run of a program. Its operation is the whole run; times, faults and switches are
/// those of all its processes together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramRun {
    /// What was measured; the workload is the program's name, and the checksum that of its output.
    #[serde(flatten)]
    pub run: Run,
    /// Highest proportional memory of all its processes together, as far as it was seen, in KiB.
    pub pss_peak_kib: u64,
}

/// The proof that an allocator served a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InUse {
    /// Name of the allocator.
    pub allocator: String,
    /// Name of the program.
    pub program: String,
    /// What was seen.
    pub proof: String,
}

/// A program or an allocator that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Programs {
    /// Whether nothing is known of any program.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.missing_programs.is_empty()
    }

    /// The highest proportional memory of one allocator under one program, by round.
    pub fn pss_peak_kib<'a>(
        &'a self,
        allocator: &'a str,
        program: &'a str,
    ) -> impl Iterator<Item = u64> + 'a {
        let of_pair =
            move |one: &&ProgramRun| one.run.allocator == allocator && one.run.workload == program;
        self.runs.iter().filter(of_pair).map(|one| one.pss_peak_kib)
    }

    /// The programs in the form of workloads.
    fn workloads(&self) -> impl Iterator<Item = WorkloadFacts> + '_ {
        self.facts.iter().map(|facts| WorkloadFacts {
            name: facts.name.clone(),
            stands_for: facts.stands_for.clone(),
            unit: "runs".to_owned(),
            threaded: facts.threads > 1,
        })
    }
}

impl Results {
    /// The programs as results of their own: programs in place of workloads, and the allocators
    /// that ran any of them. None where no program ran.
    pub fn of_programs(&self) -> Option<Self> {
        let programs = &self.programs;
        if programs.runs.is_empty() {
            return None;
        }
        let ran = |name: &str| programs.runs.iter().any(|one| one.run.allocator == name);
        let known = |name: &str| programs.facts.iter().any(|facts| facts.name == name);
        let of_program = |workload: &Option<String>| workload.as_deref().is_some_and(known);
        let (allocators, failures) = (self.allocators.iter(), self.failures.iter());
        Some(Self {
            allocators: allocators.filter(|one| ran(&one.name)).cloned().collect(),
            workloads: programs.workloads().collect(),
            runs: programs.runs.iter().map(|one| one.run.clone()).collect(),
            failures: failures.filter(|one| of_program(&one.workload)).cloned().collect(),
            ..Self::new(self.machine.clone(), self.plan.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{programs, results};
    use crate::summary::{Measure, Summary};

    #[test]
    fn programs_are_judged_by_the_code_that_judges_workloads() {
        let mut all = results(&["linked", "ptmalloc", "b"], &["x"], 6, |_, _, _| 1.0, |_| 1_000);
        assert_eq!(all.of_programs(), None);
        all.programs = programs(&["ptmalloc", "b"], &["python", "git"], 6, |a| 1.0 + a as f64);
        let alone = all.of_programs().expect("programs ran");
        let names: Vec<_> = alone.allocators.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["ptmalloc", "b"]);
        let summary = Summary::new(&alone).expect("allocators took part");
        let twice = summary.overall(1, summary.baseline, Measure::Cpu).expect("both ran");
        assert!((twice.value - 2.0).abs() < 1e-9, "{twice:?}");
        assert_eq!(all.programs.pss_peak_kib("b", "git").count(), 6);
    }
}
