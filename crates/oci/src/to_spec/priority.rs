//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity` and
//! `linux.memoryPolicy`.

use warren_spawn::{
    Affinity, IoClass, IoPriority, MemoryPolicy, Policy, Processors, Scheduler,
};

use crate::config;
use crate::error::Error;

/// `process.scheduler`.
pub fn scheduler(wanted: &config::Scheduler) -> Result<Scheduler, Error> {
    let wrong = |key: &str, message: String| {
        Error::new(format!("process.scheduler.{key}"), message)
    };
    let policy = match wanted.policy.as_str() {
        "SCHED_OTHER" => Policy::Other,
        "SCHED_FIFO" => Policy::Fifo,
        "SCHED_RR" => Policy::RoundRobin,
        "SCHED_BATCH" => Policy::Batch,
        "SCHED_ISO" => Policy::Iso,
        "SCHED_IDLE" => Policy::Idle,
        "SCHED_DEADLINE" => Policy::Deadline,
        "" => return Err(wrong("policy", "is missing".to_owned())),
        other => return Err(wrong("policy", format!("unknown policy {other:?}"))),
    };
    if !(-20..=19).contains(&wanted.nice) {
        let message = format!("{} is not between -20 and 19", wanted.nice);
        return Err(wrong("nice", message));
    }
    let is_real_time = matches!(policy, Policy::Fifo | Policy::RoundRobin);
    let priority = u32::try_from(wanted.priority).ok();
    let priority =
        priority.filter(|number| *number <= 99 && (*number == 0 || is_real_time));
    let priority = priority.ok_or_else(|| {
        let message = format!(
            "{} is none of the policy: SCHED_FIFO and SCHED_RR have 1 to 99",
            wanted.priority
        );
        wrong("priority", message)
    })?;
    let has_times = wanted.runtime != 0 || wanted.deadline != 0 || wanted.period != 0;
    if has_times && policy != Policy::Deadline {
        let message = "is of SCHED_DEADLINE alone".to_owned();
        return Err(wrong("runtime", message));
    }
    if policy == Policy::Deadline {
        deadline(wanted).map_err(|(key, message)| wrong(key, message.to_owned()))?;
    }
    let mut flags = 0;
    for (index, word) in wanted.flags.iter().enumerate() {
        flags |= match SCHEDULER_FLAGS.iter().find(|(name, _)| name == word) {
            Some((_, bit)) => bit,
            None => {
                let message = format!("unknown flag {word:?}");
                return Err(wrong(&format!("flags[{index}]"), message));
            }
        };
    }
    Ok(Scheduler {
        policy,
        nice: wanted.nice,
        priority,
        flags,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    })
}

/// sched(7): runtime <= deadline <= period, which is the deadline unless given. The kernel
/// says but "invalid argument".
fn deadline(wanted: &config::Scheduler) -> Result<(), (&'static str, &'static str)> {
    const LEAST_NANOSECONDS: u64 = 1024;
    if wanted.runtime < LEAST_NANOSECONDS {
        return Err(("runtime", "SCHED_DEADLINE needs 1024 ns at least"));
    }
    if wanted.deadline < wanted.runtime {
        return Err(("deadline", "is shorter than the runtime"));
    }
    if wanted.period != 0 && wanted.period < wanted.deadline {
        return Err(("period", "is shorter than the deadline"));
    }
    Ok(())
}

/// The words of `process.scheduler.flags`.
pub const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 1),
    ("SCHED_FLAG_RECLAIM", 1 << 1),
    ("SCHED_FLAG_DL_OVERRUN", 1 << 2),
    ("SCHED_FLAG_KEEP_POLICY", 1 << 3),
    ("SCHED_FLAG_KEEP_PARAMS", 1 << 4),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 1 << 5),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 1 << 6),
];

/// `process.ioPriority`.
pub fn io_priority(wanted: &config::IoPriority) -> Result<IoPriority, Error> {
    let class = match wanted.class.as_str() {
        "IOPRIO_CLASS_RT" => IoClass::RealTime,
        "IOPRIO_CLASS_BE" => IoClass::BestEffort,
        "IOPRIO_CLASS_IDLE" => IoClass::Idle,
        other => {
            let message = format!("unknown class {other:?}");
            return Err(Error::new("process.ioPriority.class", message));
        }
    };
    match u8::try_from(wanted.priority) {
        Ok(priority @ 0..=7) => Ok(IoPriority { class, priority }),
        _ => Err(Error::new(
            "process.ioPriority.priority",
            format!("{} is not between 0 and 7", wanted.priority),
        )),
    }
}

