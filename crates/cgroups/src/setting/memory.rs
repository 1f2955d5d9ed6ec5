//! Memory and CPU time.

use super::{Both, Why, Writer, pair, v1, v1_only, v2, v2_only};
use crate::convert::{shares_to_weight, weight_to_shares};
use crate::limits::{CpuWeight, Limits, Memory, Most};

impl Writer<'_> {
    pub(super) fn cpu(&mut self, limits: &Limits) {
        let cpu = &limits.cpu;
        // v1: idle groups refuse a change of shares, so that it comes first.
        if let Some(weight) = cpu.weight {
            let (weight, shares) = match weight {
                CpuWeight::Weight(weight) => (weight, weight_to_shares(weight)),
                CpuWeight::Shares(shares) => (shares_to_weight(shares), shares),
            };
            self.add(
                "cpu.weight",
                "cpu",
                pair("cpu.shares", shares, "cpu.weight", weight),
            );
        }
        if cpu.quota_us.is_some() || cpu.period_us.is_some() {
            self.cpu_quota(limits);
        }
        if let Some(burst) = cpu.burst_us {
            self.add(
                "cpu.max.burst",
                "cpu",
                pair("cpu.cfs_burst_us", burst, "cpu.max.burst", burst),
            );
        }
        if let Some(idle) = cpu.idle {
            let idle = u8::from(idle);
            self.add("cpu.idle", "cpu", pair("cpu.idle", idle, "cpu.idle", idle));
        }
        if let Some(period) = cpu.realtime_period_us {
            self.add(
                "cpu.rt_period_us",
                "cpu",
                v1_only("cpu.rt_period_us", period),
            );
        }
        if let Some(runtime) = cpu.realtime_runtime_us {
            self.add(
                "cpu.rt_runtime_us",
                "cpu",
                v1_only("cpu.rt_runtime_us", runtime),
            );
        }
    }

    /// v1 has a file for each, and looks at the ratio whenever one changes: the period
    /// first, since in a new group there is no quota yet.
    fn cpu_quota(&mut self, limits: &Limits) {
        let cpu = &limits.cpu;
        let period = cpu
            .period_us
            .map(|period| ("cpu.cfs_period_us", period.to_string()));
        let quota = cpu
            .quota_us
            .map(|quota| ("cpu.cfs_quota_us", v1::most(quota)));
        let own = |(file, value): (&str, String)| (file.to_owned(), value);
        let max = v2::cpu_max(cpu, self.present);
        let both = Both {
            v1: Some(period.into_iter().chain(quota).map(own).collect()),
            v2: Some(vec![("cpu.max".to_owned(), max)]),
        };
        self.add("cpu.max", "cpu", both);
    }

    pub(super) fn memory(&mut self, memory: &Memory) {
        let mut add = |name: &str, both| self.add(name, "memory", both);
        if let Some(whole) = memory.use_hierarchy {
            // Always so on v2.
            let both = Both {
                v1: Some(vec![(
                    "memory.use_hierarchy".to_owned(),
                    u8::from(whole).to_string(),
                )]),
                v2: whole.then(Vec::new),
            };
            add("memory.use_hierarchy", both);
        }
        if let Some(max) = memory.max {
            add(
                "memory.max",
                pair("memory.limit_in_bytes", v1::most(max), "memory.max", max),
            );
        }
        if let Some(low) = memory.low {
            add(
                "memory.low",
                pair(
                    "memory.soft_limit_in_bytes",
                    v1::most(low),
                    "memory.low",
                    low,
                ),
            );
        }
        let v2_only_ones = [
            ("memory.high", memory.high.map(|most| most.to_string())),
            ("memory.min", memory.min.map(|most| most.to_string())),
            (
                "memory.zswap.max",
                memory.zswap.map(|most| most.to_string()),
            ),
            ("memory.zswap.writeback", memory.zswap_writeback.map(digit)),
            ("memory.oom.group", memory.oom_group.map(digit)),
        ];
        for (name, value) in v2_only_ones {
            if let Some(value) = value {
                add(name, v2_only(name, value));
            }
        }
        let v1_only_ones = [
            (
                "memory.swappiness",
                memory.swappiness.map(|value| value.to_string()),
            ),
            ("memory.oom_control", memory.no_oom_killer.map(digit)),
            ("memory.kmem.limit_in_bytes", memory.kernel.map(v1::most)),
            (
                "memory.kmem.tcp.limit_in_bytes",
                memory.kernel_tcp.map(v1::most),
            ),
        ];
        for (name, value) in v1_only_ones {
            if let Some(value) = value {
                add(name, v1_only(name, value));
            }
        }
        self.swap(memory);
    }

    fn swap(&mut self, memory: &Memory) {
        let Some(swap) = memory.swap else { return };
        let max = memory.max.and_then(Most::limit).or(self.present.memory);
        let both =
            |v1: String| pair("memory.memsw.limit_in_bytes", v1, "memory.swap.max", swap);
        match (swap, max) {
            (Most::Max, _) => {
                self.add("memory.swap.max", "memory", both("-1".to_owned()));
            }
            (Most::Of(swap), Some(max)) => {
                let sum = max.saturating_add(swap).to_string();
                self.add("memory.swap.max", "memory", both(sum));
            }
            (Most::Of(_), None) if self.is_v2("memory") => {
                self.add("memory.swap.max", "memory", both(String::new()));
            }
            (Most::Of(_), None) => {
                let words =
                    "v1 limits swap together with memory: memory.max is needed too";
                self.refuse("memory.swap.max", Why::Other(words.to_owned()));
            }
        }
    }
}

fn digit(yes: bool) -> String {
    u8::from(yes).to_string()
}
