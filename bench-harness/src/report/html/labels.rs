//! Names beside dots, so that none covers another.

use report_style::svg::Anchor;

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// What is at the dot: the name's beginning right of it, its end left of it, its middle above
    /// or below.
    pub x: f64,
    /// Its base line.
    pub y: f64,
    side: Side,
    /// Its length, about.
    width: f64,
    /// Whether it is so far from its dot that a line must lead to it.
    pub led: bool,
}

/// Where a name stands from its dot.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Right,
    Left,
    /// Above or below.
    Middle,
}

/// A line that names should keep off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Obstacle {
    /// Its left or upper end.
    pub from: (f64, f64),
    /// Its right or lower end.
    pub to: (f64, f64),
}

/// Width of a letter, about, on a narrow screen, where letters are largest against the chart.
const LETTER: f64 = 9.9;
/// Height of a line there.
const LINE: f64 = 19.0;
/// Radius that a dot takes.
const DOT: f64 = 9.0;

impl Label {
    /// How its text stands to its place.
    pub fn anchor(&self) -> Anchor {
        match self.side {
            Side::Right => Anchor::Start,
            Side::Left => Anchor::End,
            Side::Middle => Anchor::Middle,
        }
    }

    fn left(&self) -> f64 {
        match self.side {
            Side::Right => self.x,
            Side::Left => self.x - self.width,
            Side::Middle => self.x - self.width / 2.0,
        }
    }

    /// Where a line from a dot at `x` should end.
    pub fn nearest(&self, x: f64) -> (f64, f64) {
        let left = self.left();
        (x.clamp(left, left + self.width), self.y - 4.0)
    }

    fn covers(&self, other: &Self) -> bool {
        (self.y - other.y).abs() < LINE
            && self.left() < other.left() + other.width
            && other.left() < self.left() + self.width
    }

    fn box_touches(&self, (left, top): (f64, f64), (right, bottom): (f64, f64)) -> bool {
        let (own_top, own_bottom) = (self.y - LINE + 5.0, self.y + 5.0);
        right > self.left()
            && left < self.left() + self.width
            && bottom > own_top
            && top < own_bottom
    }

    fn covers_dot(&self, (x, y): (f64, f64)) -> bool {
        self.box_touches((x - DOT, y - DOT), (x + DOT, y + DOT))
    }

    fn crosses(&self, line: &Obstacle) -> bool {
        self.box_touches(line.from, line.to)
    }
}

/// A place for the name of each dot, within the limits: beside it where that is free, or further
/// and further away. Lines are kept off as long as there is room. Dots with neighbours choose
/// first, since they have the fewest places.
pub fn place_labels(
    dots: &[(f64, f64)],
    names: &[&str],
    lines: &[Obstacle],
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
) -> Vec<Label> {
    let crowd = |dot: usize| {
        let near =
            |other: &&(f64, f64)| (other.0 - dots[dot].0).hypot(other.1 - dots[dot].1) < 90.0;
        dots.iter().filter(near).count()
    };
    let mut order: Vec<usize> = (0..dots.len()).collect();
    order.sort_by_key(|dot| std::cmp::Reverse(crowd(*dot)));
    let mut placed: Vec<Option<Label>> = vec![None; dots.len()];
    for index in order {
        let (x, y) = dots[index];
        let width = names[index].chars().count() as f64 * LETTER;
        let candidates = (0..72).flat_map(|step| {
            let away = f64::from(step / 2 + step % 2) * LINE / 3.0;
            let away = if step % 2 == 0 { away } else { -away };
            [Side::Right, Side::Left, Side::Middle].map(|side| Label {
                x: match side {
                    Side::Right => x + DOT + 3.0,
                    Side::Left => x - DOT - 3.0,
                    Side::Middle => x,
                },
                y: y + 4.5 + away,
                side,
                width,
                led: away.abs() > 1.4 * LINE,
            })
        });
        let free = |label: &Label| {
            label.left() >= left
                && label.left() + width <= right
                && label.y - LINE + 5.0 >= top
                && label.y + 5.0 <= bottom
                && !placed.iter().flatten().any(|other| label.covers(other))
                && !dots.iter().any(|dot| label.covers_dot(*dot))
        };
        let clear = |label: &Label| free(label) && !lines.iter().any(|line| label.crosses(line));
        let near = |label: &Label| !label.led;
        let choose = |wanted: &dyn Fn(&Label) -> bool| candidates.clone().find(wanted);
        let beside = Label { x: x + DOT + 3.0, y: y + 4.5, side: Side::Right, width, led: false };
        let chosen = choose(&|label| near(label) && clear(label))
            .or_else(|| choose(&|label| near(label) && free(label)))
            .or_else(|| choose(&clear))
            .or_else(|| choose(&free));
        placed[index] = Some(chosen.unwrap_or(beside));
    }
    placed.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_crowd_cover_neither_each_other_nor_a_dot() {
        let dots: Vec<_> =
            (0..14).map(|n| (200.0 + f64::from(n % 3), 200.0 + f64::from(n))).collect();
        let names = ["ptmalloc-remedy"; 14];
        let labels = place_labels(&dots, &names, &[], (50.0, 550.0), (10.0, 450.0));
        for (index, label) in labels.iter().enumerate() {
            assert!(labels[..index].iter().all(|other| !label.covers(other)), "{labels:?}");
            assert!(dots.iter().all(|dot| !label.covers_dot(*dot)), "{labels:?}");
        }
        assert!(labels.iter().any(|label| label.led));
    }

    #[test]
    fn a_lone_name_stands_right_of_its_dot_and_left_at_the_edge() {
        let place =
            |x| place_labels(&[(x, 100.0)], &["name"], &[], (50.0, 550.0), (10.0, 440.0))[0];
        assert_eq!((place(100.0).side, place(540.0).side), (Side::Right, Side::Left));
        assert!(place(540.0).nearest(540.0).0 < 540.0);
    }

    #[test]
    fn a_name_keeps_off_lines_where_there_is_room() {
        let line = Obstacle { from: (90.0, 100.0), to: (300.0, 100.0) };
        let label =
            place_labels(&[(100.0, 100.0)], &["name"], &[line], (50.0, 550.0), (10.0, 440.0))[0];
        assert!(!label.crosses(&line), "{label:?}");
    }
}