/// `process.execCPUAffinity`, for a process that joins a container.
///
/// # Errors
/// [`Error`] where a list is none of processors.
pub fn affinity(wanted: &config::CpuAffinity) -> Result<Affinity, Error> {
    let list = |key: &str, text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        let bits = bits(text).ok_or_else(|| {
            let message = format!("expected a list such as 0-3,7, found {text:?}");
            Error::new(format!("process.execCPUAffinity.{key}"), message)
        });
        bits.map(Processors).map(Some)
    };
    Ok(Affinity {
        initial: list("initial", &wanted.initial)?,
        last: list("final", &wanted.r#final)?,
    })
}

/// `linux.memoryPolicy`.
pub fn memory_policy(wanted: &config::MemoryPolicy) -> Result<MemoryPolicy, Error> {
    let wrong = |key: &str, message: String| {
        Error::new(format!("linux.memoryPolicy.{key}"), message)
    };
    let find = |all: &[(&str, u32)], word: &str| {
        let mut all = all.iter();
        all.find(|(name, _)| *name == word).map(|(_, bits)| *bits)
    };
    let mode = find(&MEMORY_MODES, &wanted.mode).ok_or_else(|| {
        wrong(
            "mode",
            format!("invalid memory policy mode {:?}", wanted.mode),
        )
    })?;
    let mut flags = 0;
    for (index, word) in wanted.flags.iter().enumerate() {
        flags |= find(&MEMORY_FLAGS, word).ok_or_else(|| {
            wrong(
                &format!("flags[{index}]"),
                format!("invalid memory policy flag {word:?}"),
            )
        })?;
    }
    let nodes = match wanted.nodes.as_str() {
        "" => Vec::new(),
        text => bits(text).ok_or_else(|| {
            let message = format!(
                "invalid memory policy nodes: expected a list such as 0-3,7, found {text:?}"
            );
            wrong("nodes", message)
        })?,
    };
    // The kernel would say no more than that an argument is invalid.
    let takes_none = ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&wanted.mode.as_str());
    let count: u32 = nodes.iter().map(|word: &u64| word.count_ones()).sum();
    if takes_none && count > 0 {
        let message = format!("{} mode requires 0 nodes but got {count}", wanted.mode);
        return Err(wrong("nodes", message));
    }
    Ok(MemoryPolicy {
        mode: mode | flags,
        nodes,
    })
}

/// The words of `linux.memoryPolicy.mode`.
pub const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_DEFAULT", 0),
    ("MPOL_PREFERRED", 1),
    ("MPOL_BIND", 2),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];

/// The words of `linux.memoryPolicy.flags`.
pub const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_STATIC_NODES", 1 << 15),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
];

/// More than any kernel is built for.
const MOST: usize = 8192;

/// `0-3,7` as bits, the lowest first.
fn bits(text: &str) -> Option<Vec<u64>> {
    let mut words = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MOST {
            return None;
        }
        for bit in first..=last {
            let place = bit / u64::BITS as usize;
            if words.len() <= place {
                words.resize(place + 1, 0);
            }
            words[place] |= 1 << (bit % u64::BITS as usize);
        }
    }
    Some(words)
}

/// Bits as `0-3,7`.
pub fn list(words: &[u64]) -> String {
    let has = |bit: usize| {
        let word = words.get(bit / u64::BITS as usize).copied().unwrap_or(0);
        word >> (bit % u64::BITS as usize) & 1 == 1
    };
    let mut parts = Vec::new();
    let mut bit = 0;
    while bit < words.len() * u64::BITS as usize {
        let first = bit;
        while has(bit) {
            bit += 1;
        }
        match bit - first {
            0 => bit += 1,
            1 => parts.push(first.to_string()),
            _ => parts.push(format!("{first}-{}", bit - 1)),
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bits_and_back() {
        assert_eq!(bits("0-3,7"), Some(vec![0x8f]));
        assert_eq!(bits("64"), Some(vec![0, 1]));
        for text in ["0", "0-3,7", "1,63-65,200"] {
            assert_eq!(list(&bits(text).expect("a list")), text);
        }
        for text in ["", "a", "3-1", "-1", "1,,2", "99999", "0-"] {
            assert_eq!(bits(text), None, "{text:?}");
        }
    }
}
