//! `cargo xtask bench oci`: what one container of a bundle costs, beside the kernel's floor
//! and the runtimes, as root.
//!
//! Each contender runs `true` in the same bundle, in random order within each round: once
//! with the control groups of v1 that the machine mounts and once with cgroup2 alone, which
//! a mount namespace gets by a mount over them. System calls are counted apart, by strace.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Arguments, interleaved_by, quantile};
use crate::Result;
use crate::command::{build, is_root, require};
use crate::stage::Stage;

/// Where the control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
const FLOOR: &str = "floor";
const CRUN: &str = "crun";

/// Measures and prints; true unless a contender failed, which is an error.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(stage) = &arguments.measure {
        let rows = measure(stage, arguments)?;
        println!("{}", serde_json::to_string(&rows)?);
        return Ok(true);
    }
    if !is_root()? {
        return Err(
            "the bench of containers makes control groups: run it as root".into(),
        );
    }
    require(&[
        ("crun", "crun"),
        ("runc", "runc"),
        ("busybox", "busybox-static"),
        ("gcc", "gcc libc6-dev linux-libc-dev"),
        ("strace", "strace"),
    ])?;
    let stage = stage(arguments)?;
    let mut report = Report {
        version: 1,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        rounds: arguments.rounds(),
        views: BTreeMap::new(),
    };
    for view in [View::V1, View::V2] {
        let rows = view.measure(&stage, arguments)?;
        print!("{}", table(view.name(), &rows));
        report.views.insert(view.name(), rows);
    }
    println!("{} rounds, Linux {}", report.rounds, report.kernel);
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .map_err(|error| format!("write {}: {error}", file.display()))?;
    }
    Ok(true)
}

/// The binaries, and a bundle for the job and for each look at what it is.
fn stage(arguments: &Arguments) -> Result<Stage> {
    let stage = Stage::new("bench")?;
    stage.compile("oci_floor")?;
    stage.copy(&std::env::current_exe()?, "xtask")?;
    let warren = match &arguments.warren {
        Some(warren) => warren.clone(),
        None => build("warren-cli", &["--release", "--bin", "warren"])?,
    };
    stage.copy(&warren, "warren")?;
    job(&stage)?;
    for (at, fact) in FACTS.iter().enumerate() {
        let script = format!("{{ {fact}; }} && echo held");
        bundle(&stage, &format!("fact-{at}"), &["/bin/sh", "-c", &script])?;
    }
    fs::create_dir(stage.path().join("state"))?;
    Ok(stage)
}

/// The bundle `job`, and its root.
pub fn job(stage: &Stage) -> Result<()> {
    let rootfs = stage.path().join("rootfs");
    for folder in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(rootfs.join(folder))?;
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox"))?;
    for applet in ["true", "sh", "cat", "grep", "readlink", "test", "head"] {
        symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    bundle(stage, "job", &["/bin/true"])
}

/// What the container is, each fact as a test of the shell in it.
const FACTS: &[&str] = &[
    "test $$ -eq 1",
    "test -z \"$(grep -v ':/$' /proc/self/cgroup)\"",
    "for d in null zero full random urandom tty ptmx; do test -c /dev/$d || exit 1; done",
    "for f in /bin/x /sys/kernel/uevent_helper /proc/sys/kernel/hostname; do \
     ! (echo > $f) 2>/dev/null || exit 1; done",
    "test -d /sys/fs/cgroup && test ! -s /proc/keys && test ! -s /proc/timer_list",
    "grep -q '^NoNewPrivs:.1' /proc/self/status",
    "grep -q '^CapBnd:.0000000020000420' /proc/self/status",
    "test \"$(ulimit -n)\" -eq 1024",
    "! busybox mknod /dev/shm/x c 1 1 2>/dev/null",
    "test $(grep -c : /proc/net/dev) -eq 1",
    // It is up.
    "test $(cat /sys/class/net/lo/flags) = 0x9",
];

fn bundle(stage: &Stage, name: &str, job: &[&str]) -> Result<()> {
    let folder = stage.path().join(name);
    fs::create_dir(&folder)?;
    symlink("../rootfs", folder.join("rootfs"))?;
    fs::write(folder.join("config.json"), config(stage, job).to_string())?;
    Ok(())
}

/// What `runc spec` writes, with a cgroup namespace, without a terminal and without the list of devices:
/// to load that in v2, crun wants a right that root need not have.
fn config(stage: &Stage, job: &[&str]) -> serde_json::Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let closed = ["nosuid", "noexec", "nodev"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": job,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities,
                "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": stage.path().join("rootfs"), "readonly": true},
        "hostname": "floor",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": closed},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": GROUPS, "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    })
}

/// What a runtime sees of the control groups.
#[derive(Clone, Copy)]
enum View {
    /// Those of v1; crun refuses to run beside a cgroup2 that has controllers.
    V1,
    /// A cgroup2 over all of it.
    V2,
}

