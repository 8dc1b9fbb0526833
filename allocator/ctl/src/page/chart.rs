//! Areas over time, one upon the other, and the small lines of tables.

use report_style::escape;
use report_style::svg::{Anchor, chart, line, linear_ticks, text};

use super::format::{bytes, time};

/// A band of a chart: its class in the style, its name, and bytes at each moment.
pub struct Band<'a> {
    pub class: &'a str,
    pub name: String,
    pub values: Vec<u64>,
}

const WIDTH: f64 = 700.0;
/// Where the axes are.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 12.0;

/// Most points of a band's edge: more than that no screen shows.
const POINTS: usize = 350;

/// A chart `height` high of `bands` from the bottom up, and of `over`, a line.
pub fn stacked(
    times_ms: &[u64],
    bands: &[Band<'_>],
    over: &[Option<u64>],
    height: f64,
    label: &str,
) -> String {
    let bottom = height - 28.0;
    let sums = times_ms
        .iter()
        .enumerate()
        .map(|(at, _)| bands.iter().map(|band| band.values[at]).sum::<u64>());
    let highest = sums.chain(over.iter().map(|value| value.unwrap_or(0))).max().unwrap_or(0);
    let (unit, ticks) = ticks(highest);
    let top_value = ticks.last().copied().unwrap_or(1.0) * unit;
    let last = times_ms.last().copied().unwrap_or(0).max(1) as f64;
    let x = |at: usize| LEFT + times_ms[at] as f64 / last * (RIGHT - LEFT);
    let y = |value: u64| bottom - value as f64 / top_value * (bottom - TOP);
    let mut content = String::new();
    for tick in &ticks {
        let at = y((tick * unit) as u64);
        content += &line((LEFT, at), (RIGHT, at), "grid");
        content += &text(LEFT - 8.0, at + 4.5, Anchor::End, "tick", &bytes((tick * unit) as u64));
    }
    let chosen: Vec<usize> = chosen(times_ms.len());
    let mut floor = vec![0_u64; times_ms.len()];
    for band in bands {
        let ceiling: Vec<u64> =
            floor.iter().zip(&band.values).map(|(low, more)| low + more).collect();
        let upper = chosen.iter().map(|&at| point(x(at), y(ceiling[at])));
        let lower = chosen.iter().rev().map(|&at| point(x(at), y(floor[at])));
        let path: Vec<String> = upper.chain(lower).collect();
        content += &format!(
            "<path class=\"area {}\" d=\"M{}Z\"><title>{}</title></path>\n",
            band.class,
            path.join("L"),
            escape(&band.name)
        );
        floor = ceiling;
    }
    let known: Vec<String> =
        chosen.iter().filter_map(|&at| Some(point(x(at), y(over.get(at).copied()??)))).collect();
    if !known.is_empty() {
        content += &format!("<path class=\"resident\" d=\"M{}\"/>\n", known.join("L"));
    }
    content += &axis_of_time(last, bottom);
    chart(WIDTH, height, label, &content)
}

/// Moments to draw: all, or so many evenly apart, the last one among them.
fn chosen(count: usize) -> Vec<usize> {
    let step = count.div_ceil(POINTS).max(1);
    let mut chosen: Vec<usize> = (0..count).step_by(step).collect();
    if count > 0 && chosen.last() != Some(&(count - 1)) {
        chosen.push(count - 1);
    }
    chosen
}

fn point(x: f64, y: f64) -> String {
    format!("{x:.1} {y:.1}")
}

/// Round numbers of the binary unit that `highest` is in.
fn ticks(highest: u64) -> (f64, Vec<f64>) {
    let mut unit = 1.0;
    while highest as f64 / unit >= 1_000.0 {
        unit *= 1_024.0;
    }
    (unit, linear_ticks(highest as f64 / unit, 4))
}

fn axis_of_time(last_ms: f64, bottom: f64) -> String {
    let mut content = line((LEFT, bottom), (RIGHT, bottom), "one");
    let ticks = linear_ticks(last_ms, 4);
    for tick in ticks.into_iter().filter(|tick| *tick <= last_ms * 1.001) {
        let at = LEFT + tick / last_ms * (RIGHT - LEFT);
        let anchor = if at > RIGHT - 30.0 { Anchor::End } else { Anchor::Middle };
        let name = if tick == 0.0 { "0".to_owned() } else { time(tick as u64) };
        content += &text(at, bottom + 19.0, anchor, "tick", &name);
    }
    content
}

/// A line without axes, for a cell of a table.
pub fn spark(values: &[u64]) -> String {
    const WIDTH: f64 = 90.0;
    const HEIGHT: f64 = 20.0;
    let highest = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    let steps = values.len().saturating_sub(1).max(1) as f64;
    let points = values.iter().enumerate().map(|(at, &value)| {
        point(
            1.0 + at as f64 / steps * (WIDTH - 2.0),
            HEIGHT - 2.0 - value as f64 / highest * (HEIGHT - 4.0),
        )
    });
    let path: Vec<String> = points.collect();
    format!(
        "<svg class=\"spark s0\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\">\
         <path class=\"line\" d=\"M{}\"/></svg>",
        path.join("L")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_moment_are_always_drawn() {
        for count in [0, 1, 2, 350, 351, 699, 701, 2_001] {
            let chosen = chosen(count);
            assert!(chosen.len() <= POINTS + 1, "{count}");
            assert_eq!(chosen.last().copied(), count.checked_sub(1));
            assert_eq!(chosen.first().copied(), (count > 0).then_some(0));
        }
    }

    #[test]
    fn bands_lie_upon_each_other_and_reach_no_further_than_the_axis() {
        let band =
            |class, values: [u64; 2]| Band { class, name: "<x>".into(), values: values.into() };
        let svg = stacked(
            &[0, 1_000],
            &[band("s1", [1 << 20, 1 << 20]), band("s2", [0, 1 << 20])],
            &[Some(3 << 20), None],
            200.0,
            "label",
        );
        // 3 MiB are the top of the axis, so the first band's edge is at a third.
        assert!(svg.contains("M78.0 118.7L690.0 118.7L690.0 172.0L78.0 172.0Z"), "{svg}");
        assert!(svg.contains("M78.0 118.7L690.0 65.3L690.0 118.7L78.0 118.7Z"), "{svg}");
        assert!(svg.contains("&lt;x&gt;") && svg.contains("3.0 MiB") && svg.contains("1.0 s"));
    }
}
