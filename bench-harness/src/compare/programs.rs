//! Which real programs two files may be compared in.

use crate::results::Results;

/// The programs of both files that did the same work, in the form of workloads.
pub(super) struct SamePrograms {
    /// Both files' programs; none where they have none in common.
    pub(super) both: Option<(Results, Results)>,
    /// What is left out, and why.
    pub(super) left_out: Option<String>,
}

/// What is the same in both: inputs of the same size, read by programs of the same version.
pub(super) fn same(old: &Results, new: &Results) -> SamePrograms {
    let (before, after) = (&old.programs, &new.programs);
    let (Some(mut old), Some(mut new)) = (old.of_programs(), new.of_programs()) else {
        return SamePrograms { both: None, left_out: None };
    };
    if before.scale != after.scale {
        let (before, after) = (before.scale, after.scale);
        let left_out =
            format!("Real programs are left out: their inputs are × {before} and × {after}.");
        return SamePrograms { both: None, left_out: Some(left_out) };
    }
    let version = |name: &str| {
        let known = before.facts.iter().find(|facts| facts.name == name);
        known.map(|facts| &facts.version)
    };
    let in_both = after.facts.iter().filter(|facts| version(&facts.name).is_some());
    let (same, other): (Vec<_>, Vec<_>) =
        in_both.partition(|facts| version(&facts.name) == Some(&facts.version));
    let same: Vec<&str> = same.into_iter().map(|facts| &facts.name[..]).collect();
    for results in [&mut old, &mut new] {
        results.workloads.retain(|workload| same.contains(&&workload.name[..]));
    }
    let other: Vec<&str> = other.into_iter().map(|facts| &facts.name[..]).collect();
    let left_out =
        format!("Left out, as the files have other versions of them: {}.", other.join(", "));
    SamePrograms { both: Some((old, new)), left_out: (!other.is_empty()).then_some(left_out) }
}
