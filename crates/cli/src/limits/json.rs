//! A group's limits, use and pressure as JSON: docs/json.md.

use serde_json::{Map, Value, json};
use warren_cgroups::limits::{CpuWeight, IoWeight, Most};
use warren_cgroups::{Stalls, Stat};

use super::View;
use crate::failure::Failure;
use crate::json;

/// The whole object.
pub fn render(view: &View) -> Result<String, Failure> {
    json::text(&json!({
        "version": 1,
        "target": view.name,
        "groups": view.groups,
        "frozen": view.frozen,
        "limits": limits(view),
        "lowest": lowest(view),
        "use": used(&view.stat),
        "pressure": {
            "cpu": stalls(view.pressure.cpu),
            "memory": stalls(view.pressure.memory),
            "io": stalls(view.pressure.io),
        },
    }))
}

/// What the group cannot have is left out; no limit is null.
fn limits(view: &View) -> Value {
    let limits = &view.limits;
    let memory = &limits.memory;
    let mut map = Map::new();
    let mosts = [
        ("cpu.quota_us", limits.cpu.quota_us),
        ("memory.max", memory.max),
        ("memory.high", memory.high),
        ("memory.low", memory.low),
        ("memory.min", memory.min),
        ("memory.swap.max", memory.swap),
        ("memory.zswap.max", memory.zswap),
        ("pids.max", limits.pids),
    ];
    for (name, most) in mosts {
        if let Some(most) = most {
            map.insert(name.to_owned(), most.limit().into());
        }
    }
    let numbers = [
        ("cpu.period_us", limits.cpu.period_us),
        ("cpu.max.burst", limits.cpu.burst_us),
        ("cpu.weight", limits.cpu.weight.map(cpu_weight)),
        ("io.weight", limits.io.weight.map(io_weight)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            map.insert(name.to_owned(), number.into());
        }
    }
    let switches = [
        ("cpu.idle", limits.cpu.idle),
        ("memory.oom.group", memory.oom_group),
    ];
    for (name, switch) in switches {
        if let Some(switch) = switch {
            map.insert(name.to_owned(), switch.into());
        }
    }
    let lists = [
        ("cpuset.cpus.effective", &limits.cpuset.cpus),
        ("cpuset.mems.effective", &limits.cpuset.mems),
    ];
    for (name, list) in lists {
        if let Some(list) = list {
            map.insert(name.to_owned(), list.as_str().into());
        }
    }
    if view.stat.io_read.is_some() {
        map.insert("io.max".to_owned(), throttles(view));
    }
    Value::Object(map)
}

fn throttles(view: &View) -> Value {
    let throttles = view.limits.io.throttles.iter().map(|throttle| {
        let limit = |most: Option<Most>| most.and_then(Most::limit);
        json!({
            "device": throttle.device.to_string(),
            "rbps": limit(throttle.read_bps),
            "wbps": limit(throttle.write_bps),
            "riops": limit(throttle.read_iops),
            "wiops": limit(throttle.write_iops),
        })
    });
    throttles.collect()
}

pub fn cpu_weight(weight: CpuWeight) -> u64 {
    match weight {
        CpuWeight::Weight(weight) => weight,
        CpuWeight::Shares(shares) => warren_cgroups::shares_to_weight(shares),
    }
}

pub fn io_weight(weight: IoWeight) -> u64 {
    match weight {
        IoWeight::Weight(weight) => weight,
        IoWeight::Blkio(weight) => warren_cgroups::blkio_to_weight(weight),
    }
}

/// The lowest limits of the group and those above it, and which has each.
fn lowest(view: &View) -> Value {
    let amount = |amount: &Option<warren_cgroups::Amount>| {
        let limit = amount.as_ref().and_then(|amount| amount.limit.as_ref());
        limit.map(|limit| json!({ "most": limit.most, "of": limit.of }))
    };
    let quota = view.usage.cpu.as_ref().and_then(|cpu| cpu.quota.as_ref());
    json!({
        "cpu": quota.map(|quota| json!({
            "quota_us": quota.quota_us,
            "period_us": quota.period_us,
            "of": quota.of,
        })),
        "memory": amount(&view.usage.memory),
        "pids": amount(&view.usage.pids),
    })
}

fn used(stat: &Stat) -> Value {
    json!({
        "cpu_us": stat.cpu_us,
        "cpu_user_us": stat.cpu_user_us,
        "cpu_system_us": stat.cpu_system_us,
        "cpu_periods": stat.cpu_periods,
        "cpu_throttled": stat.cpu_throttled,
        "cpu_throttled_us": stat.cpu_throttled_us,
        "memory": stat.memory,
        "memory_peak": stat.memory_peak,
        "swap": stat.swap,
        "memory_full": stat.memory_full,
        "oom_kills": stat.oom_kills,
        "pids": stat.pids,
        "pids_peak": stat.pids_peak,
        "pids_refused": stat.pids_refused,
        "io_read": stat.io_read,
        "io_written": stat.io_written,
    })
}

fn stalls(stalls: Option<Stalls>) -> Value {
    let Some(stalls) = stalls else {
        return Value::Null;
    };
    let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
    let stall = |stall: warren_cgroups::Stall| {
        json!({
            "avg10": percent(stall.avg10),
            "avg60": percent(stall.avg60),
            "avg300": percent(stall.avg300),
            "total_us": stall.total_us,
        })
    };
    json!({ "some": stall(stalls.some), "full": stall(stalls.full) })
}
