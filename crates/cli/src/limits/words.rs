//! Limits on the command line: the kernel's names of v2, and values with units.

use std::path::Path;

use warren_cgroups::limits::{
    CpuWeight, DeviceKind, DeviceNumber, DeviceRule, HugePages, IoWeight, Limits, Most,
    Rdma, Throttle,
};

use crate::failure::Failure;

/// Sets the limit that v2 calls `name`; `option` is how the user came to it. A name that is
/// not known here is that of a file of v2, which gets the value as it is.
pub fn set(
    limits: &mut Limits,
    option: &str,
    name: &str,
    text: &str,
) -> Result<(), Failure> {
    let bytes = || bytes(option, text).map(Some);
    let memory = &mut limits.memory;
    match name {
        "memory.max" => memory.max = bytes()?,
        "memory.high" => memory.high = bytes()?,
        "memory.low" => memory.low = bytes()?,
        "memory.min" => memory.min = bytes()?,
        "memory.swap.max" => memory.swap = bytes()?,
        "memory.zswap.max" => memory.zswap = bytes()?,
        "memory.oom.group" => memory.oom_group = Some(switch(option, text)?),
        "pids.max" => limits.pids = Some(count(option, text)?),
        "cpu.max" => cpu_max(limits, option, text)?,
        "cpu.max.burst" => limits.cpu.burst_us = Some(microseconds(option, text)?),
        "cpu.idle" => limits.cpu.idle = Some(switch(option, text)?),
        "cpu.weight" => {
            limits.cpu.weight = Some(CpuWeight::Weight(weight(option, text)?));
        }
        "cpu.rt" => realtime(limits, option, text)?,
        "cpuset.cpus" => limits.cpuset.cpus = Some(list(option, text)?),
        "cpuset.mems" => limits.cpuset.mems = Some(list(option, text)?),
        "io.weight" => limits.io.weight = Some(IoWeight::Weight(weight(option, text)?)),
        "io.max" => io_max(limits, option, text)?,
        "hugetlb" => limits.hugetlb.push(huge_pages(option, text)?),
        "rdma.max" => limits.rdma.push(rdma(option, text)?),
        "misc.max" => {
            let (name, most) = split(option, text, "NAME:NUMBER")?;
            limits.misc.push((name.to_owned(), count(option, most)?));
        }
        name => limits.unified.push((name.to_owned(), text.to_owned())),
    }
    Ok(())
}

/// Which rate of a device.
#[derive(Clone, Copy)]
pub enum Rate {
    ReadBytes,
    WriteBytes,
    ReadOperations,
    WriteOperations,
}

/// `PATH:RATE`: the device file, or any file on the device.
pub fn rate(
    limits: &mut Limits,
    option: &str,
    which: Rate,
    text: &str,
) -> Result<(), Failure> {
    let Some((path, most)) = text.rsplit_once(':') else {
        return Err(no(option, text, "rate of a device, such as /dev/sda:10M"));
    };
    let disk = warren_cgroups::disk_of(Path::new(path)).map_err(|error| {
        Failure::usage(format!("{option} {text}: {error}")).hint(
            "give the disk's device file; what is in memory or on the network has none",
        )
    })?;
    let most = match which {
        Rate::ReadBytes | Rate::WriteBytes => bytes(option, most)?,
        Rate::ReadOperations | Rate::WriteOperations => count(option, most)?,
    };
    let throttle = throttle_of(limits, disk.number);
    *match which {
        Rate::ReadBytes => &mut throttle.read_bps,
        Rate::WriteBytes => &mut throttle.write_bps,
        Rate::ReadOperations => &mut throttle.read_iops,
        Rate::WriteOperations => &mut throttle.write_iops,
    } = Some(most);
    Ok(())
}

fn throttle_of(limits: &mut Limits, device: DeviceNumber) -> &mut Throttle {
    let throttles = &mut limits.io.throttles;
    let known = throttles.iter().position(|it| it.device == device);
    let position = known.unwrap_or_else(|| {
        throttles.push(Throttle {
            device,
            ..Throttle::default()
        });
        throttles.len() - 1
    });
    &mut throttles[position]
}

