//! Names beside dots, so that none covers another.

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// Where it begins.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    /// Its length, about.
    width: f64,
    /// Whether it is so far from its dot that a line must lead to it.
    pub led: bool,
}

/// Width of a letter, about.
const LETTER: f64 = 8.4;
/// Height of a line.
const LINE: f64 = 16.0;
/// Radius that a dot takes.
const DOT: f64 = 9.0;

impl Label {
    /// The middle of its length.
    pub fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }

    fn covers(&self, other: &Self) -> bool {
        (self.y - other.y).abs() < LINE
            && self.x < other.x + other.width
            && other.x < self.x + self.width
    }

    fn covers_dot(&self, (x, y): (f64, f64)) -> bool {
        let (top, bottom) = (self.y - LINE + 4.0, self.y + 4.0);
        x + DOT > self.x && x - DOT < self.x + self.width && y + DOT > top && y - DOT < bottom
    }
}

/// A place for the name of each dot, within the limits: beside it where that is free, or further
/// and further away.
pub fn place_labels(
    dots: &[(f64, f64)],
    names: &[&str],
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
) -> Vec<Label> {
    let mut placed = Vec::<Label>::new();
    for (&(x, y), name) in dots.iter().zip(names) {
        let width = name.chars().count() as f64 * LETTER;
        let candidates = (0..24).flat_map(|step| {
            let away = f64::from(step / 2) * LINE;
            let away = if step % 2 == 0 { -away } else { away };
            [x + DOT + 3.0, x - DOT - 3.0 - width].map(|x| Label {
                x,
                y: y - 4.0 + away,
                width,
                led: step > 2,
            })
        });
        let free = |label: &Label| {
            label.x >= left
                && label.x + width <= right
                && label.y - LINE >= top
                && label.y <= bottom
                && !placed.iter().any(|other| label.covers(other))
                && !dots.iter().any(|dot| label.covers_dot(*dot))
        };
        let beside = Label { x: x + DOT + 3.0, y: y - 4.0, width, led: false };
        let chosen = candidates.into_iter().find(free).unwrap_or(beside);
        placed.push(chosen);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_crowd_cover_neither_each_other_nor_a_dot() {
        let dots: Vec<_> =
            (0..10).map(|n| (200.0 + f64::from(n % 3), 200.0 + f64::from(n))).collect();
        let names = ["ptmalloc-remedy"; 10];
        let labels = place_labels(&dots, &names, (50.0, 620.0), (10.0, 440.0));
        for (index, label) in labels.iter().enumerate() {
            assert!(labels[..index].iter().all(|other| !label.covers(other)), "{labels:?}");
            assert!(dots.iter().all(|dot| !label.covers_dot(*dot)), "{labels:?}");
        }
        assert!(!labels[0].led && labels.iter().any(|label| label.led));
    }

    #[test]
    fn a_lone_name_stands_right_of_its_dot_and_left_at_the_edge() {
        let place = |x| place_labels(&[(x, 100.0)], &["name"], (50.0, 620.0), (10.0, 440.0))[0];
        assert!(place(100.0).x > 100.0 && place(610.0).x < 600.0);
    }
}
