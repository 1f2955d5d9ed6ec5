//! `cargo xtask faults`: every system call of a run fails once, and every process of it
//! is killed once at each.
//!
//! The tracer (benches/fault.c) first lists a job's calls. Then the job runs once per
//! call and fault, and each time it must end within seconds, without a panic, either
//! done or with an error that names the step, and must leave the machine as it was.

mod calls;
mod machine;
mod outcome;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::command::{build, is_root, require};
use crate::stage::{Stage, USER};
use crate::tally::Tally;
use calls::{Fault, Names, Target, faults_of};
use machine::Machine;
use outcome::{Outcome, Trace};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only each Kth fault of a job
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Only this job; may be given more than once
    #[arg(long, value_name = "NAME")]
    job: Vec<String>,
    /// Only faults of this system call
    #[arg(long, value_name = "NAME")]
    call: Option<String>,
    /// Tell what came of each fault, not only of those that were not held
    #[arg(long)]
    verbose: bool,
    /// Break this binary and build none
    #[arg(long, value_name = "FILE")]
    warren: Option<PathBuf>,
}

/// What is run with faults.
struct Job {
    name: &'static str,
    as_root: bool,
    /// The user has ranges of ids in /etc/subuid and /etc/subgid.
    has_ranges: bool,
    /// The arguments of `warren`, with `STAGE` for a folder that the user owns, and
    /// `TARGET` for a process in a mount namespace of its own.
    arguments: &'static str,
    /// For what is there to stay, how it is undone.
    undo: Option<Undo>,
}

/// What clears away after a job, however far that came.
struct Undo {
    /// The arguments of `warren`.
    arguments: &'static str,
    /// The process that the job leaves.
    process: Option<&'static str>,
    /// What it says where there was nothing to undo.
    nothing: &'static str,
}

const RM: Option<Undo> = Some(Undo {
    arguments: "rm faults",
    process: Some("warren-keep"),
    nothing: "nothing of that name is kept",
});

const UMOUNT: Option<Undo> = Some(Undo {
    arguments: "umount --into TARGET /mnt",
    process: None,
    nothing: "nothing is mounted exactly there",
});

/// Those that run something run `true`: what the contained program does is not ours.
const JOBS: &[Job] = &[
    Job {
        name: "user",
        as_root: false,
        has_ranges: false,
        arguments: "run --map single -- true",
        undo: None,
    },
    Job {
        name: "user-host-root",
        as_root: false,
        has_ranges: false,
        arguments: "run --map single --host-root -- true",
        undo: None,
    },
    Job {
        name: "root",
        as_root: true,
        has_ranges: false,
        arguments: "run -- true",
        undo: None,
    },
    Job {
        name: "root-overlay",
        as_root: true,
        has_ranges: false,
        arguments: "run --host-root=overlay --hostname burrow --tmpfs /mnt \
                    --ro-bind STAGE /srv -- true",
        undo: None,
    },
    Job {
        name: "user-ranges",
        as_root: false,
        has_ranges: true,
        arguments: "run --host-root -- true",
        undo: None,
    },
    Job {
        name: "user-terminal",
        as_root: false,
        has_ranges: false,
        arguments: "run --map single --host-root -t --landlock --bind-port 0 -- true",
        undo: None,
    },
    Job {
        name: "root-user",
        as_root: true,
        has_ranges: false,
        arguments: "run --host-root --user 1:1 --cap-add net_raw -- true",
        undo: None,
    },
    Job {
        name: "user-bare",
        as_root: false,
        has_ranges: false,
        arguments: "run --map single --host-root --no-init --share net,uts -- true",
        undo: None,
    },
    Job {
        name: "user-keep",
        as_root: false,
        has_ranges: false,
        arguments: "keep faults --map single",
        undo: RM,
    },
    Job {
        name: "root-keep",
        as_root: true,
        has_ranges: false,
        arguments: "keep faults",
        undo: RM,
    },
    Job {
        name: "root-keep-user",
        as_root: true,
        has_ranges: false,
        arguments: "keep faults --kinds user,uts",
        undo: RM,
    },
    Job {
        name: "root-into",
        as_root: true,
        has_ranges: false,
        arguments: "mount --into TARGET --ro STAGE /mnt",
        undo: UMOUNT,
    },
];

/// Breaks the jobs; true if every fault was held.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let sum = break_jobs(arguments)?;
    println!("{sum}");
    Ok(sum.is_good())
}

