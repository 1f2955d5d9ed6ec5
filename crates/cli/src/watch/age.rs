//! How old something is.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use warren_namespaces::ProcRoot;

/// Time since the machine started, as processes' start times count it.
pub fn uptime() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// When a process started, since the machine did: field 22 of proc_pid_stat(5).
pub fn start_of(proc: &ProcRoot, pid: u32) -> Option<Duration> {
    let text = proc.read(&format!("{pid}/stat")).ok()?;
    let ticks = parse_start(&text)?;
    let second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.saturating_mul(1000) / second))
}

/// The name in brackets, field 2, can hold anything; the last bracket ends it.
fn parse_start(stat: &[u8]) -> Option<u64> {
    const FIELD: usize = 22;
    let text = String::from_utf8_lossy(stat);
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(FIELD - 3)?.parse().ok()
}

/// `5s`, `12m`, `3h`, `40d`: the largest unit of which there is one.
pub fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) S 1 (b) {}", fields.join(" "));
        assert_eq!(parse_start(stat.as_bytes()), Some(22));
        assert_eq!(parse_start(b"7 (a) S 1"), None);
    }

    #[test]
    fn the_own_start_is_before_now() {
        let proc = ProcRoot::open().expect("/proc");
        let start = start_of(&proc, std::process::id()).expect("the own stat");
        assert!(start <= uptime() && uptime() - start < Duration::from_secs(3600));
    }

    #[test]
    fn an_age_has_one_unit() {
        let words = |seconds| super::words(Duration::from_secs(seconds));
        assert_eq!([words(0), words(59), words(60)], ["0s", "59s", "1m"]);
        assert_eq!([words(7200), words(86400 * 40)], ["2h", "40d"]);
    }
}