/// A rule about device files: `all`, `/dev/fuse:rw`, `c:10:229:rw`, `b:8:*`.
pub fn device_rule(option: &str, allow: bool, text: &str) -> Result<DeviceRule, Failure> {
    let malformed = || {
        no(
            option,
            text,
            "rule, such as all, /dev/fuse:rw or c:10:229:rw",
        )
    };
    if text == "all" {
        return Ok(DeviceRule::everything(allow));
    }
    let rule = DeviceRule {
        allow,
        ..DeviceRule::default()
    };
    if text.starts_with('/') {
        let (path, access) = text.split_once(':').unwrap_or((text, "rwm"));
        let (kind, device) = device_file(path)
            .ok_or_else(|| no(option, text, "rule: there is no such device file"))?;
        let rule = DeviceRule {
            kind,
            major: Some(device.major),
            minor: Some(device.minor),
            ..rule
        };
        return with_access(rule, access).ok_or_else(malformed);
    }
    let mut words = text.split(':');
    let kind = match words.next() {
        Some("c") => DeviceKind::Char,
        Some("b") => DeviceKind::Block,
        _ => return Err(malformed()),
    };
    let mut number = || match words.next()? {
        "*" => Some(None),
        word => word.parse().ok().map(Some),
    };
    let (Some(major), Some(minor)) = (number(), number()) else {
        return Err(malformed());
    };
    let access = words.next().unwrap_or("rwm");
    let rule = DeviceRule {
        kind,
        major,
        minor,
        ..rule
    };
    let rule = with_access(rule, access).filter(|_| words.next().is_none());
    rule.ok_or_else(malformed)
}

fn with_access(rule: DeviceRule, access: &str) -> Option<DeviceRule> {
    let is_known = |letter| matches!(letter, 'r' | 'w' | 'm');
    let whole = !access.is_empty() && access.chars().all(is_known);
    whole.then(|| DeviceRule {
        read: access.contains('r'),
        write: access.contains('w'),
        mknod: access.contains('m'),
        ..rule
    })
}

fn device_file(path: &str) -> Option<(DeviceKind, DeviceNumber)> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let found = std::fs::metadata(path).ok()?;
    let kind = if found.file_type().is_block_device() {
        DeviceKind::Block
    } else if found.file_type().is_char_device() {
        DeviceKind::Char
    } else {
        return None;
    };
    let device = DeviceNumber {
        major: rustix::fs::major(found.rdev()),
        minor: rustix::fs::minor(found.rdev()),
    };
    Some((kind, device))
}

/// `NAME=VALUE`.
pub fn assignment<'a>(
    option: &str,
    text: &'a str,
) -> Result<(&'a str, &'a str), Failure> {
    text.split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| no(option, text, "limit, such as memory.max=1G"))
}

/// A share of CPUs, as 0.5 or 2, or as v2's file has it: `50000 100000`, `max`.
fn cpu_max(limits: &mut Limits, option: &str, text: &str) -> Result<(), Failure> {
    const PERIOD: u64 = 100_000;
    let cpu = &mut limits.cpu;
    if let Some((quota, period)) = text.split_once(' ') {
        cpu.quota_us = Some(count(option, quota)?);
        cpu.period_us = count(option, period)?.limit();
        return Ok(());
    }
    if text == "max" {
        cpu.quota_us = Some(Most::Max);
        return Ok(());
    }
    // The kernel takes no quota below a millisecond.
    let thousandths = decimal(text, 3).filter(|share| *share >= 10);
    let Some(thousandths) = thousandths else {
        return Err(no(
            option,
            text,
            "number of CPUs, such as 0.5; 0.01 is the least",
        ));
    };
    cpu.quota_us = Some(Most::Of(thousandths * PERIOD / 1000));
    cpu.period_us = Some(PERIOD);
    Ok(())
}

/// `RUNTIME[/PERIOD]`.
fn realtime(limits: &mut Limits, option: &str, text: &str) -> Result<(), Failure> {
    let (runtime, period) = match text.split_once('/') {
        Some((runtime, period)) => (runtime, Some(period)),
        None => (text, None),
    };
    limits.cpu.realtime_runtime_us = Some(microseconds(option, runtime)? as i64);
    limits.cpu.realtime_period_us = period
        .map(|period| microseconds(option, period))
        .transpose()?;
    Ok(())
}

