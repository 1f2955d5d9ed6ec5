//! What v2 writes into one file though it is several limits.

use crate::limits::{Cpu, Most, Throttle};
use crate::setting::Present;

/// `cpu.max`: `QUOTA PERIOD`. Whoever changes the period alone keeps the quota.
pub fn cpu_max(cpu: &Cpu, present: Present) -> String {
    let kept = present.quota_us.map_or(Most::Max, Most::Of);
    let quota = cpu.quota_us.unwrap_or(kept);
    match cpu.period_us {
        Some(period) => format!("{quota} {period}"),
        None => quota.to_string(),
    }
}

/// A line of `io.max`; empty if nothing is limited.
pub fn io_max(throttle: &Throttle) -> String {
    let parts = [
        ("rbps", throttle.read_bps),
        ("wbps", throttle.write_bps),
        ("riops", throttle.read_iops),
        ("wiops", throttle.write_iops),
    ];
    let parts = parts.into_iter();
    let words =
        parts.filter_map(|(name, most)| most.map(|most| format!("{name}={most}")));
    words.collect::<Vec<_>>().join(" ")
}