/// Breaks all jobs of `warren` with each third fault: all take a quarter of an hour beside
/// the virtual machine.
pub fn test(warren: &Path) -> Result<Tally> {
    break_jobs(&Arguments {
        every: 3,
        job: Vec::new(),
        call: None,
        verbose: false,
        warren: Some(warren.to_owned()),
    })
}

fn break_jobs(arguments: &Arguments) -> Result<Tally> {
    require(&[("gcc", "gcc libc6-dev"), ("newuidmap", "uidmap")])?;
    if let Some(name) = arguments
        .job
        .iter()
        .find(|name| JOBS.iter().all(|job| job.name != **name))
    {
        return Err(format!("no job '{name}'").into());
    }
    let breaker = Breaker::new(arguments)?;
    let mut sum = Tally::default();
    for job in JOBS {
        if arguments.job.is_empty() || arguments.job.iter().any(|name| name == job.name) {
            sum += breaker.job(job, arguments)?;
        }
    }
    Ok(sum)
}

/// What all jobs need.
struct Breaker {
    stage: Stage,
    tracer: PathBuf,
    warren: PathBuf,
    is_root: bool,
    names: Names,
    /// There where a mount namespace can be made for it.
    inhabited: Option<Inhabited>,
}

/// A process in a mount namespace of its own, for the jobs that change one.
struct Inhabited(Child);

impl Inhabited {
    fn start() -> Result<Self> {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", "echo; exec sleep infinity"]);
        unshare.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = unshare.spawn()?;
        let ready = child
            .stdout
            .take()
            .map(|out| BufReader::new(out).lines().next());
        let inhabited = Self(child);
        match ready {
            Some(Some(Ok(_))) => Ok(inhabited),
            _ => Err("unshare made no mount namespace".into()),
        }
    }

    fn mounts(&self) -> Result<String> {
        Ok(fs::read_to_string(format!(
            "/proc/{}/mountinfo",
            self.0.id()
        ))?)
    }
}

impl Drop for Inhabited {
    fn drop(&mut self) {
        // Ended already, perhaps.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Breaker {
    fn new(arguments: &Arguments) -> Result<Self> {
        let stage = Stage::new("faults")?;
        let warren = match &arguments.warren {
            Some(warren) => warren.clone(),
            None => build("warren-cli", &["--release", "--bin", "warren"])?,
        };
        let breaker = Self {
            tracer: stage.compile("fault")?,
            warren: stage.copy(&warren, "warren")?,
            is_root: is_root()?,
            names: Names::of_kernel_headers()?,
            inhabited: is_root()?.then(Inhabited::start).transpose()?,
            stage,
        };
        accounts(&breaker.accounts())?;
        // Where an ordinary user's runs keep what they keep.
        let own = breaker.own();
        fs::create_dir(&own)?;
        if breaker.is_root {
            chown(&own, Some(USER), Some(USER))?;
        }
        Ok(breaker)
    }

    fn own(&self) -> PathBuf {
        self.stage.path().join("own")
    }

    /// What a user with ranges has in /etc.
    fn accounts(&self) -> PathBuf {
        self.stage.path().join("etc")
    }

    /// Runs one job with each of its faults.
    fn job(&self, job: &Job, arguments: &Arguments) -> Result<Tally> {
        println!("{}: warren {}", job.name, job.arguments);
        if (job.as_root || job.has_ranges) && !self.is_root {
            println!("  failed: it needs root");
            return Ok(Tally {
                passed: 0,
                failed: 1,
            });
        }
        let targets = self.targets(job)?;
        let faults: Vec<(&Target, Fault)> = targets
            .iter()
            .flat_map(|target| {
                faults_of(&target.name)
                    .into_iter()
                    .map(move |fault| (target, fault))
            })
            .filter(|(target, _)| {
                arguments
                    .call
                    .as_ref()
                    .is_none_or(|name| *name == target.name)
            })
            .step_by(arguments.every as usize)
            .collect();
        let mut kinds = BTreeMap::<&str, u32>::new();
        let mut tally = Tally::default();
        let mut before = Machine::now(&self.own());
        for (target, fault) in faults {
            match self.held(job, target, fault, &mut before)? {
                Ok(kind) => {
                    tally.passed += 1;
                    if arguments.verbose {
                        println!("  {kind}: {target} {fault}");
                    }
                    *kinds.entry(kind).or_default() += 1;
                }
                Err(why) => {
                    tally.failed += 1;
                    println!("  failed: {target} {fault}: {why}");
                }
            }
        }
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        println!("  {tally} ({})", kinds.join(", "));
        Ok(tally)
    }

    /// The calls of `job` that are ours.
    fn targets(&self, job: &Job) -> Result<Vec<Target>> {
        // The first run may make what lasts, /run/warren for one; it is not the fault's.
        self.trace(job, job.arguments, None)?;
        self.undo(job)?;
        let whole = self.trace(job, job.arguments, None)?;
        self.undo(job)?;
        if whole.exit_code() != Some(0) {
            return Err(
                format!("{} does not work without faults: {whole}", job.name).into(),
            );
        }
        let bare = self.trace(job, "--version", None)?;
        let startup = whole.common_start(&bare);
        let targets = whole.targets(startup, &self.names);
        println!(
            "  {} calls: {} before main, which `warren --version` makes too and libc and \
             the standard library answer for, are left out, as are the contained \
             program's own",
            startup + targets.len(),
            startup
        );
        Ok(targets)
    }

    /// Whether the run held against one fault: what it did, or what was wrong.
    fn held(
        &self,
        job: &Job,
        target: &Target,
        fault: Fault,
        before: &mut Machine,
    ) -> Result<std::result::Result<&'static str, String>> {
        let inside = self.mounts_of_target()?;
        let trace = self.trace(job, job.arguments, Some((target, fault)))?;
        let mut outcome = Outcome::of(&trace, target, fault);
        if let Some(undo) = &job.undo {
            outcome = outcome.leaving(undo.process);
        }
        let verdict = outcome.verdict().and_then(|kind| {
            let undone = self.undo(job).map_err(|error| error.to_string());
            undone.map(|()| kind)
        });
        if self.mounts_of_target()? != inside {
            return Ok(Err("the mounts of the target changed".to_owned()));
        }
        let after = Machine::settled(&self.own(), before);
        let changes = after.changes_since(before);
        *before = after;
        if verdict.is_ok() && !changes.is_empty() {
            return Ok(Err(format!("the machine changed: {}", changes.join("; "))));
        }
        Ok(verdict)
    }