/// `8:0 rbps=1M wiops=100`, as v2's file has it.
fn io_max(limits: &mut Limits, option: &str, text: &str) -> Result<(), Failure> {
    let malformed = || no(option, text, "line of io.max, such as 8:0 wbps=1M");
    let mut words = text.split_ascii_whitespace();
    let device = words.next().and_then(|word| word.split_once(':'));
    let device = device.and_then(|(major, minor)| {
        Some(DeviceNumber {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    });
    let device = device.ok_or_else(malformed)?;
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(malformed)?;
        let throttle = throttle_of(limits, device);
        match name {
            "rbps" => throttle.read_bps = Some(bytes(option, value)?),
            "wbps" => throttle.write_bps = Some(bytes(option, value)?),
            "riops" => throttle.read_iops = Some(count(option, value)?),
            "wiops" => throttle.write_iops = Some(count(option, value)?),
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn huge_pages(option: &str, text: &str) -> Result<HugePages, Failure> {
    let (size, most) = split(option, text, "SIZE:BYTES, such as 2MB:64M")?;
    let is_size =
        size.ends_with('B') && size.starts_with(|first: char| first.is_ascii_digit());
    if !is_size {
        return Err(no(option, text, "SIZE:BYTES, such as 2MB:64M"));
    }
    Ok(HugePages {
        size: size.to_owned(),
        max: bytes(option, most)?,
    })
}

/// `DEVICE:handles=N,objects=N`.
fn rdma(option: &str, text: &str) -> Result<Rdma, Failure> {
    const FORM: &str = "RDMA limit, such as mlx4_0:handles=2,objects=2000";
    let (device, parts) = split(option, text, FORM)?;
    let mut rdma = Rdma {
        device: device.to_owned(),
        handles: None,
        objects: None,
    };
    for part in parts.split(',') {
        match part.split_once('=') {
            Some(("handles", most)) => rdma.handles = Some(count(option, most)?),
            Some(("objects", most)) => rdma.objects = Some(count(option, most)?),
            _ => return Err(no(option, text, FORM)),
        }
    }
    Ok(rdma)
}

fn split<'a>(
    option: &str,
    text: &'a str,
    form: &str,
) -> Result<(&'a str, &'a str), Failure> {
    let parts = text.split_once(':');
    parts
        .filter(|(left, right)| !left.is_empty() && !right.is_empty())
        .ok_or_else(|| no(option, text, form))
}

/// Bytes: a number, K, M, G or T for powers of 1024; `max` for no limit.
fn bytes(option: &str, text: &str) -> Result<Most, Failure> {
    if text == "max" {
        return Ok(Most::Max);
    }
    let unit = text.bytes().last().unwrap_or(b'0').to_ascii_uppercase();
    let (digits, shift) = match unit {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digit_only(digits)
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| *bytes <= u64::MAX / 2)
        .map(Most::Of)
        .ok_or_else(|| no(option, text, "size, such as 64M or max"))
}

fn count(option: &str, text: &str) -> Result<Most, Failure> {
    if text == "max" {
        return Ok(Most::Max);
    }
    let number = digit_only(text).map(Most::Of);
    number.ok_or_else(|| no(option, text, "number, or max"))
}

fn weight(option: &str, text: &str) -> Result<u64, Failure> {
    digit_only(text)
        .filter(|weight| (1..=10_000).contains(weight))
        .ok_or_else(|| no(option, text, "weight from 1 to 10000; 100 is usual"))
}

/// `20ms`, `500us`; a bare number is in microseconds, as in the kernel's files.
fn microseconds(option: &str, text: &str) -> Result<u64, Failure> {
    let units = [("us", 1), ("ms", 1000), ("s", 1_000_000)];
    let with_unit = units.iter().find_map(|(unit, factor)| {
        digit_only(text.strip_suffix(unit)?)?.checked_mul(*factor)
    });
    let time = with_unit.or_else(|| digit_only(text));
    time.filter(|time| *time <= i64::MAX as u64)
        .ok_or_else(|| no(option, text, "time, such as 20ms"))
}

fn switch(option: &str, text: &str) -> Result<bool, Failure> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(no(option, text, "switch: 0 or 1")),
    }
}

/// `0-3,7`.
fn list(option: &str, text: &str) -> Result<String, Failure> {
    let is_range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((digit_only(first), digit_only(last)), (Some(first), Some(last)) if first <= last)
    };
    if text.split(',').all(is_range) {
        return Ok(text.to_owned());
    }
    Err(no(option, text, "list, such as 0-3,7"))
}

