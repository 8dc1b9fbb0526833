//! A flame graph, outermost function on top, as elements that are placed in per cent: it fits any
//! width, light and dark. A script lets a click zoom; without it the graph still stands.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use report_style::escape;

use super::format::{bytes, percent};
use crate::group::{Figures, Group};
use crate::symbols::Frame;

/// What is narrower than this share of the whole is left out.
const NARROWEST: f64 = 1.0 / 2_500.0;

/// Colours that functions get by their module.
const COLOURS: [&str; 8] = ["s0", "s5", "s2", "s3", "s4", "s7", "s6", "s9"];

/// Calls below one function.
#[derive(Default)]
struct Node {
    bytes: u64,
    colour: usize,
    below: BTreeMap<String, Node>,
}

impl Node {
    fn depth(&self, least: u64) -> usize {
        let wide = self.below.values().filter(|node| node.bytes >= least);
        wide.map(|node| 1 + node.depth(least)).max().unwrap_or(0)
    }
}

/// What a reader calls a frame.
pub fn name(frame: &Frame) -> String {
    let file = frame.module.as_ref().and_then(|path| path.file_name());
    let module = file.map_or("??".into(), |name| name.to_string_lossy());
    frame.function.clone().unwrap_or_else(|| format!("{module}+{:#x}", frame.offset))
}

/// The graph of what `figures` says of `groups`; `None` if that is nothing.
pub fn graph(groups: &[Group], figures: Figures) -> Option<String> {
    let mut root = Node::default();
    for group in groups {
        let bytes = figures.bytes(&group.tally);
        if bytes == 0 {
            continue;
        }
        root.bytes += bytes;
        let mut node = &mut root;
        for frame in group.frames.iter().rev() {
            node = node.below.entry(name(frame)).or_default();
            node.bytes += bytes;
            node.colour = colour(frame);
        }
    }
    if root.bytes == 0 {
        return None;
    }
    let least = ((root.bytes as f64 * NARROWEST) as u64).max(1);
    let rows = 1 + root.depth(least);
    let mut out = format!(
        "<div class=\"flame\" style=\"--rows:{rows}\"><i class=\"root\" data-x=\"0\" data-w=\"1\" \
         style=\"left:0;width:100%;--d:0\" title=\"all: {0}\">all, {0}</i>\n",
        bytes(root.bytes)
    );
    write(&mut out, &root, root.bytes, 0, 1, least);
    out.push_str("</div>\n");
    Some(out)
}

fn write(out: &mut String, node: &Node, all: u64, start: u64, depth: usize, least: u64) {
    let mut at = start;
    // The widest first, so that what matters is on the left.
    let mut below: Vec<(&String, &Node)> = node.below.iter().collect();
    below.sort_by_key(|(_, node)| std::cmp::Reverse(node.bytes));
    for (name, node) in below {
        if node.bytes >= least {
            let (x, width) = (at as f64 / all as f64, node.bytes as f64 / all as f64);
            let name = escape(name);
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "<i class=\"{}\" data-x=\"{x:.6}\" data-w=\"{width:.6}\" \
                 style=\"left:{:.3}%;width:{:.3}%;--d:{depth};--v:{}%\" title=\"{name}: {}, {}\">{name}</i>",
                COLOURS[node.colour],
                x * 100.0,
                width * 100.0,
                strength(&name),
                bytes(node.bytes),
                percent(node.bytes, all)
            );
            write(out, node, all, at, depth + 1, least);
        }
        at += node.bytes;
    }
}

/// How strong the colour of a function is, in per cent: neighbours of one file differ.
fn strength(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    26 + hasher.finish() % 5 * 5
}

/// A colour for the file that a function is in.
fn colour(frame: &Frame) -> usize {
    let mut hasher = DefaultHasher::new();
    frame.module.hash(&mut hasher);
    (hasher.finish() % COLOURS.len() as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Tally;

    fn group(names: &[&str], live_bytes: u64) -> Group {
        let frame = |name: &&str| Frame { function: Some((*name).to_owned()), ..Frame::default() };
        let tally = Tally { live_bytes, live_count: 1_000, ..Tally::default() };
        Group { frames: names.iter().map(frame).collect(), tally }
    }

    #[test]
    fn calls_lie_below_their_callers_and_share_their_width() {
        let groups = [group(&["a", "main"], 75), group(&["b<T>", "main"], 25)];
        let graph = graph(&groups, Figures::Live).expect("bytes");
        assert!(graph.contains("data-x=\"0.000000\" data-w=\"0.750000\" style=\"left:0.000%;width:75.000%;--d:2;--v:"), "{graph}");
        assert!(graph.contains("left:75.000%;width:25.000%;--d:2;--v:"));
        assert!(
            graph.contains("title=\"a: 75 B, 75 %\"") && graph.contains("b&lt;T&gt;: 25 B, 25 %")
        );
        assert!(graph.contains("--rows:3") && graph.matches(">main</i>").count() == 1);
        assert!(super::graph(&groups, Figures::Total).is_none(), "nothing was counted");
    }

    #[test]
    fn what_nobody_could_see_is_left_out_and_keeps_its_room() {
        let groups = [group(&["big", "main"], 1_000_000), group(&["tiny", "main"], 10)];
        let graph = graph(&groups, Figures::Live).expect("bytes");
        assert!(graph.contains(">big<") && !graph.contains("tiny"));
    }
}
