//! Runs tests one after the other, each in a process of its own.
//!
//! The binary executes itself again for each test, so a test starts single-threaded and
//! may call `unshare`, close fds or end badly without harm to the next. Around each test
//! the machine is looked at, and a test that leaves something behind fails.

mod arguments;
mod one;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::Signal;

use crate::{missing_call, processes, stage};
use arguments::{Action, Arguments};
use stage::Stage;

/// Who a test runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// An ordinary user; where the harness runs as root, [`stage::ORDINARY_USER`].
    User,
    /// User 0 of the machine.
    Root,
    /// User 0 of a machine that nobody else uses: its settings may be changed.
    Machine,
    /// User 0 of a machine whose Linux has what the usual one lacks: 6.19 or later.
    Newer,
}

/// The tiers that a test belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiers {
    /// The same, as an ordinary user and as root.
    Both,
    /// Only as an ordinary user.
    User,
    /// Only as root.
    Root,
    /// Only as root where settings of the whole machine may be changed.
    Machine,
    /// Only as root on Linux 6.19 or later.
    Newer,
}

impl Tiers {
    fn contain(self, tier: Tier) -> bool {
        matches!(
            (self, tier),
            (Self::Both, Tier::User | Tier::Root)
                | (Self::User, Tier::User)
                | (Self::Root, Tier::Root)
                | (Self::Machine, Tier::Machine)
                | (Self::Newer, Tier::Newer)
        )
    }
}

/// A fact about Warren, and how to see that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    name: &'static str,
    tiers: Tiers,
    run: fn(),
}

impl Test {
    /// A test by its path and function; [`tests!`](crate::tests) makes a list of them.
    pub const fn new(name: &'static str, tiers: Tiers, run: fn()) -> Self {
        Self { name, tiers, run }
    }

    /// `module::function`, without the crate.
    fn name(&self) -> &'static str {
        self.name
            .split_once("::")
            .map_or(self.name, |(_, name)| name)
    }
}

/// A list of tests: `tests! { Both: a, b; Root: c; User: d; }`.
#[macro_export]
macro_rules! tests {
    ($($tier:ident: $($name:ident),+ $(,)?;)*) => {
        &[$($($crate::Test::new(
            concat!(module_path!(), "::", stringify!($name)),
            $crate::Tiers::$tier,
            $name,
        ),)+)*]
    };
}

/// A program that the tests call, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// As found in PATH.
    pub program: &'static str,
    /// As named to apt-get.
    pub package: &'static str,
}

/// All that a test binary is made of.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Tests, by module.
    pub tests: Vec<&'static [Test]>,
    /// Programs without which no test runs.
    pub needed: &'static [Needed],
    /// Where the golden files are kept.
    pub golden: PathBuf,
}

impl Suite {
    /// The whole of `main`: parses the arguments, runs the tests, says the result.
    ///
    /// Ends with code 0 if all passed, 1 if one failed, 2 if the tests cannot run here;
    /// the last line is `N passed, N failed`.
    pub fn main(&self) -> ExitCode {
        let words: Vec<OsString> = std::env::args_os().skip(1).collect();
        let done = match words.split_first() {
            Some((first, rest)) if first == missing_call::ARGUMENT => {
                Err(missing_call::become_program(rest))
            }
            _ => Arguments::parse(&words).and_then(|arguments| self.act(&arguments)),
        };
        done.unwrap_or_else(|error| {
            // Standard error is all there is to say it on.
            let _ = writeln!(io::stderr(), "warren-tests: {error}");
            ExitCode::from(2)
        })
    }

    fn act(&self, arguments: &Arguments) -> io::Result<ExitCode> {
        match &arguments.action {
            Action::List => self.list(arguments),
            Action::One(name) => self.one(name),
            Action::Run => self.run(arguments),
        }
    }

    fn chosen(&self, arguments: &Arguments) -> Vec<&Test> {
        let all = self.tests.iter().copied().flatten();
        all.filter(|test| test.tiers.contain(arguments.tier))
            .filter(|test| arguments.wants(test.name()))
            .collect()
    }

