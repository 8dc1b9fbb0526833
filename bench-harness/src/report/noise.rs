//! How quiet the machine was while the runs were made, in words, for every form of the report.

use super::format::{memory, plural};
use crate::conditions::{Conditions, Disturbance, FOREIGN, STEAL};
use crate::machine::Touched;
use crate::results::Results;
use crate::statistics::median;

/// What the machine did, as names and values; nothing where it was not looked at.
pub fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let seen: Vec<&Conditions> =
        results.runs.iter().filter_map(|run| run.conditions.as_ref()).collect();
    if seen.is_empty() {
        return Vec::new();
    }
    let of = |figure: fn(&Conditions) -> f64| -> Vec<f64> {
        seen.iter().map(|conditions| figure(conditions)).collect()
    };
    let mut facts = vec![
        ("Disturbed runs", disturbed(&seen)),
        (
            "Others' share of the processors",
            format!(
                "{} (a run is repeated beyond {})",
                range(&of(|it| it.foreign)),
                share(FOREIGN)
            ),
        ),
        (
            "Stolen by the hypervisor",
            format!("{} (a run is repeated beyond {})", range(&of(|it| it.steal)), share(STEAL)),
        ),
        ("Load during the runs", spread(&of(|it| it.load), |load| format!("{load:.1}"))),
        ("Files in memory", spread(&of(|it| it.page_cache_mib as f64 * 1024.0), memory)),
        ("Memory to be had", spread(&of(|it| it.available_mib as f64 * 1024.0), memory)),
        ("Huge pages at faults", huge_pages(&seen)),
    ];
    type Told = fn(&Conditions) -> Option<f64>;
    let told = |figure: Told| -> Vec<f64> {
        seen.iter().filter_map(|conditions| figure(conditions)).collect()
    };
    let waits: [(&str, Told); 3] = [
        ("Somebody waited for a processor", |it| it.cpu_pressure),
        ("Somebody waited for memory", |it| it.memory_pressure),
        ("Somebody waited for a disk", |it| it.io_pressure),
    ];
    for (name, figure) in waits {
        let told = told(figure);
        if !told.is_empty() {
            facts.push((name, format!("{} of the time", range(&told))));
        }
    }
    let clocks = told(|it| it.mhz);
    let clock = if clocks.is_empty() {
        "not told by the kernel".to_owned()
    } else {
        spread(&clocks, |mhz| format!("{mhz:.0} MHz"))
    };
    facts.push(("Frequency", clock));
    let layout = match results.machine.random_layout.as_str() {
        "2" => "drawn anew for every process, the stack's place moved from round to round",
        "" => "not known",
        _ => "not random: what a layout gains or loses is in the figures",
    };
    facts.push(("Addresses", layout.to_owned()));
    if let Some(Touched { mib, seconds }) = results.machine.touched {
        let memory = memory((mib << 10) as f64);
        let touched = format!("{memory} in {seconds:.0} s, so that the host has it ready");
        facts.push(("Touched before the first run", touched));
    }
    facts
}

fn disturbed(seen: &[&Conditions]) -> String {
    let disturbed: Vec<&&Conditions> = seen.iter().filter(|it| !it.disturbed.is_empty()).collect();
    let repeats: usize = seen.iter().map(|it| it.repeats).sum();
    let causes = [
        Disturbance::ForeignLoad,
        Disturbance::Steal,
        Disturbance::MemoryPressure,
        Disturbance::Disk,
        Disturbance::Frequency,
    ];
    let causes: Vec<String> = causes
        .into_iter()
        .filter_map(|cause| {
            let count = disturbed.iter().filter(|it| it.disturbed.contains(&cause)).count();
            (count > 0).then(|| format!("{cause} {count}"))
        })
        .collect();
    let causes =
        if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    format!("{} of {}{causes}, after {}", disturbed.len(), seen.len(), plural(repeats, "repeat"))
}

fn huge_pages(seen: &[&Conditions]) -> String {
    let got: u64 = seen.iter().map(|it| it.huge_faults).sum();
    let missed: u64 = seen.iter().map(|it| it.huge_fallbacks).sum();
    match got + missed {
        0 => "none were asked for".to_owned(),
        all => format!("{} of {all} that were asked for were had", share(got as f64 / all as f64)),
    }
}

fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The middle and the largest of some shares.
fn range(shares: &[f64]) -> String {
    let most = shares.iter().copied().fold(0.0, f64::max);
    format!("{}, at most {}", share(median(shares).unwrap_or(0.0)), share(most))
}

/// The least and the largest.
fn spread(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let ends = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (value.min(low), value.max(high))
    });
    let (low, high) = (show(ends.0), show(ends.1));
    if low == high { low } else { format!("{low} to {high}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::samples::results;

    /// Results of four runs, one of which was disturbed and two were repeated.
    pub fn sample() -> Results {
        let mut results = results(&["a"], &["x"], 4, |_, _, _| 1.0, |_| 4_000);
        for (place, run) in results.runs.iter_mut().enumerate() {
            let disturbed = if place == 3 { vec![Disturbance::ForeignLoad] } else { Vec::new() };
            run.conditions = Some(Conditions {
                elapsed_s: 1.0,
                foreign: [0.01, 0.02, 0.03, 0.4][place],
                page_cache_mib: 1_024 * (1 + place as u64),
                huge_faults: 3,
                huge_fallbacks: 1,
                memory_pressure: Some(0.0),
                repeats: place / 2,
                disturbed,
                ..Conditions::default()
            });
        }
        results
    }

    #[test]
    fn it_is_said_what_was_touched_before() {
        let mut results = sample();
        let told = |results: &Results| {
            facts(results).into_iter().find(|(name, _)| name.starts_with("Touched"))
        };
        assert_eq!(told(&results), None);
        results.machine.touched = Some(Touched { mib: 20_480, seconds: 38.4 });
        let (_, value) = told(&results).expect("it is told");
        assert_eq!(value, "20.0 GiB in 38 s, so that the host has it ready");
    }

    #[test]
    fn it_is_said_how_disturbed_the_machine_was() {
        let facts = facts(&sample());
        let of = |name: &str| {
            let found = facts.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(of("Disturbed runs"), "1 of 4 (foreign load 1), after 2 repeats");
        let others = of("Others' share of the processors");
        assert_eq!(others, "2.5 %, at most 40.0 % (a run is repeated beyond 10.0 %)");
        assert_eq!(of("Files in memory"), "1.00 GiB to 4.00 GiB");
        assert_eq!(of("Huge pages at faults"), "75.0 % of 16 that were asked for were had");
        assert_eq!(of("Somebody waited for memory"), "0.0 %, at most 0.0 % of the time");
        assert_eq!(of("Somebody waited for a disk"), "", "the kernel did not tell");
        assert_eq!(of("Frequency"), "not told by the kernel");
    }

    #[test]
    fn earlier_files_say_nothing_of_it() {
        assert!(facts(&results(&["a"], &["x"], 4, |_, _, _| 1.0, |_| 1)).is_empty());
    }
}