    fn mounts_of_target(&self) -> Result<Option<String>> {
        self.inhabited.as_ref().map(Inhabited::mounts).transpose()
    }

    /// Clears away what a job has left; there may be nothing.
    fn undo(&self, job: &Job) -> Result<()> {
        let Some(undo) = &job.undo else { return Ok(()) };
        let trace = self.trace(job, undo.arguments, None)?;
        if trace.exit_code() == Some(0) || trace.says(undo.nothing) {
            return Ok(());
        }
        Err(format!("warren {}: {trace}", undo.arguments).into())
    }

    fn words(&self, arguments: &str) -> Vec<String> {
        let own = self.own().display().to_string();
        let target = self
            .inhabited
            .as_ref()
            .map(|target| target.0.id().to_string());
        arguments
            .split_whitespace()
            .map(|word| word.replace("STAGE", &own))
            .map(|word| match &target {
                Some(target) if word == "TARGET" => target.clone(),
                _ => word,
            })
            .collect()
    }

    /// Runs `warren` under the tracer.
    fn trace(
        &self,
        job: &Job,
        arguments: &str,
        fault: Option<(&Target, Fault)>,
    ) -> Result<Trace> {
        let report = self.stage.path().join("report");
        let own = self.own();
        let mut tracer = Command::new(&self.tracer);
        tracer.arg("-o").arg(&report);
        if self.is_root && !job.as_root {
            tracer.args(["-u", &USER.to_string()]);
        }
        if job.has_ranges {
            tracer.arg("-e").arg(self.accounts());
        }
        if let Some((target, fault)) = fault {
            tracer.args(["-i", &target.injection(fault)]);
        }
        tracer
            .arg("--")
            .arg(&self.warren)
            .args(self.words(arguments))
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("HOME", "/"),
                ("LANG", "C.UTF-8"),
            ])
            .env("XDG_RUNTIME_DIR", &own)
            .current_dir("/")
            .stdin(Stdio::null());
        let output = tracer.output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the tracer: {}: {error}", output.status).into());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Trace::parse(&fs::read_to_string(&report)?, stderr)
    }
}

/// Makes a folder with the files of /etc by which newuidmap(1) and newgidmap(1) let
/// [`USER`] have ranges of ids.
fn accounts(folder: &Path) -> Result<()> {
    const RANGE: &str = "burrow:1000000000:65536\n";
    fs::create_dir(folder)?;
    let passwd = fs::read_to_string("/etc/passwd")?;
    let user = format!("burrow:x:{USER}:{USER}::/:/bin/sh\n");
    fs::write(folder.join("passwd"), passwd + &user)?;
    fs::write(folder.join("subuid"), RANGE)?;
    fs::write(folder.join("subgid"), RANGE)?;
    Ok(())
}
