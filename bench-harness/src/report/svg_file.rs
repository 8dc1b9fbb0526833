//! The summary as a picture of its own, for a README: light or dark as the reader's screen is, and
//! on a sheet of its own, so that it can be read on any page.

use super::html::overview;
use crate::results::Results;
use crate::summary::Summary;

/// The picture; none where no two allocators could be set against each other.
pub fn picture(results: &Results) -> Option<String> {
    let summary = Summary::new(results).filter(|_| !results.workloads.is_empty())?;
    let (width, height, content) = overview::scatter_content(results, &summary)?;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" width=\"{:.0}\" \
         height=\"{:.0}\" role=\"img\" aria-label=\"Processor time against peak memory of every \
         allocator\">\n<style>\n{STYLE}</style>\n<rect class=\"sheet\" width=\"100%\" \
         height=\"100%\" rx=\"10\"/>\n<text x=\"24\" y=\"32\" class=\"title\">Time against \
         memory, over {} workloads</text>\n<text x=\"24\" y=\"52\" class=\"tick\">geometric means, \
         relative to the best peer of each workload; lines are 95 % intervals</text>\n\
         <g transform=\"translate(12 64)\">\n{content}</g>\n</svg>\n",
        width + 24.0,
        height + 76.0,
        width + 24.0,
        height + 76.0,
        results.workloads.len(),
    ))
}

const STYLE: &str = include_str!("summary.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::results;

    #[test]
    fn the_picture_names_every_allocator_and_stands_alone() {
        let names = ["stratalloc", "a<b", "c"];
        let results = results(&names, &["x"], 3, |a, _, _| 1.0 + a as f64, |a| 1000 + a as u64);
        let picture = picture(&results).expect("there are results");
        assert!(picture.starts_with("<svg xmlns=") && picture.contains(">a&lt;b</text>"));
        assert!(
            ["stratalloc", "c"].iter().all(|name| picture.contains(&format!(">{name}</text>")))
        );
        assert!(picture.contains("prefers-color-scheme: dark") && !picture.contains("href"));
    }
}
