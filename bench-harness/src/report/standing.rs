//! What the standings say, in words and rows, for every form of the report.

use super::format::{interval, plural, times};
use crate::results::Results;
use crate::standing::is_ours;
use crate::statistics::Estimate;
use crate::summary::{Measure, Summary};

/// The measures that decide: the others explain.
pub const DECIDING: [Measure; 2] = [Measure::Cpu, Measure::Peak];

/// The conclusion in three sentences that need no statistics; none where nothing of ours was
/// measured against a peer.
pub fn sentences(results: &Results, summary: &Summary<'_>) -> Option<String> {
    let ours = ours(results)?;
    let name = |index: usize| results.allocators[index].name.as_str();
    let [time, memory] = DECIDING.map(|measure| summary.standings(measure));
    let (own_time, own_memory) = (time[ours].overall?, memory[ours].overall?);
    let best_peer = |measure| {
        let standings = summary.standings(measure).iter().enumerate();
        standings
            .filter(|(index, _)| !is_ours(name(*index)))
            .filter_map(|(index, standing)| Some((index, standing.overall?.value)))
            .min_by(|left, right| left.1.total_cmp(&right.1))
    };
    let (fastest, its_time) = best_peer(Measure::Cpu)?;
    let (leanest, its_memory) = best_peer(Measure::Peak)?;
    let peers: Vec<usize> =
        (0..results.allocators.len()).filter(|index| !is_ours(name(*index))).collect();
    let ahead = |measure| {
        let beats = |peer: &&usize| {
            summary.overall(ours, **peer, measure).is_some_and(|estimate| estimate.is_below(1.0))
        };
        peers.iter().filter(beats).count()
    };
    Some(format!(
        "Over {}, {} takes {} the processor time of whichever peer is fastest on each, and {} the \
         peak memory of whichever is leanest. No single peer comes closer to that than {} in time \
         ({}) and {} in memory ({}). Beyond doubt, {} is faster than {} of {}, and leaner than {}.",
        plural(time[ours].rows.len(), "workload"),
        name(ours),
        estimated(&own_time),
        estimated(&own_memory),
        name(fastest),
        times(its_time),
        name(leanest),
        times(its_memory),
        name(ours),
        ahead(Measure::Cpu),
        plural(peers.len(), "peer"),
        ahead(Measure::Peak),
    ))
}

/// The conclusions over the workloads, and over the real programs.
pub fn conclusions(results: &Results, summary: &Summary<'_>) -> Vec<String> {
    let programs = results.of_programs();
    let of_programs = programs.as_ref().and_then(over_programs);
    sentences(results, summary).into_iter().chain(of_programs).collect()
}

/// The conclusion over the real programs, in short.
fn over_programs(programs: &Results) -> Option<String> {
    let summary = Summary::new(programs)?;
    let ours = ours(programs)?;
    let best = |measure| {
        let standings = summary.standings(measure).iter().zip(&programs.allocators);
        let peers = standings.filter(|(_, allocator)| !is_ours(&allocator.name));
        let peers = peers.filter_map(|(standing, allocator)| {
            Some((standing.overall?.value, allocator.name.as_str()))
        });
        peers.min_by(|left, right| left.0.total_cmp(&right.0))
    };
    let own = DECIDING.map(|measure| summary.standings(measure)[ours].overall);
    let (time, memory) = (best(Measure::Cpu)?, best(Measure::Peak)?);
    Some(format!(
        "Over {}, {} takes {} the time and {} the memory of the best on each; the single peers that come closest \
         are {} with {} and {} with {}.",
        plural(programs.workloads.len(), "real program"),
        programs.allocators[ours].name,
        estimated(&own[0]?),
        estimated(&own[1]?),
        time.1,
        times(time.0),
        memory.1,
        times(memory.0),
    ))
}

/// Our own column: the first of them.
pub fn ours(results: &Results) -> Option<usize> {
    results.allocators.iter().position(|allocator| is_ours(&allocator.name))
}

/// A ratio with its interval: `1.02× (1.00 to 1.04)`.
pub fn estimated(estimate: &Estimate) -> String {
    format!("{} {}", times(estimate.value), interval(estimate)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn the_sentences_name_the_figures() {
        let seconds = |allocator, workload, round| match (allocator, workload) {
            (0, 0) => 3.0,
            // Behind, but not clearly.
            (0, 1) => 1.0 + 0.5 * (round % 2) as f64,
            (1, 1) => 1.0 + 0.5 * (1 - round % 2) as f64,
            (0, _) => 0.5,
            (allocator, _) => allocator as f64,
        };
        let results = results(&["stratalloc", "a", "b"], &["x", "y", "z"], 7, seconds, |a| {
            1000 * (1 + a as u64)
        });
        let summary = Summary::new(&results).expect("there are allocators");
        let said = sentences(&results, &summary).expect("ours was measured");
        assert!(
            said.starts_with("Over 3 workloads, stratalloc takes 1.31× (1.05 to 1.96)"),
            "{said}"
        );
        assert!(said.contains("than a in time") && said.contains("and a in memory"), "{said}");
        assert!(said.contains("of 2 peers, and leaner than 2."), "{said}");
    }

    #[test]
    fn real_programs_have_a_sentence_of_their_own() {
        let mut results = results(&["stratalloc", "a"], &["x"], 6, |_, _, _| 1.0, |_| 1);
        let summary = |results: &Results| {
            conclusions(results, &Summary::new(results).expect("there are allocators")).len()
        };
        assert_eq!(summary(&results), 1);
        let names = ["stratalloc.so", "a"];
        results.allocators.push(crate::child::Description {
            name: "stratalloc.so".to_owned(),
            ..results.allocators[0].clone()
        });
        results.programs =
            crate::results::samples::programs(&names, &["git"], 6, |a| 1.0 + a as f64);
        let said = conclusions(&results, &Summary::new(&results).expect("there are allocators"));
        assert!(said[1].starts_with("Over 1 real program, stratalloc.so takes"), "{said:?}");
        assert!(said[1].ends_with("are a with 1.00\u{d7} and a with 1.00\u{d7}."), "{said:?}");
    }

    #[test]
    fn without_ours_or_without_peers_nothing_is_concluded() {
        for names in [&["a", "b"][..], &["stratalloc"]] {
            let results = results(names, &["x"], 3, |_, _, _| 1.0, |_| 1);
            let summary = Summary::new(&results).expect("there are allocators");
            assert!(sentences(&results, &summary).is_none());
        }
    }
}
