//! Folded stacks (`outer;inner bytes`), and the flame graph that is drawn from them.

use anyhow::{Context, Result};

use crate::group::{Figures, Group};

/// A line per group, in order.
pub fn folded(groups: &[Group], figures: Figures) -> String {
    let mut lines: Vec<String> = groups
        .iter()
        .filter(|group| figures.bytes(&group.tally) > 0)
        .map(|group| {
            let names = group.frames.iter().rev().map(|frame| {
                let name = frame.function.clone();
                // The separators of the format.
                name.unwrap_or_else(|| format!("{:#x}", frame.offset)).replace([';', '\n'], ":")
            });
            let names: Vec<String> = names.collect();
            format!("{} {}\n", names.join(";"), figures.bytes(&group.tally))
        })
        .collect();
    lines.sort();
    lines.concat()
}

/// A flame graph of bytes.
pub fn svg(groups: &[Group], figures: Figures) -> Result<Vec<u8>> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = "Heap by allocating stack".to_owned();
    options.count_name = "bytes".to_owned();
    let folded = folded(groups, figures);
    let mut image = Vec::new();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut image)
        .context("nothing to draw a flame graph of")?;
    Ok(image)
}
