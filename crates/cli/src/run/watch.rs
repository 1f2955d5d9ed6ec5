//! Watching a run: what it uses becomes a profile, what it is refused is told.

mod host;
mod learned;
mod report;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use clap::Args;
use warren_confine::landlock::Abi;
use warren_namespaces::ProcRoot;
use warren_observe::{Auditor, Learner, Tracer, View};
use warren_spawn::{Held, Host, Plan, Ranges, Spec};
use warren_sys::Errno;

use crate::failure::Failure;
use crate::supervise::{self, Care, Ended, Remains, Watch};
use host::HostFiles;
use learned::Learned;
use report::Report;

/// What is to be seen of a run.
#[derive(Debug, Args)]
pub struct WatchOptions {
    /// Watch CMD, and write what it uses into FILE as a profile; to one that is there it
    /// is added
    #[arg(long, value_name = "FILE", help_heading = "Watch")]
    pub learn: Option<PathBuf>,
    /// Watch CMD, and say what it is refused and which option would allow it: in the end,
    /// or with =live at once
    #[arg(
        long,
        value_name = "live",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "end",
        value_parser = ["end", "live"],
        help_heading = "Watch"
    )]
    pub audit: Option<String>,
    /// Watch CMD, and write what it is refused into FILE as JSON
    #[arg(long, value_name = "FILE", help_heading = "Watch")]
    pub audit_json: Option<PathBuf>,
}

impl WatchOptions {
    /// Whether anything is to be seen.
    pub fn is_asked(&self) -> bool {
        self.learn.is_some() || self.audit.is_some() || self.audit_json.is_some()
    }

    /// Who watches the run, if anybody does. What is wrong with the files that it is to
    /// write is told now.
    pub fn watching<'a>(
        &self,
        spec: &'a Spec,
        host: &Host,
    ) -> Result<Option<Watching<'a>>, Failure> {
        if !self.is_asked() {
            return Ok(None);
        }
        let proc = || ProcRoot::open().map_err(Failure::new);
        let report = match (&self.audit_json, self.audit.as_deref()) {
            (None, None) => None,
            (json, words) => Some(Report::new(json.as_deref(), words, spec)?),
        };
        Ok(Some(Watching {
            tracer: Tracer::new(proc()?),
            files: HostFiles::new(proc()?),
            learned: self.learn.as_deref().map(Learned::open).transpose()?,
            report,
            told: 0,
            spec,
            is_root: host.is_privileged(),
            has_ids: host.has_all_ids || !matches!(host.ranges, Ranges::None),
            holds_ports: host.landlock().is_ok_and(|abi| abi >= Abi::TCP),
        }))
    }
}

/// A run that is watched.
pub struct Watching<'a> {
    tracer: Tracer,
    files: HostFiles,
    learned: Option<Learned>,
    report: Option<Report>,
    /// How many of the failures have been looked at, where they are told at once.
    told: usize,
    spec: &'a Spec,
    is_root: bool,
    has_ids: bool,
    holds_ports: bool,
}

impl Watching<'_> {
    /// Carries the plan out, to the end of its command.
    pub fn run(
        mut self,
        plan: Plan,
        care: Care<'_>,
    ) -> Result<(Ended, Remains), Failure> {
        let mut nobody = |_| Ok(());
        let announce = care.announce.unwrap_or(&mut nobody);
        // Of this function's life, like the watch.
        let mut announce = |pid| announce(pid);
        let care = Care {
            trace: care.trace,
            limits: care.limits,
            watch: Some(&mut self),
            announce: Some(&mut announce),
        };
        let (ended, remains) = supervise::run_with(plan, care)?;
        self.tell();
        if let Some(report) = self.report.take() {
            report.finish(ended.code())?;
        }
        if let Some(learned) = self.learned.take() {
            self.learn(learned)?;
        }
        Ok((ended, remains))
    }

    /// Explains the failures since the last time.
    fn tell(&mut self) {
        let Some(report) = &mut self.report else {
            return;
        };
        let failures = &self.tracer.observed().failures[self.told..];
        let auditor = Auditor::new(self.spec, self.is_root, self.has_ids, &self.files);
        for failure in failures {
            report.add(auditor.explain(failure));
        }
        self.told += failures.len();
    }

    fn learn(&mut self, learned: Learned) -> Result<(), Failure> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let learner = Learner {
            view: &View::of(self.spec),
            default: &View::of_default(),
            capabilities: self.spec.capabilities.unwrap_or_default(),
            home: home.as_deref(),
            machine: &self.files,
        };
        let needs = learner.needs(self.tracer.observed());
        learned.write(&needs, self.spec, self.holds_ports)
    }
}

impl Watch for Watching<'_> {
    fn begin(&mut self, held: &Held<'_>) -> Result<(), Errno> {
        self.tracer.begin(held)
    }

    fn turn(&mut self) -> io::Result<()> {
        self.tracer.attend()?;
        if self.report.as_ref().is_some_and(Report::is_live) {
            self.tell();
        }
        Ok(())
    }

    fn first(&self) -> u32 {
        self.tracer.first() as u32
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.tracer.ended().map(ExitStatus::from_raw)
    }
}
