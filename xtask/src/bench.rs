//! `cargo xtask bench`: what a run costs, beside the kernel's floor and the peers. With
//! `ls`, what a listing costs: see [`listing`].
//!
//! All contenders do one job, in random order within each round, so that what else the
//! machine does meets all of them alike. System calls are counted apart, by strace,
//! since their number does not vary. Root hands the whole measurement to an ordinary
//! user, by starting itself again: what is measured is what a user gets, and starting a
//! process without changing its ids is the cheaper vfork.

mod listing;
pub mod oci;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::command::{build, is_root, require};
use crate::stage::{Stage, USER};

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Job {
    /// Running a command in a sandbox
    Run,
    /// Listing all namespaces; as root
    Ls,
    /// Running a container of a bundle; as root
    Oci,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// What is measured
    #[arg(value_enum, default_value = "run")]
    job: Job,
    /// How often each contender runs; 300 unless told, 20 for `ls`, 60 for `oci`
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..))]
    rounds: Option<u32>,
    /// Write the result to this file, too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this binary and build none
    #[arg(long, value_name = "FILE")]
    warren: Option<PathBuf>,
    /// Only this contender; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// For `oci`: another runtime to measure, called as runc is; may be given more than once
    #[arg(long, value_name = "FILE")]
    peer: Vec<PathBuf>,
    /// Measure with the binaries in this folder, as the user that calls
    #[arg(long, hide = true, value_name = "FOLDER")]
    measure: Option<PathBuf>,
}

impl Arguments {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(match self.job {
            Job::Run => 300,
            Job::Ls => 20,
            Job::Oci => 60,
        })
    }
}

/// Measures and prints; true unless a contender failed, which is an error.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.job == Job::Oci {
        return oci::run(arguments);
    }
    if let Some(stage) = &arguments.measure {
        let report = measure(stage, arguments)?;
        println!("{}", serde_json::to_string(&report)?);
        return Ok(true);
    }
    if arguments.job == Job::Ls {
        return listing::run(arguments);
    }
    require(&[
        ("bwrap", "bubblewrap"),
        ("gcc", "gcc libc6-dev"),
        ("strace", "strace"),
        ("unshare", "util-linux"),
    ])?;
    let stage = Stage::new("bench")?;
    stage.compile("floor")?;
    let warren = match &arguments.warren {
        Some(warren) => warren.clone(),
        None => build("warren-cli", &["--release", "--bin", "warren"])?,
    };
    stage.copy(&warren, "warren")?;
    let report = measure_as_user(&stage, arguments)?;
    print!("{}", report.table());
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    Ok(true)
}

