//! Numbers as people read them.

/// Bytes with three digits and a binary unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let decimals = if value < 9.95 { 1 } else { 0 };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// The same with a sign.
pub fn signed(count: i64) -> String {
    let sign = if count < 0 { "\u{2212}" } else { "+" };
    format!("{sign}{}", bytes(count.unsigned_abs()))
}

/// A whole number with commas.
pub fn whole(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `part` of `all` in per cent.
pub fn percent(part: u64, all: u64) -> String {
    let share = if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 };
    match share {
        0.0 => "0 %".to_owned(),
        share if share < 0.95 => "under 1 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

/// Milliseconds.
pub fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{:.1} s", ms as f64 / 1e3),
        10_000..120_000 => format!("{} s", (ms + 500) / 1_000),
        120_000..7_200_000 => format!("{} min", (ms + 30_000) / 60_000),
        _ => format!("{:.1} h", ms as f64 / 3.6e6),
    }
}

/// A number of things.
pub fn plural(count: u64, one: &str) -> String {
    format!("{} {one}{}", whole(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        let all = [0, 1_023, 1_024, 10 << 10, 1_023 << 10, 62 << 20, 3 << 30].map(bytes);
        assert_eq!(all, ["0 B", "1023 B", "1.0 KiB", "10 KiB", "1.0 MiB", "62 MiB", "3.0 GiB"]);
        assert_eq!((signed(-2_048), signed(0)), ("\u{2212}2.0 KiB".into(), "+0 B".into()));
        assert_eq!([999, 1_000, 1_234_567].map(whole), ["999", "1,000", "1,234,567"]);
        assert_eq!(
            (percent(1, 1_000), percent(1, 3), percent(0, 0)),
            ("under 1 %".into(), "33 %".into(), "0 %".into())
        );
        assert_eq!(
            [900, 1_500, 61_000, 3_600_000, 9_000_000].map(time),
            ["900 ms", "1.5 s", "61 s", "60 min", "2.5 h"]
        );
        assert_eq!(
            (plural(1, "thread"), plural(4_000, "thread")),
            ("1 thread".into(), "4,000 threads".into())
        );
    }
}