impl View {
    fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// Starts this chore again, where the view is so.
    fn measure(self, stage: &Stage, arguments: &Arguments) -> Result<Vec<Row>> {
        let over = match self {
            Self::V1 => "umount /sys/fs/cgroup/unified; ",
            Self::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup && ",
        };
        // As in /run: a folder that is removed from a disk is waited for.
        let state = stage.path().join("state").display().to_string();
        let state = format!("mount -t tmpfs tmpfs {state} && ");
        let script = format!("{state}{over}exec \"$@\"");
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script, "sh"])
            .arg(stage.path().join("xtask"))
            .args(["bench", "oci", "--rounds", &arguments.rounds().to_string()])
            .args(arguments.only.iter().flat_map(|name| ["--only", name]))
            .args(
                arguments
                    .peer
                    .iter()
                    .flat_map(|peer| ["--peer".as_ref(), peer.as_os_str()]),
            )
            .arg("--measure")
            .arg(stage.path())
            .current_dir("/")
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("the measurement failed".into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// One way to run a bundle.
struct Contender {
    name: String,
    /// The program and its arguments, up to the bundle; none for the floor.
    words: Vec<String>,
}

impl Contender {
    /// A runtime that is called as runc is.
    fn runtime(name: &str, program: &[&str], stage: &Path) -> Self {
        let state = stage.join("state").join(name).display().to_string();
        let words = [program, &["--root", &state, "run", "--bundle"]].concat();
        Self {
            name: name.to_owned(),
            words: words.into_iter().map(str::to_owned).collect(),
        }
    }

    fn command(&self, stage: &Path, bundle: &str) -> Result<Command> {
        let bundle = stage.join(bundle);
        if let Some((program, arguments)) = self.words.split_first() {
            let mut command = Command::new(program);
            command.args(arguments).arg(bundle).arg("bench");
            return Ok(command);
        }
        let config = fs::read_to_string(bundle.join("config.json"))?;
        let config: serde_json::Value = serde_json::from_str(&config)?;
        let job: Vec<String> = serde_json::from_value(config["process"]["args"].clone())?;
        let mut command = Command::new(stage.join("oci_floor"));
        command
            .arg(stage.join("rootfs"))
            .arg(hierarchies()?)
            .args(job);
        command.env_clear().env("PATH", "/bin");
        Ok(command)
    }

    /// Refuses a contender that makes another container than the rest.
    fn check(&self, stage: &Path) -> Result<()> {
        for (at, fact) in FACTS.iter().enumerate() {
            let command = self.command(stage, &format!("fact-{at}"))?;
            super::held(&self.name, fact, command)?;
        }
        Ok(())
    }

    fn time(&self, stage: &Path) -> Result<f64> {
        super::time(&self.name, self.command(stage, "job")?)
    }

    fn system_calls(&self, stage: &Path) -> Result<u32> {
        let job = self.command(stage, "job")?;
        let calls = super::system_calls(&self.name, &job, &stage.join("calls"))?;
        Ok(calls.values().sum())
    }
}

fn contenders(stage: &Path, peers: &[PathBuf]) -> Vec<Contender> {
    let warren = stage.join("warren").display().to_string();
    let mut all = vec![
        Contender {
            name: FLOOR.to_owned(),
            words: Vec::new(),
        },
        Contender::runtime("warren", &[&warren, "oci"], stage),
        Contender::runtime(CRUN, &["crun"], stage),
        Contender::runtime("runc", &["runc"], stage),
    ];
    all.extend(peers.iter().map(|peer| {
        let peer = peer.display().to_string();
        let name = peer.trim_start_matches('/').replace('/', "-");
        Contender::runtime(&name, &[&peer], stage)
    }));
    all
}

/// The names of the v1 hierarchies, or '-': the floor's argument.
fn hierarchies() -> Result<String> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let of_v1 = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let name = words.next()?.strip_prefix("/sys/fs/cgroup/")?;
        (words.next()? == "cgroup").then_some(name)
    });
    let names: Vec<&str> = of_v1.collect();
    // What is mounted last over all of it is what is seen.
    let v2 = mounts
        .lines()
        .any(|line| line.contains(" /sys/fs/cgroup cgroup2 "));
    Ok(if v2 { "-".into() } else { names.join(",") })
}

/// Checks, times and traces all contenders.
fn measure(stage: &Path, arguments: &Arguments) -> Result<Vec<Row>> {
    let mut contenders = contenders(stage, &arguments.peer);
    contenders
        .retain(|one| arguments.only.is_empty() || arguments.only.contains(&one.name));
    contenders.iter().try_for_each(|one| one.check(stage))?;
    let times = interleaved_by(contenders.len(), arguments.rounds(), |at| {
        contenders[at].time(stage)
    })?;
    let mut rows = Vec::new();
    for (contender, mut times) in contenders.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        rows.push(Row {
            name: contender.name.clone(),
            median_us: quantile(&times, 0.5),
            p10_us: quantile(&times, 0.1),
            p90_us: quantile(&times, 0.9),
            ratio_to_floor: None,
            ratio_to_crun: None,
            system_calls: contender.system_calls(stage)?,
        });
    }
    let median = |name: &str| {
        let row = rows.iter().find(|row| row.name == name)?;
        Some(row.median_us)
    };
    let (floor, crun) = (median(FLOOR), median(CRUN));
    for row in &mut rows {
        row.ratio_to_floor = floor.map(|floor| row.median_us / floor);
        row.ratio_to_crun = crun.map(|crun| row.median_us / crun);
    }
    Ok(rows)
}

/// What one contender costs.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    name: String,
    median_us: f64,
    p10_us: f64,
    p90_us: f64,
    ratio_to_floor: Option<f64>,
    ratio_to_crun: Option<f64>,
    system_calls: u32,
}

/// The whole result, as it is written as JSON.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    kernel: String,
    rounds: u32,
    views: BTreeMap<&'static str, Vec<Row>>,
}

fn table(view: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "control groups {view}\n{:12}{:>10}{:>8}{:>8}{:>8}{:>8}{:>8}\n",
        "", "median us", "p10", "p90", "/floor", "/crun", "calls"
    );
    let ratio =
        |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:12}{:>10.0}{:>8.0}{:>8.0}{:>8}{:>8}{:>8}",
            row.name,
            row.median_us,
            row.p10_us,
            row.p90_us,
            ratio(row.ratio_to_floor),
            ratio(row.ratio_to_crun),
            row.system_calls
        );
    }
    text.push('\n');
    text
}