/// Starts this chore again, as an ordinary user if root called it.
fn measure_as_user(stage: &Stage, arguments: &Arguments) -> Result<Report> {
    let own = stage.copy(&std::env::current_exe()?, "xtask")?;
    // The files that strace writes.
    let scratch = stage.path().join("scratch");
    fs::create_dir(&scratch)?;
    let mut again = Command::new(own);
    again
        .args(["bench", "--rounds", &arguments.rounds().to_string()])
        .args(arguments.only.iter().flat_map(|name| ["--only", name]))
        .arg("--measure")
        .arg(stage.path())
        .env_clear()
        .envs([("PATH", SEARCH), ("HOME", "/"), ("LANG", "C.UTF-8")])
        .current_dir("/")
        .stderr(Stdio::inherit());
    if is_root()? {
        std::os::unix::fs::chown(&scratch, Some(USER), Some(USER))?;
        again.uid(USER).gid(USER);
    }
    let output = again.output()?;
    if !output.status.success() {
        return Err("the measurement failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `true` is in the first folder, so that looking for it costs all the same.
const SEARCH: &str = "/usr/bin:/bin";

/// One way to do the job.
struct Contender {
    name: &'static str,
    /// The program and its arguments, up to the contained command.
    prefix: Vec<String>,
    /// What a shell inside must find to be so.
    facts: &'static [&'static str],
}

/// What the job is, each fact as a test of the shell inside.
const JOB: &[&str] = &[
    // Seven new namespaces.
    "for k in mnt net ipc user pid uts cgroup; do \
     eval \"outside=\\$outside_$k\"; test -n \"$outside\" || exit 1; \
     test \"$(readlink /proc/self/ns/$k)\" != \"$outside\" || exit 1; done",
    // A fresh /proc, in which this shell is no host's pid.
    "test $$ -le 3 && test -d /proc/1 && test ! -d /proc/99",
    // The host's root, read-only.
    "test -x /usr/bin/true && test ! -w /usr && test ! -w /etc",
    // A private, writable /tmp.
    "test -z \"$(ls -A /tmp)\" && : > /tmp/x",
    // A minimal /dev.
    "for d in null zero full random urandom tty; do test -c /dev/$d || exit 1; done",
    "echo x > /dev/null && test -c /dev/pts/ptmx && test -d /dev/shm",
    "test \"$(readlink /dev/fd)\" = /proc/self/fd && test ! -e /dev/console",
    // Only `lo`, and it is up.
    "test \"$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')\" = lo",
    // Nothing may be won.
    "grep -q '^NoNewPrivs:.1' /proc/self/status",
    "test -z \"$(grep '^Cap' /proc/self/status | grep -v '0000000000000000')\"",
];

/// unshare(1) makes namespaces and /proc, and nothing else.
const NAMESPACES: &[&str] = &[JOB[0], JOB[1]];

fn contenders(stage: &Path) -> Vec<Contender> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let staged = |name: &str, rest: &str| {
        let mut prefix: Vec<String> = words(rest);
        prefix.insert(0, stage.join(name).display().to_string());
        prefix
    };
    vec![
        Contender {
            name: "true",
            prefix: Vec::new(),
            facts: &[],
        },
        Contender {
            name: FLOOR,
            prefix: staged("floor", ""),
            facts: JOB,
        },
        Contender {
            name: "warren",
            prefix: staged("warren", "run --map single --host-root --"),
            facts: JOB,
        },
        Contender {
            name: "warren-bwrap",
            prefix: staged("warren", &format!("{BWRAP} {BWRAP_JOB}")),
            facts: JOB,
        },
        Contender {
            name: BWRAP,
            prefix: words(&format!("{BWRAP} {BWRAP_JOB}")),
            facts: JOB,
        },
        Contender {
            name: "unshare",
            prefix: words(
                "unshare --map-root-user --mount --net --ipc --uts --cgroup --pid --fork \
                 --kill-child --mount-proc",
            ),
            facts: NAMESPACES,
        },
    ]
}

const FLOOR: &str = "floor";
const BWRAP: &str = "bwrap";
/// The job in bubblewrap's words.
const BWRAP_JOB: &str = "--unshare-all --die-with-parent --ro-bind / / --tmpfs /tmp \
     --proc /proc --dev /dev";

impl Contender {
    /// The command that runs `job`, its program by absolute path.
    fn command(&self, job: &[&str]) -> Command {
        let mut words = self
            .prefix
            .iter()
            .map(String::as_str)
            .chain(job.iter().copied());
        // `contenders` and `job` name a program each.
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// Refuses a contender that does another job than the rest.
    fn check(&self) -> Result<()> {
        let outside = own_namespaces()?;
        for fact in self.facts {
            // The word shows that the shell ran at all.
            let script = format!("{outside}\n{{ {fact}; }} && echo held");
            held(self.name, fact, self.command(&["/bin/sh", "-c", &script]))?;
        }
        Ok(())
    }

    fn time(&self) -> Result<f64> {
        time(self.name, self.command(&["/usr/bin/true"]))
    }

    /// The system calls of all its processes, by name; the job's own among them.
    fn system_calls(&self, scratch: &Path) -> Result<BTreeMap<String, u32>> {
        let job = self.command(&["/usr/bin/true"]);
        system_calls(self.name, &job, &scratch.join(self.name))
    }
}

/// Refuses a contender in which a fact, of which the script says `held`, is not so.
fn held(name: &str, fact: &str, mut command: Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() && output.stdout == b"held\n" {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    Err(
        format!("{name} does not do the bench's job: {status} for `{fact}`\n{error}")
            .into(),
    )
}

/// Microseconds from the spawn of a job to its end.
fn time(name: &str, mut job: Command) -> Result<f64> {
    job.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = job.status()?;
    let elapsed = start.elapsed();
    if !status.success() {
        return Err(format!("{name}: {status}").into());
    }
    Ok(elapsed.as_secs_f64() * 1e6)
}

/// The system calls of all processes of a job, by name; strace writes them to `file`.
fn system_calls(name: &str, job: &Command, file: &Path) -> Result<BTreeMap<String, u32>> {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(file)
        .arg("--")
        .arg(job.get_program())
        .args(job.get_args())
        .status()?;
    if !status.success() {
        return Err(format!("strace {name}: {status}").into());
    }
    Ok(count_calls(&fs::read_to_string(file)?))
}

/// Shell variables, `outside_net` and so on, with the caller's namespaces. They are part
/// of the script since a contender may clear the environment.
fn own_namespaces() -> Result<String> {
    let variable = |kind: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        Ok(format!("outside_{kind}='{}'", link.display()))
    };
    let kinds = ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup"];
    let variables: Vec<String> =
        kinds.into_iter().map(variable).collect::<Result<_>>()?;
    Ok(variables.join("\n"))
}

/// Counts the calls in what `strace -f` wrote: `PID NAME(...`. One that another process
/// interrupted has a second line, `PID <... NAME resumed>`.
fn count_calls(trace: &str) -> BTreeMap<String, u32> {
    let mut calls = BTreeMap::new();
    let names = trace
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(_, call)| call.trim_start().split_once('('))
        .map(|(name, _)| name)
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
    for name in names {
        *calls.entry(name.to_owned()).or_default() += 1;
    }
    calls
}

/// Checks, times and traces all contenders, as the user that calls.
fn measure(stage: &Path, arguments: &Arguments) -> Result<Report> {
    let mut contenders = contenders(stage);
    if let Some(name) = arguments
        .only
        .iter()
        .find(|name| contenders.iter().all(|one| one.name != **name))
    {
        return Err(format!("no contender '{name}'").into());
    }
    contenders.retain(|contender| {
        arguments.only.is_empty()
            || arguments.only.iter().any(|name| name == contender.name)
    });
    contenders.iter().try_for_each(Contender::check)?;
    let times = interleaved_by(contenders.len(), arguments.rounds(), |at| {
        contenders[at].time()
    })?;
    let rows = contenders
        .iter()
        .zip(times)
        .map(|(contender, times)| Row::new(contender, times, &stage.join("scratch")))
        .collect::<Result<_>>()?;
    Ok(Report {
        version: 1,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        rounds: arguments.rounds(),
        contenders: rows,
    }
    .with_ratios())
}

/// The times of each contender, after some rounds that only warm the caches.
fn interleaved_by(
    contenders: usize,
    rounds: u32,
    time: impl Fn(usize) -> Result<f64>,
) -> Result<Vec<Vec<f64>>> {
    const WARM_UP: u32 = 5;
    let mut times = vec![Vec::new(); contenders];
    let mut order: Vec<usize> = (0..contenders).collect();
    for round in 0..rounds + WARM_UP {
        shuffle(&mut order);
        for &index in &order {
            let time = time(index)?;
            if round >= WARM_UP {
                times[index].push(time);
            }
        }
    }
    Ok(times)
}

/// Fisher and Yates's shuffle, by the random keys of the standard library's hash maps.
fn shuffle(order: &mut [usize]) {
    let random = RandomState::new();
    for last in (1..order.len()).rev() {
        let mut hasher = random.build_hasher();
        hasher.write_usize(last);
        order.swap(last, hasher.finish() as usize % (last + 1));
    }
}

/// What one contender costs.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    name: String,
    command: String,
    median_us: f64,
    p10_us: f64,
    p90_us: f64,
    /// Median over the floor's; absent where the floor was left out.
    ratio_to_floor: Option<f64>,
    ratio_to_bwrap: Option<f64>,
    system_calls: u32,
    system_calls_by_name: BTreeMap<String, u32>,
}

