//! `update`.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use warren_oci::config::{self, BlockIo, Cpu, Memory, Pids, Resources};

use super::options::{Options, parse, text, value, value_or};
use super::{Context, Stop};
use crate::getopt::{Known, Order};
use crate::text_file;

const OPTIONS: &[Known<&str>] = &[
    value_or(b'r', "resources"),
    value("blkio-weight"),
    value("cpu-period"),
    value("cpu-quota"),
    value("cpu-burst"),
    value("cpu-rt-period"),
    value("cpu-rt-runtime"),
    value("cpu-share"),
    value("cpu-idle"),
    value("cpuset-cpus"),
    value("cpuset-mems"),
    value("kernel-memory"),
    value("kernel-memory-tcp"),
    value("memory"),
    value("memory-reservation"),
    value("memory-swap"),
    value("pids-limit"),
];

/// The largest file of limits that is read, in bytes.
const MOST: u64 = 1 << 20;

pub fn run(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let container = context.store.open(options.id()?)?;
    container.update(&resources(&options)?)?;
    Ok(0)
}

/// Those of a file, `-` for standard input, or what the options say.
fn resources(options: &Options) -> Result<Resources, Stop> {
    let Some(path) = options.value("resources") else {
        return of_options(options);
    };
    let doing = |error: &dyn std::fmt::Display| {
        Stop::usage(format!("read {}: {error}", path.display()))
    };
    let text = if path == "-" {
        let mut text = String::new();
        let read = std::io::stdin().take(MOST).read_to_string(&mut text);
        read.map(|_| text)
            .map_err(|error| warren_namespaces::io_error_text(&error))
    } else {
        text_file::read(Path::new(path), MOST)
    };
    let text = text.map_err(|error| doing(&error))?;
    config::resources(&text).map_err(|error| doing(&error))
}

fn of_options(options: &Options) -> Result<Resources, Stop> {
    let cpu = Cpu {
        shares: number(options, "cpu-share")?,
        quota: number(options, "cpu-quota")?,
        burst: number(options, "cpu-burst")?,
        period: number(options, "cpu-period")?,
        realtime_runtime: number(options, "cpu-rt-runtime")?,
        realtime_period: number(options, "cpu-rt-period")?,
        cpus: options.text("cpuset-cpus")?.unwrap_or_default().to_owned(),
        mems: options.text("cpuset-mems")?.unwrap_or_default().to_owned(),
        idle: number(options, "cpu-idle")?,
    };
    let memory = Memory {
        limit: bytes(options, "memory")?,
        reservation: bytes(options, "memory-reservation")?,
        swap: bytes(options, "memory-swap")?,
        kernel_tcp: bytes(options, "kernel-memory-tcp")?,
        ..Memory::default()
    };
    let block_io = BlockIo {
        weight: number(options, "blkio-weight")?,
        ..BlockIo::default()
    };
    let pids = Pids {
        limit: number(options, "pids-limit")?,
    };
    let given = |is_given: bool| is_given.then_some(());
    Ok(Resources {
        cpu: given(cpu != Cpu::default()).map(|()| cpu),
        memory: given(memory != Memory::default()).map(|()| memory),
        block_io: given(block_io != BlockIo::default()).map(|()| block_io),
        pids: given(pids != Pids::default()).map(|()| pids),
        ..Resources::default()
    })
}

fn number<T: std::str::FromStr>(
    options: &Options,
    name: &str,
) -> Result<Option<T>, Stop> {
    let read = |word: &str| {
        let wrong =
            || Stop::usage(format!("invalid value for {name}: '{word}' is no number"));
        word.trim().parse().map_err(|_| wrong())
    };
    options.text(name)?.map(read).transpose()
}

/// Bytes, perhaps with `k`, `m`, `g` or `t` behind; -1 for no limit.
fn bytes(options: &Options, name: &str) -> Result<Option<i64>, Stop> {
    let Some(word) = options.value(name) else {
        return Ok(None);
    };
    let word = text(word, name)?.trim();
    let wrong = || Stop::usage(format!("invalid value for {name}: '{word}' is no size"));
    let lower = word.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let units = [('k', 10), ('m', 20), ('g', 30), ('t', 40)];
    let found = units
        .iter()
        .find_map(|(unit, shift)| Some((bare.strip_suffix(*unit)?, *shift)));
    let (digits, shift) = found.unwrap_or((bare, 0));
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Resources, Stop> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let options = parse(OPTIONS, Order::Any, &words).expect("a line");
        of_options(&options)
    }

    #[test]
    fn options_become_resources() {
        let resources = read("update web --memory 32M --cpu-quota -1 --pids-limit 7");
        let resources = resources.ok().expect("good values");
        assert_eq!(resources.memory.map(|one| one.limit), Some(Some(32 << 20)));
        assert_eq!(resources.cpu.map(|one| one.quota), Some(Some(-1)));
        assert_eq!(resources.pids.map(|one| one.limit), Some(Some(7)));
        assert!(resources.block_io.is_none());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for line in [
            "update --memory x a",
            "update --cpu-share -1 a",
            "update --memory 9999999t a",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