    fn list(&self, arguments: &Arguments) -> io::Result<ExitCode> {
        for test in self.chosen(arguments) {
            writeln!(io::stdout(), "{}", test.name())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The re-execution: one test, in this process.
    fn one(&self, name: &str) -> io::Result<ExitCode> {
        let mut all = self.tests.iter().copied().flatten();
        let Some(test) = all.find(|test| test.name() == name) else {
            return Err(io::Error::other(format!("no test {name}")));
        };
        // A group and session of its own: no terminal, and one id to signal it all.
        rustix::process::setsid()?;
        (test.run)();
        Ok(ExitCode::SUCCESS)
    }

    fn run(&self, arguments: &Arguments) -> io::Result<ExitCode> {
        self.check_machine(arguments.tier)?;
        heed_signals();
        processes::adopt_orphans()?;
        let stage = Stage::set_up(arguments.tier, &self.golden)?;
        let (mut passed, mut failed) = (0, Vec::new());
        for (number, test) in self.chosen(arguments).into_iter().enumerate() {
            let scratch = stage.scratch(number)?;
            match one::run(test.name(), arguments.tier, &stage, &scratch)? {
                None => passed += 1,
                Some(_) => failed.push(test.name()),
            }
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            stage.keep_golden(&self.golden)?;
        }
        drop(stage);
        summary(passed, &failed)
    }

    /// Refuses, in words, a machine on which the tests of `tier` would mean nothing.
    fn check_machine(&self, tier: Tier) -> io::Result<()> {
        if tier != Tier::User && !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("this tier needs user 0: run it as root"));
        }
        let missing = self
            .needed
            .iter()
            .filter(|needed| !is_in_path(needed.program));
        let missing: Vec<_> = missing.map(|needed| needed.package).collect();
        if !missing.is_empty() {
            let packages = missing.join(" ");
            return Err(io::Error::other(format!(
                "programs are missing: apt-get install {packages}"
            )));
        }
        match tier {
            Tier::User => check_user_namespaces(),
            Tier::Newer => check_newer(),
            Tier::Root | Tier::Machine => Ok(()),
        }
    }
}

/// What nohup or a job of a script ignores would be ignored by every test too.
fn heed_signals() {
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        warren_sys::signal::default_action(signal.as_raw());
    }
}

fn is_in_path(program: &str) -> bool {
    let folders = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    folders
        .iter()
        .any(|folder| PathBuf::from(folder).join(program).exists())
}

/// An ordinary user may make user namespaces here.
fn check_user_namespaces() -> io::Result<()> {
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--user", "true"])
        .current_dir("/")
        .stdin(Stdio::null());
    become_ordinary(&mut unshare);
    if unshare.status()?.success() {
        return Ok(());
    }
    Err(io::Error::other(
        "an ordinary user may not make user namespaces here: see sysctl \
         kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns \
         and user.max_user_namespaces",
    ))
}

/// This kernel lists its namespaces, the newest thing that a test asks for.
fn check_newer() -> io::Result<()> {
    match warren_sys::list_namespaces(0, &mut [0; 1]) {
        Ok(_) => Ok(()),
        Err(errno) => Err(io::Error::other(format!(
            "this tier needs Linux 6.19 or later: listns: {errno}"
        ))),
    }
}

/// std also empties the supplementary groups where the user changes.
fn become_ordinary(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    if rustix::process::geteuid().is_root() {
        command.uid(stage::ORDINARY_USER).gid(stage::ORDINARY_USER);
    }
}

fn summary(passed: usize, failed: &[&str]) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if !failed.is_empty() {
        writeln!(out, "\nfailed:\n  {}", failed.join("\n  "))?;
    }
    writeln!(out, "\n{passed} passed, {} failed", failed.len())?;
    out.flush()?;
    Ok(ExitCode::from(u8::from(!failed.is_empty() || passed == 0)))
}