/// A decimal number in units of the last of `places`.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > places || (part.is_empty() && text.contains('.')) {
        return None;
    }
    digit_only(&format!("{whole}{part:0<places$}"))
        .filter(|_| !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()))
}

fn digit_only(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn no(option: &str, text: &str, what: &str) -> Failure {
    Failure::usage(format!("{option}: '{text}' is no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_all(words: &[(&str, &str)]) -> Result<Limits, Failure> {
        let mut limits = Limits::default();
        words
            .iter()
            .try_for_each(|(name, value)| set(&mut limits, "--x", name, value))?;
        Ok(limits)
    }

    #[test]
    fn shares_of_cpus_are_decimal() {
        let quota = |text| set_all(&[("cpu.max", text)]).map(|it| it.cpu.quota_us).ok();
        assert_eq!(quota("0.5"), Some(Some(Most::Of(50_000))));
        assert_eq!(quota("2"), Some(Some(Most::Of(200_000))));
        assert_eq!(quota("0.125"), Some(Some(Most::Of(12_500))));
        assert_eq!(quota("max"), Some(Some(Most::Max)));
        assert_eq!(quota("7000 20000"), Some(Some(Most::Of(7000))));
        for wrong in [
            "", "0", "0.001", "-1", "1.", ".5", "1e3", "0.1234", "+1", "1 x",
        ] {
            assert_eq!(quota(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_have_letters_and_max_is_none() {
        let max = |text| {
            set_all(&[("memory.max", text)])
                .map(|it| it.memory.max)
                .ok()
        };
        assert_eq!(max("64M"), Some(Some(Most::Of(64 << 20))));
        assert_eq!(max("0"), Some(Some(Most::Of(0))));
        assert_eq!(max("max"), Some(Some(Most::Max)));
        for wrong in ["", "M", "1.5G", "-1", "64MB", "99999999999T"] {
            assert_eq!(max(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_file_of_v2() {
        let limits = set_all(&[("memory.reclaim", "1M")]).expect("taken as it is");
        assert_eq!(
            limits.unified,
            [("memory.reclaim".to_owned(), "1M".to_owned())]
        );
    }

    #[test]
    fn times_have_units_and_a_bare_number_is_the_kernels() {
        let burst = |text| {
            set_all(&[("cpu.max.burst", text)])
                .map(|it| it.cpu.burst_us)
                .ok()
        };
        assert_eq!(burst("20ms"), Some(Some(20_000)));
        assert_eq!(burst("500us"), Some(Some(500)));
        assert_eq!(burst("7"), Some(Some(7)));
        assert_eq!(burst("1.5ms"), None);
    }

    #[test]
    fn lists_are_ranges_in_order() {
        let cpus = |text| set_all(&[("cpuset.cpus", text)]).is_ok();
        assert!(cpus("0") && cpus("0-3,7"));
        for wrong in ["", "0-", "3-1", "a", "0,,1", "0 1"] {
            assert!(!cpus(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn rules_about_devices_are_files_or_numbers() {
        let rule = |text| device_rule("--device-allow", true, text).ok();
        let null = rule("/dev/null:rw").expect("there on every machine");
        assert_eq!(
            (null.major, null.minor, null.mknod),
            (Some(1), Some(3), false)
        );
        let all = rule("c:136:*").expect("well formed");
        assert_eq!(
            (all.kind, all.minor, all.read),
            (DeviceKind::Char, None, true)
        );
        assert_eq!(rule("all"), Some(DeviceRule::everything(true)));
        for wrong in [
            "",
            "x:1:3",
            "c:1",
            "c:1:3:x",
            "c:1:3:rw:",
            "/etc/passwd",
            "/no",
            "c:a:b",
        ] {
            assert_eq!(rule(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn rates_are_gathered_by_device() {
        let words = [("io.max", "8:0 wbps=1M"), ("io.max", "8:0 riops=5")];
        let limits = set_all(&words).expect("well formed");
        let [throttle] = limits.io.throttles.as_slice() else {
            panic!("one device: {limits:?}");
        };
        assert_eq!(throttle.write_bps, Some(Most::Of(1 << 20)));
        assert_eq!(throttle.read_iops, Some(Most::Of(5)));
    }
}
