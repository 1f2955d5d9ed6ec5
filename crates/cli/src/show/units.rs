//! Numbers as people read them.

/// `0`, `512`, `12.0M`: bytes in steps of 1024.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    let mut unit = None;
    let mut tenths = u128::from(number) * 10;
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = Some(next);
    }
    match unit {
        None => number.to_string(),
        Some(unit) => format!("{}.{}{unit}", tenths / 10, tenths % 10),
    }
}

/// `1.5 s`: microseconds.
pub fn seconds(microseconds: u64) -> String {
    let tenths = microseconds / 100_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// `0.50`: a share of a CPU.
pub fn cpus(quota: u64, period: u64) -> String {
    let hundredths = u128::from(quota) * 100 / u128::from(period.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `1 process`, `2 processes`.
pub fn count(number: usize, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_leaves_few_digits() {
        assert_eq!(bytes(0), "0");
        assert_eq!(bytes(1023), "1023");
        assert_eq!(bytes(1024), "1.0K");
        assert_eq!(bytes(256 << 20), "256.0M");
        assert_eq!(bytes(u64::MAX), "15.9E");
    }

    #[test]
    fn shares_of_time_are_rounded_down() {
        assert_eq!(seconds(1_590_000), "1.5 s");
        assert_eq!(cpus(50_000, 100_000), "0.50");
        assert_eq!(cpus(1, 0), "1.00");
    }
}
