//! What the charts share: the outer element, text, and axes with round numbers.

use crate::escape;

/// How a text stands to its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// Width from which letters must grow on a narrow screen to be read.
const BROAD: f64 = 500.0;

/// A chart `width` by `height`, which scales with the page; `label` is for those who do not see it.
pub fn chart(width: f64, height: f64, label: &str, content: &str) -> String {
    let class = if width > BROAD { "broad" } else { "small" };
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{}\">\n\
         {content}</svg>\n",
        escape(label)
    )
}

/// A text at a point, in a class of the style.
pub fn text(x: f64, y: f64, anchor: Anchor, class: &str, text: &str) -> String {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>\n",
        escape(text)
    )
}

/// A straight line, in a class of the style.
pub fn line(from: (f64, f64), to: (f64, f64), class: &str) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

/// Round numbers from 0 to at least `highest`, about `wanted` steps of them.
pub fn linear_ticks(highest: f64, wanted: usize) -> Vec<f64> {
    if !(highest > 0.0 && highest.is_finite()) {
        return vec![0.0, 1.0];
    }
    let rough = highest / wanted as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * magnitude);
    let count = (highest / step).ceil() as usize;
    (0..=count.max(1)).map(|index| index as f64 * step).collect()
}

/// What a tick's number needs along the axis.
const TICK_ROOM: f64 = 52.0;

/// A logarithmic axis.
pub struct LogAxis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl LogAxis {
    /// From `start` to `end` on the chart, wide enough for all `values` and for 1.
    pub fn new(values: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (mut low, mut high) = (0.87_f64, 1.15_f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            low = low.min(value / 1.08);
            high = high.max(value * 1.08);
        }
        Self { low, high, start, end }
    }

    /// Where `value` stands.
    pub fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-9) / self.low).ln() / (self.high / self.low).ln();
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Numbers to write at the axis; a wide axis gets fewer.
    pub fn ticks(&self) -> Vec<f64> {
        const FINE: [f64; 17] =
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0];
        const COARSE: [f64; 9] = [0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0];
        let ticks: &[f64] = if self.high / self.low < 5.0 { &FINE } else { &COARSE };
        let mut chosen = vec![1.0];
        for tick in ticks.iter().copied().filter(|tick| (self.low..=self.high).contains(tick)) {
            let clear = |other: &f64| (self.place(tick) - self.place(*other)).abs() >= TICK_ROOM;
            if chosen.iter().all(clear) {
                chosen.push(tick);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_reach_the_highest_value() {
        assert_eq!(linear_ticks(97.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(linear_ticks(4.0, 4), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(linear_ticks(0.0, 4), [0.0, 1.0]);
        assert_eq!(linear_ticks(f64::NAN, 4), [0.0, 1.0]);
        for highest in [0.013, 0.7, 3.3, 61.0, 1234.0] {
            let ticks = linear_ticks(highest, 4);
            assert!(
                *ticks.last().expect("never empty") >= highest && ticks.len() <= 6,
                "{ticks:?}"
            );
        }
    }

    #[test]
    fn log_axis_keeps_its_ends_and_shows_one() {
        let axis = LogAxis::new([0.5, 4.0].into_iter(), 100.0, 300.0);
        assert!(axis.ticks().contains(&1.0));
        let places = [0.5, 1.0, 4.0].map(|value| axis.place(value));
        assert!(places.is_sorted() && places[0] > 100.0 && places[2] < 300.0, "{places:?}");
        assert_eq!(axis.place(0.0), 100.0);
        for narrow in [1.0, 1.3, 2.0, 2.6, 9.0] {
            let axis = LogAxis::new([narrow].into_iter(), 0.0, 300.0);
            let mut places: Vec<_> = axis.ticks().iter().map(|tick| axis.place(*tick)).collect();
            places.sort_by(f64::total_cmp);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= TICK_ROOM), "{places:?}");
        }
    }
}
