//! `cargo xtask bench ls`: what a look at all namespaces costs, beside Debian's lsns.
//!
//! The machine is loaded with processes first, by root, since they get namespaces of their
//! own. CPU time is what the kernel accounts to ended children (proc_pid_stat(5),
//! `cutime` and `cstime`), in blocks of runs that take turns, so that what else the machine
//! does meets all alike. System calls are counted apart, by strace.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::command::{build, is_root, require};
use crate::stage::Stage;

use super::Arguments;

/// Processes that are there to be listed.
struct Load {
    name: &'static str,
    count: usize,
    /// What each is started with; it says one line when it is in place.
    command: &'static [&'static str],
}

const SLEEP: &str = "echo; exec sleep 1000";

const LOADS: &[Load] = &[
    Load {
        name: "as it is",
        count: 0,
        command: &[],
    },
    Load {
        name: "1,000 x unshare -fmpiun",
        count: 1000,
        command: &["unshare", "-fmpiun", "--kill-child", "sh", "-c", SLEEP],
    },
    Load {
        name: "5,000 sleepers",
        count: 5000,
        command: &["sh", "-c", SLEEP],
    },
    Load {
        name: "250 x unshare -miun",
        count: 250,
        command: &["unshare", "-miun", "sh", "-c", SLEEP],
    },
    Load {
        name: "4,000 x unshare -miun",
        count: 4000,
        command: &["unshare", "-miun", "sh", "-c", SLEEP],
    },
];

/// The processes of a load, ended when dropped.
struct Loaded(Vec<Child>);

impl Loaded {
    fn start(load: &Load) -> Result<Self> {
        let (ready, told) = std::io::pipe()?;
        let mut children = Self(Vec::new());
        for _ in 0..load.count {
            let mut command = Command::new(load.command[0]);
            command.args(&load.command[1..]);
            command.stdin(Stdio::null()).stdout(told.try_clone()?);
            children.0.push(command.spawn()?);
        }
        drop(told);
        let lines = BufReader::new(ready).lines().take(load.count).count();
        if lines < load.count {
            return Err(format!("{}: {lines} came up", load.name).into());
        }
        Ok(children)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Ended already, perhaps.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

struct Contender {
    name: &'static str,
    words: Vec<String>,
}

/// The reference of the ratios.
const LSNS: &str = "lsns";

fn contenders(stage: &Path) -> Vec<Contender> {
    let staged = |name: &str| stage.join(name).display().to_string();
    let contender = |name, words: &[&str]| Contender {
        name,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let own = std::process::id().to_string();
    let warren = staged("warren");
    // Without the columns that need every other process.
    let uncounted = [&*warren, "lsns", "-p", &own, "-o", "NS,TYPE,PNS,ONS"];
    vec![
        contender(LSNS, &["lsns"]),
        contender("warren ls", &[&staged("warren"), "ls"]),
        contender("ls --fast", &[&warren, "ls", "--fast"]),
        contender("warren lsns", &[&staged("warren"), "lsns"]),
        contender("as lsns 2.38", &[&staged("list"), "lsns-2.38"]),
        contender("as lsns 2.39", &[&staged("list"), "lsns"]),
        contender("members", &[&staged("list"), "members"]),
        contender("one process", &[&staged("list"), &own]),
        contender("uncounted", &uncounted),
    ]
}

impl Contender {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// CPU and wall time of some runs, in milliseconds.
    fn block(&self, runs: u32) -> Result<(f64, Vec<f64>)> {
        let before = cpu_of_children()?;
        let mut walls = Vec::new();
        for _ in 0..runs {
            let start = Instant::now();
            let status = self.command().status()?;
            walls.push(start.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("{}: {status}", self.name).into());
            }
        }
        Ok((cpu_of_children()? - before, walls))
    }

    /// How many system calls one run makes.
    fn system_calls(&self, scratch: &Path) -> Result<u64> {
        let file = scratch.join("calls");
        let mut strace = Command::new("strace");
        strace.args(["-c", "-f", "-qq", "-o"]).arg(&file).arg("--");
        strace.args(&self.words).stdout(Stdio::null());
        let status = strace.status()?;
        if !status.success() {
            return Err(format!("strace {}: {status}", self.name).into());
        }
        total(&fs::read_to_string(&file)?).ok_or_else(|| "strace gave no total".into())
    }
}

/// `100.00    0.009    4   2287   6 total`, the errors left out where there are none.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rev().find(|line| line.ends_with("total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// User and system time of the children that have ended, in milliseconds.
fn cpu_of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
    let mut fields = fields.unwrap_or_default().split_whitespace().skip(13);
    let mut ticks = || -> Result<f64> {
        Ok(fields.next().ok_or("/proc/self/stat is short")?.parse()?)
    };
    // USER_HZ is 100 on every architecture that this runs on.
    Ok((ticks()? + ticks()?) * 10.0)
}

/// Loads the machine in each way, measures and prints; true unless a contender failed.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if !is_root()? {
        return Err(
            "the bench of listing makes namespaces of all kinds: run it as root".into(),
        );
    }
    require(&[("lsns", "util-linux"), ("strace", "strace")])?;
    let stage = Stage::new("bench")?;
    let warren = match &arguments.warren {
        Some(warren) => warren.clone(),
        None => build("warren-cli", &["--release", "--bin", "warren"])?,
    };
    stage.copy(&warren, "warren")?;
    let list = build("warren-namespaces", &["--release", "--example", "list"])?;
    stage.copy(&list, "list")?;
    let report = measure(&stage, arguments)?;
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    Ok(true)
}

