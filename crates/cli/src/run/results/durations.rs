//! Durations and signals on the command line.

use std::ffi::OsStr;
use std::time::Duration;

use warren_sys::signal::SIGTERM;

use crate::util_linux::signal_by_name;

/// `1500ms`, `2s`, `1.5s`, `5m`, `1h`; a bare number is in seconds, as timeout(1) has it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let milliseconds: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(malformed()),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return Err(malformed());
    }
    // Ten to the power of at most nine.
    let scale = 10_u64.pow(part.len() as u32);
    let number = |text: &str| text.parse::<u64>().ok();
    let nanoseconds = |amount: u64| {
        let whole = Duration::from_millis(amount.checked_mul(milliseconds)?);
        let part = u128::from(number(part)?) * u128::from(milliseconds) * 1_000_000;
        let part = u64::try_from(part / u128::from(scale)).ok()?;
        whole.checked_add(Duration::from_nanos(part))
    };
    let found = number(whole).and_then(nanoseconds).ok_or_else(malformed)?;
    if found.is_zero() {
        return Err("a limit of no time would let nothing run".to_owned());
    }
    Ok(found)
}

fn malformed() -> String {
    "it is a number with ms, s, m or h".to_owned()
}

/// `TIME[:SIGNAL]`.
pub fn timeout(text: &str) -> Result<(Duration, i32), String> {
    let (time, signal) = match text.split_once(':') {
        Some((time, signal)) => (time, signal_number(signal)?),
        None => (text, SIGTERM),
    };
    Ok((duration(time)?, signal))
}

/// A signal by name, with or without SIG, or by number.
fn signal_number(text: &str) -> Result<i32, String> {
    const MOST: i32 = 64;
    let by_number = text.parse().ok();
    by_number
        .filter(|number| (1..=MOST).contains(number))
        .or_else(|| signal_by_name(OsStr::new(text)))
        .ok_or_else(|| format!("unknown signal '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_a_bare_number_is_seconds() {
        let ms = |text: &str| duration(text).map(|time| time.as_millis());
        assert_eq!(ms("1500ms"), Ok(1500));
        assert_eq!(ms("2s"), Ok(2000));
        assert_eq!(ms("2"), Ok(2000));
        assert_eq!(ms("1.5s"), Ok(1500));
        assert_eq!(ms("0.25"), Ok(250));
        assert_eq!(ms("5m"), Ok(300_000));
        assert_eq!(ms("1h"), Ok(3_600_000));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "-1",
            "+1s",
            "1 s",
            "1d",
            "1.s",
            ".5",
            "1e3",
            "0",
            "0ms",
            "1..2s",
            "99999999999999999999s",
            "18446744073709551615h",
            "1.0000000001s",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_timeout_has_a_signal_by_name_or_number() {
        let second = Duration::from_secs(1);
        assert_eq!(timeout("1s"), Ok((second, 15)));
        assert_eq!(timeout("1s:KILL"), Ok((second, 9)));
        assert_eq!(timeout("1s:sigint"), Ok((second, 2)));
        assert_eq!(timeout("1000ms:10"), Ok((second, 10)));
        for text in ["1s:", "1s:0", "1s:65", "1s:FOO", ":TERM"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
}
