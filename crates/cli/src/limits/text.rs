//! The same as a table.

use warren_cgroups::limits::{Most, Throttle};
use warren_cgroups::{Limit, Stalls};

use super::View;
use super::json::{cpu_weight, io_weight};
use crate::columns::Columns;
use crate::show::units::{bytes, cpus, seconds};

/// A row for each limit, with what is used of it.
pub fn render(view: &View, width: Option<usize>) -> String {
    let mut out = Columns::new(width);
    let frozen = if view.frozen { ", frozen" } else { "" };
    out.line(0, &format!("{}{frozen}", view.name));
    for group in &view.groups {
        out.line(2, &group.display().to_string());
    }
    out.gap();
    let mut rows = cpu(view);
    rows.extend(memory(view));
    rows.extend(pids(view));
    rows.extend(io(view));
    out.table(0, &["LIMIT", "IS", "USED", "ABOVE", "WAITED"], rows);
    out.finish()
}

fn row(name: &str, is: Option<String>, used: String) -> Option<Vec<String>> {
    Some(vec![
        name.to_owned(),
        is?,
        used,
        String::new(),
        String::new(),
    ])
}

fn cpu(view: &View) -> Vec<Vec<String>> {
    let (cpu, stat) = (&view.limits.cpu, &view.stat);
    let quota = cpu.quota_us.map(|quota| match quota {
        Most::Max => "max".to_owned(),
        Most::Of(quota) => cpus(quota, cpu.period_us.unwrap_or(100_000)) + " CPUs",
    });
    let used = stat.cpu_us.map(seconds).unwrap_or_default();
    let throttled = stat.cpu_throttled_us.filter(|time| *time > 0);
    let throttled = throttled.map(|time| format!(", held back {}", seconds(time)));
    let used = used + &throttled.unwrap_or_default();
    // Time is counted whether it is limited or not.
    let quota = quota.or(stat.cpu_us.map(|_| "max".to_owned()));
    let mut max = row("cpu.max", quota, used);
    if let Some(max) = &mut max {
        let quota = view.usage.cpu.as_ref().and_then(|cpu| cpu.quota.as_ref());
        let own = cpu.quota_us.and_then(Most::limit);
        let above = quota.filter(|above| own != Some(above.quota_us));
        let words = above.map(|above| {
            format!(
                "{} of {}",
                cpus(above.quota_us, above.period_us),
                above.of.display()
            )
        });
        max[3] = words.unwrap_or_default();
        max[4] = waited(view.pressure.cpu);
    }
    let weight = cpu.weight.map(|weight| cpu_weight(weight).to_string());
    let on = view.limits.cpuset.cpus.clone();
    let idle = cpu.idle.filter(|idle| *idle).map(|_| "1".to_owned());
    [
        max,
        row("cpu.weight", weight, String::new()),
        row("cpu.idle", idle, String::new()),
        row("cpuset.cpus", on, String::new()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn memory(view: &View) -> Vec<Vec<String>> {
    let (memory, stat) = (&view.limits.memory, &view.stat);
    let size = |most: Option<Most>| most.map(said);
    // What is not set says nothing.
    let set = |most: Option<Most>, unset: Most| size(most.filter(|most| *most != unset));
    let peak = stat
        .memory_peak
        .map(|peak| format!(", at most {}", bytes(peak)));
    let used = stat.memory.map(bytes).unwrap_or_default() + &peak.unwrap_or_default();
    let kills = stat.oom_kills.filter(|kills| *kills > 0);
    let kills = kills.map(|kills| format!(", {kills} killed"));
    let mut max = row(
        "memory.max",
        size(memory.max),
        used + &kills.unwrap_or_default(),
    );
    if let Some(max) = &mut max {
        let limit = view.usage.memory.as_ref().and_then(|it| it.limit.as_ref());
        max[3] = above(limit, memory.max, bytes);
        max[4] = waited(view.pressure.memory);
    }
    let none = Most::Of(0);
    [
        max,
        row("memory.high", set(memory.high, Most::Max), String::new()),
        row(
            "memory.low",
            set(memory.low, none).filter(|it| it != "max"),
            String::new(),
        ),
        row("memory.min", set(memory.min, none), String::new()),
        row(
            "memory.swap.max",
            size(memory.swap),
            stat.swap.map(bytes).unwrap_or_default(),
        ),
        row(
            "memory.zswap.max",
            set(memory.zswap, Most::Max),
            String::new(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn pids(view: &View) -> Option<Vec<String>> {
    let stat = &view.stat;
    let refused = stat.pids_refused.filter(|count| *count > 0);
    let refused = refused.map(|count| format!(", {count} refused"));
    let used = stat.pids.map(|count| count.to_string()).unwrap_or_default();
    let is = view.limits.pids.map(|most| most.to_string());
    let mut row = row("pids.max", is, used + &refused.unwrap_or_default())?;
    let limit = view.usage.pids.as_ref().and_then(|it| it.limit.as_ref());
    row[3] = above(limit, view.limits.pids, |count| count.to_string());
    Some(row)
}

fn io(view: &View) -> Vec<Vec<String>> {
    let stat = &view.stat;
    let Some((read, written)) = stat.io_read.zip(stat.io_written) else {
        return Vec::new();
    };
    let used = format!("read {}, wrote {}", bytes(read), bytes(written));
    let throttles = &view.limits.io.throttles;
    let mut first = row("io.max", Some(throttle(throttles.first())), used);
    if let Some(first) = &mut first {
        first[4] = waited(view.pressure.io);
    }
    let others = throttles.iter().skip(1);
    let others = others.map(|of| row("io.max", Some(throttle(Some(of))), String::new()));
    let weight = view
        .limits
        .io
        .weight
        .map(|weight| io_weight(weight).to_string());
    let weight = row("io.weight", weight, String::new());
    [first]
        .into_iter()
        .chain(others)
        .chain([weight])
        .flatten()
        .collect()
}

fn throttle(throttle: Option<&Throttle>) -> String {
    let Some(throttle) = throttle else {
        return "max".to_owned();
    };
    let mut text = throttle.device.to_string();
    let rates = [("rbps", throttle.read_bps), ("wbps", throttle.write_bps)];
    let counts = [
        ("riops", throttle.read_iops),
        ("wiops", throttle.write_iops),
    ];
    for (name, most) in rates.into_iter().chain(counts) {
        if let Some(Most::Of(most)) = most {
            let is_rate = name.ends_with("bps");
            let most = if is_rate {
                bytes(most)
            } else {
                most.to_string()
            };
            text.push_str(&format!(" {name}={most}"));
        }
    }
    text
}

fn said(most: Most) -> String {
    most.limit().map_or_else(|| "max".to_owned(), bytes)
}

/// A lower limit of a group above.
fn above(lowest: Option<&Limit>, own: Option<Most>, words: fn(u64) -> String) -> String {
    let own = own.and_then(Most::limit);
    let lower = lowest.filter(|lowest| own.is_none_or(|own| lowest.most < own));
    let lower = lower.map(|it| format!("{} of {}", words(it.most), it.of.display()));
    lower.unwrap_or_default()
}

/// How much of the last ten seconds somebody waited for it.
fn waited(stalls: Option<Stalls>) -> String {
    let share = |stalls: Stalls| {
        let hundredths = stalls.some.avg10;
        format!("{}.{:02} %", hundredths / 100, hundredths % 100)
    };
    stalls.map(share).unwrap_or_default()
}