impl Row {
    fn new(contender: &Contender, mut times: Vec<f64>, scratch: &Path) -> Result<Self> {
        times.sort_by(f64::total_cmp);
        let calls = contender.system_calls(scratch)?;
        let command = contender.prefix.join(" ");
        Ok(Self {
            name: contender.name.to_owned(),
            command: format!("{command} /usr/bin/true").trim_start().to_owned(),
            median_us: quantile(&times, 0.5),
            p10_us: quantile(&times, 0.1),
            p90_us: quantile(&times, 0.9),
            ratio_to_floor: None,
            ratio_to_bwrap: None,
            system_calls: calls.values().sum(),
            system_calls_by_name: calls,
        })
    }
}

/// The value below which `part` of the sorted `times` lie.
fn quantile(times: &[f64], part: f64) -> f64 {
    let last = times.len().saturating_sub(1) as f64;
    times
        .get((last * part).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// The whole result, as it is written as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    version: u32,
    kernel: String,
    rounds: u32,
    contenders: Vec<Row>,
}

impl Report {
    fn median(&self, name: &str) -> Option<f64> {
        let row = self.contenders.iter().find(|row| row.name == name)?;
        Some(row.median_us)
    }

    fn with_ratios(mut self) -> Self {
        let (floor, bwrap) = (self.median(FLOOR), self.median(BWRAP));
        for row in &mut self.contenders {
            row.ratio_to_floor = floor.map(|floor| row.median_us / floor);
            row.ratio_to_bwrap = bwrap.map(|bwrap| row.median_us / bwrap);
        }
        self
    }

    fn table(&self) -> String {
        let ratio = |ratio: Option<f64>| {
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let mut text = format!(
            "{:10}{:>11}{:>9}{:>9}{:>9}{:>9}{:>7}\n",
            "", "median us", "p10", "p90", "/floor", "/bwrap", "calls"
        );
        for row in &self.contenders {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:10}{:>11.0}{:>9.0}{:>9.0}{:>9}{:>9}{:>7}",
                row.name,
                row.median_us,
                row.p10_us,
                row.p90_us,
                ratio(row.ratio_to_floor),
                ratio(row.ratio_to_bwrap),
                row.system_calls
            );
        }
        let _ = writeln!(text, "{} rounds, Linux {}", self.rounds, self.kernel);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_interrupted_counts_once() {
        let trace = "12 execve(\"/bin/true\", [\"true\"], 0x7ff /* 3 vars */) = 0\n\
                     12 wait4(-1,  <unfinished ...>\n\
                     13 write(2, \"a(b)\\n\", 5) = 5\n\
                     13 exit_group(0)     = ?\n\
                     13 +++ exited with 0 +++\n\
                     12 <... wait4 resumed>[{WIFEXITED(s)}], 0, NULL) = 13\n\
                     12 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                     1234567 write(1, \"x\", 1) = 1\n";
        let calls = count_calls(trace);
        let expected = [("execve", 1), ("exit_group", 1), ("wait4", 1), ("write", 2)];
        assert_eq!(
            calls
                .iter()
                .map(|(name, n)| (name.as_str(), *n))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&times, 0.5), 50.0);
        assert_eq!(quantile(&times, 0.1), 10.0);
        assert_eq!(quantile(&times, 0.9), 90.0);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut order: Vec<usize> = (0..20).collect();
        shuffle(&mut order);
        order.sort_unstable();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn ratios_are_to_the_medians_of_floor_and_bwrap() {
        let row = |name: &str, median_us| Row {
            name: name.to_owned(),
            command: String::new(),
            median_us,
            p10_us: 0.0,
            p90_us: 0.0,
            ratio_to_floor: None,
            ratio_to_bwrap: None,
            system_calls: 0,
            system_calls_by_name: BTreeMap::new(),
        };
        let report = Report {
            version: 1,
            kernel: String::new(),
            rounds: 0,
            contenders: vec![row(FLOOR, 2.0), row("warren", 3.0), row(BWRAP, 4.0)],
        }
        .with_ratios();
        let warren = &report.contenders[1];
        assert_eq!(
            (warren.ratio_to_floor, warren.ratio_to_bwrap),
            (Some(1.5), Some(0.75))
        );
    }
}
