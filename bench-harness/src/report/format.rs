//! Numbers and texts as people read them.

use crate::statistics::Estimate;

/// Three significant digits, and no more decimals than that takes.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        0.0 => 0,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A duration.
pub fn seconds(value: f64) -> String {
    if value >= 0.9995 {
        format!("{} s", digits(value))
    } else {
        format!("{} ms", digits(value * 1e3))
    }
}

/// The duration of a call, in nanoseconds.
pub fn nanoseconds(value: f64) -> String {
    match value {
        value if value < 99.95 => format!("{} ns", digits(value)),
        value if value < 999.5 => format!("{value:.0} ns"),
        value if value < 999_500.0 => format!("{} µs", digits(value / 1e3)),
        value => seconds(value / 1e9),
    }
}

/// An amount of memory.
pub fn memory(kib: f64) -> String {
    if kib >= 1024.0 * 1000.0 {
        format!("{} GiB", digits(kib / 1024.0 / 1024.0))
    } else if kib >= 1000.0 {
        format!("{} MiB", digits(kib / 1024.0))
    } else {
        format!("{} KiB", digits(kib))
    }
}

/// A large number with a unit for its size: `12.3 M`.
pub fn count(value: f64) -> String {
    match value {
        value if value >= 999.5e6 => format!("{} G", digits(value / 1e9)),
        value if value >= 999.5e3 => format!("{} M", digits(value / 1e6)),
        value if value >= 9_999.5 => format!("{} k", digits(value / 1e3)),
        value => format!("{value:.0}"),
    }
}

/// A ratio: `0.62×`.
pub fn times(value: f64) -> String {
    format!("{}×", two(value))
}

/// The interval of an estimate, `(0.60 to 0.64)`; how few rounds there were where it has none;
/// nothing where it has no width, as for an allocator against itself.
pub fn interval(estimate: &Estimate) -> String {
    if !estimate.has_interval() {
        format!("({})", plural(estimate.rounds, "run"))
    } else if estimate.low < estimate.high {
        format!("({} to {})", two(estimate.low), two(estimate.high))
    } else {
        String::new()
    }
}

/// The ends of an interval as one word, `0.60–0.64`, or how few rounds there were; nothing where it
/// has no width.
pub fn range(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    if !estimate.has_interval() {
        return plural(estimate.rounds, "run");
    }
    let (low, high) = (show(estimate.low), show(estimate.high));
    if estimate.low < estimate.high { format!("{low}\u{2013}{high}") } else { String::new() }
}

/// A figure and its interval as two words, `0.62 0.60–0.64`, for tables that set the second one
/// small; or `0.62 (1 run)`.
pub fn with_range(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    let value = show(estimate.value);
    if estimate.has_interval() {
        format!("{value} {}", range(estimate, show)).trim_end().to_owned()
    } else {
        format!("{value} ({})", plural(estimate.rounds, "run"))
    }
}

/// A figure with its interval, both as `show` writes them: `489 ms (470 ms to 512 ms)`.
pub fn figure(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    let value = show(estimate.value);
    if estimate.has_interval() {
        format!("{value} ({} to {})", show(estimate.low), show(estimate.high))
    } else {
        format!("{value} ({})", plural(estimate.rounds, "run"))
    }
}

/// A number of things: `1 round`, `3 rounds`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Two decimals, or fewer for large numbers and three for small ones. Ends of intervals are written
/// alike, so that a rounded estimate never lies outside of them.
pub fn two(value: f64) -> String {
    if value < 0.0995 {
        format!("{value:.3}")
    } else if value >= 99.5 {
        format!("{value:.0}")
    } else if value >= 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_the_right_unit() {
        assert_eq!(seconds(0.48912), "489 ms");
        assert_eq!(seconds(1.5), "1.50 s");
        assert_eq!(seconds(0.99999), "1.00 s");
        assert_eq!(memory(2_380.0), "2.32 MiB");
        assert_eq!(memory(512.0), "512 KiB");
        assert_eq!(memory(3.0 * 1024.0 * 1024.0), "3.00 GiB");
        assert_eq!(count(18_000_000.0), "18.0 M");
        assert_eq!(count(999_999_999.0), "1.00 G");
        assert_eq!(count(5_140.0), "5140");
        assert_eq!(times(0.617), "0.62×");
        assert_eq!(times(12.34), "12.3×");
        assert_eq!(seconds(0.0), "0 ms");
        let calls = [9.5, 21.04, 999.0, 999.9, 12_345.0, 2e6, 1.5e9].map(nanoseconds);
        assert_eq!(
            calls,
            ["9.50 ns", "21.0 ns", "999 ns", "1.00 µs", "12.3 µs", "2.00 ms", "1.50 s"]
        );
    }

    #[test]
    fn intervals_are_shown_where_there_are_any() {
        let estimate = |low, high| Estimate { value: 0.62, low, high, rounds: 3 };
        assert_eq!(interval(&estimate(0.6, 0.641)), "(0.60 to 0.64)");
        assert_eq!(interval(&estimate(0.62, 0.62)), "");
        assert_eq!(figure(&estimate(0.6, 0.641), seconds), "620 ms (600 ms to 641 ms)");
        assert_eq!(range(&estimate(0.6, 0.641), two), "0.60\u{2013}0.64");
        assert_eq!(range(&estimate(0.62, 0.62), two), "");
        let few = |rounds| Estimate::without_interval(0.62, rounds);
        assert_eq!((interval(&few(1)), interval(&few(2))), ("(1 run)".into(), "(2 runs)".into()));
        assert_eq!(range(&few(2), two), "2 runs");
        assert_eq!(with_range(&few(2), two), "0.62 (2 runs)");
        assert_eq!(with_range(&estimate(0.6, 0.641), two), "0.62 0.60\u{2013}0.64");
        assert_eq!(figure(&few(1), seconds), "620 ms (1 run)");
        assert_eq!((plural(1, "round"), plural(3, "round")), ("1 round".into(), "3 rounds".into()));
    }
}
