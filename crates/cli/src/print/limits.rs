//! Limits in other languages.

use warren_cgroups::limits::{Limits, Most, Throttle};

use crate::limits::{cpu_weight, io_weight};

/// The settings of systemd.resource-control(5), and the names of those limits that it has no
/// word for.
pub fn of_systemd(limits: &Limits) -> (Vec<(&'static str, String)>, Vec<&'static str>) {
    let mut lines = Vec::new();
    let mut add = |key, value: Option<String>| lines.extend(value.map(|it| (key, it)));
    let most = |most: Most| {
        most.limit()
            .map_or("infinity".to_owned(), |it| it.to_string())
    };
    let memory = &limits.memory;
    add(
        "CPUQuota",
        limits.cpu.quota_us.map(|quota| percent(quota, limits)),
    );
    let period = limits.cpu.period_us.filter(|period| *period != PERIOD);
    add(
        "CPUQuotaPeriodSec",
        period.map(|period| format!("{period}us")),
    );
    add(
        "CPUWeight",
        limits.cpu.weight.map(|it| cpu_weight(it).to_string()),
    );
    add("AllowedCPUs", limits.cpuset.cpus.clone());
    add("AllowedMemoryNodes", limits.cpuset.mems.clone());
    add("MemoryMax", memory.max.map(most));
    add("MemoryHigh", memory.high.map(most));
    add("MemoryLow", memory.low.map(most));
    add("MemoryMin", memory.min.map(most));
    add("MemorySwapMax", memory.swap.map(most));
    add("MemoryZSwapMax", memory.zswap.map(most));
    add(
        "OOMPolicy",
        memory.oom_group.filter(|it| *it).map(|_| "kill".to_owned()),
    );
    add("TasksMax", limits.pids.map(most));
    add(
        "IOWeight",
        limits.io.weight.map(|it| io_weight(it).to_string()),
    );
    for throttle in &limits.io.throttles {
        for (key, rate) in rates(throttle) {
            let value =
                rate.map(|rate| format!("/dev/block/{} {}", throttle.device, most(rate)));
            add(key, value);
        }
    }
    (lines, without_word(limits))
}

/// Microseconds: systemd's own, and the kernel's.
const PERIOD: u64 = 100_000;

fn percent(quota: Most, limits: &Limits) -> String {
    let period = limits.cpu.period_us.unwrap_or(PERIOD).max(1);
    match quota.limit() {
        // An empty setting takes a quota back.
        None => String::new(),
        Some(quota) => format!("{}%", (quota * 100).div_ceil(period)),
    }
}

fn rates(throttle: &Throttle) -> [(&'static str, Option<Most>); 4] {
    [
        ("IOReadBandwidthMax", throttle.read_bps),
        ("IOWriteBandwidthMax", throttle.write_bps),
        ("IOReadIOPSMax", throttle.read_iops),
        ("IOWriteIOPSMax", throttle.write_iops),
    ]
}

fn without_word(limits: &Limits) -> Vec<&'static str> {
    let cpu = &limits.cpu;
    let realtime = cpu.realtime_runtime_us.is_some() || cpu.realtime_period_us.is_some();
    let all = [
        ("cpu.max.burst", cpu.burst_us.is_some()),
        ("cpu.idle", cpu.idle.is_some()),
        ("cpu.rt_runtime_us", realtime),
        ("hugetlb", !limits.hugetlb.is_empty()),
        ("rdma", !limits.rdma.is_empty()),
        ("misc", !limits.misc.is_empty()),
        ("devices", !limits.devices.is_empty()),
        ("unified", !limits.unified.is_empty()),
    ];
    let missing = all.into_iter().filter(|(_, is_set)| *is_set);
    missing.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_percentage() {
        let mut limits = Limits::default();
        limits.cpu.quota_us = Some(Most::Of(50_000));
        limits.cpu.period_us = Some(PERIOD);
        limits.memory.max = Some(Most::Of(64 << 20));
        limits.cpu.idle = Some(true);
        let (lines, missing) = of_systemd(&limits);
        let expected = [
            ("CPUQuota", "50%".to_owned()),
            ("MemoryMax", "67108864".to_owned()),
        ];
        assert_eq!(lines, expected);
        assert_eq!(missing, ["cpu.idle"]);
    }
}