fn measure(stage: &Stage, arguments: &Arguments) -> Result<Report> {
    let contenders = contenders(stage.path());
    let mut report = Report {
        version: 1,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        rounds: arguments.rounds(),
        loads: Vec::new(),
    };
    for load in LOADS {
        let loaded = Loaded::start(load)?;
        let rows = of_load(load, &contenders, stage, arguments.rounds())?;
        drop(loaded);
        print!("{}", rows.table());
        report.loads.push(rows);
    }
    println!("{} rounds, Linux {}", report.rounds, report.kernel);
    Ok(report)
}

fn of_load(
    load: &Load,
    contenders: &[Contender],
    stage: &Stage,
    rounds: u32,
) -> Result<OfLoad> {
    const BLOCKS: u32 = 5;
    let processes = count_processes()?;
    let mut rows = Vec::new();
    for contender in contenders {
        let system_calls = contender.system_calls(stage.path())?;
        rows.push(Row {
            name: contender.name,
            cpu_ms: 0.0,
            wall_ms: 0.0,
            ratio_to_lsns: None,
            system_calls,
            calls_per_process: system_calls as f64 / processes as f64,
        });
    }
    let runs = rounds.div_ceil(BLOCKS);
    let mut walls = vec![Vec::new(); contenders.len()];
    for _ in 0..BLOCKS {
        for (at, contender) in contenders.iter().enumerate() {
            let (cpu, wall) = contender.block(runs)?;
            rows[at].cpu_ms += cpu / f64::from(runs * BLOCKS);
            walls[at].extend(wall);
        }
    }
    for (row, mut walls) in rows.iter_mut().zip(walls) {
        walls.sort_by(f64::total_cmp);
        row.wall_ms = super::quantile(&walls, 0.5);
    }
    let lsns = rows
        .iter()
        .find(|row| row.name == LSNS)
        .map(|row| row.cpu_ms);
    for row in &mut rows {
        row.ratio_to_lsns = lsns.map(|lsns| lsns / row.cpu_ms);
    }
    Ok(OfLoad {
        load: load.name,
        processes,
        contenders: rows,
    })
}

fn count_processes() -> Result<usize> {
    let names = fs::read_dir("/proc")?
        .flatten()
        .map(|entry| entry.file_name());
    Ok(names
        .filter(|name| name.to_string_lossy().parse::<u32>().is_ok())
        .count())
}

/// What one contender costs.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    cpu_ms: f64,
    wall_ms: f64,
    /// How many times the CPU time lsns takes.
    ratio_to_lsns: Option<f64>,
    system_calls: u64,
    calls_per_process: f64,
}

#[derive(Debug, Serialize)]
struct OfLoad {
    load: &'static str,
    processes: usize,
    contenders: Vec<Row>,
}

/// The whole result, as it is written as JSON.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    kernel: String,
    rounds: u32,
    loads: Vec<OfLoad>,
}

impl OfLoad {
    fn table(&self) -> String {
        let mut text = format!(
            "{} ({} processes)\n{:14}{:>10}{:>10}{:>8}{:>9}{:>10}\n",
            self.load,
            self.processes,
            "",
            "CPU ms",
            "wall ms",
            "lsns/",
            "calls",
            "/process"
        );
        for row in &self.contenders {
            let ratio = row
                .ratio_to_lsns
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}"));
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:14}{:>10.1}{:>10.1}{ratio:>8}{:>9}{:>10.1}",
                row.name,
                row.cpu_ms,
                row.wall_ms,
                row.system_calls,
                row.calls_per_process
            );
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_strace_is_read_with_errors_and_without() {
        let with = "% time  seconds  usecs/call  calls  errors syscall\n\
                    ------ ----------- ----------- --------- --------- ---\n\
                    100.00    0.011592           5      2287         6 total\n";
        assert_eq!(total(with), Some(2287));
        let without = "100.00    0.011592           5      2287           total\n";
        assert_eq!(total(without), Some(2287));
        assert_eq!(total("% time\n"), None);
    }

    #[test]
    fn the_cpu_of_children_grows() {
        let before = cpu_of_children().expect("/proc/self/stat");
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]);
        assert!(busy.status().expect("sh").success());
        assert!(cpu_of_children().expect("/proc/self/stat") > before);
    }
}
