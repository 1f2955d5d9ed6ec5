//! One test: start it, wait for it, see what it left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::arguments::ONE;
use super::{Tier, become_ordinary};
use crate::command::patience;
use crate::machine::{Snapshot, difference};
use crate::processes;
use crate::stage::Stage;

/// What one test may take, before patience.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long the kernel and init may take to undo what a test made, before patience.
const SETTLE: Duration = Duration::from_secs(1);

/// Why a test failed.
pub(super) type Failure = String;

/// Runs the test in a process of its own and prints one line about it; on failure all
/// that it said too.
pub(super) fn run(
    name: &str,
    tier: Tier,
    stage: &Stage,
    scratch: &Path,
) -> io::Result<Option<Failure>> {
    let before = Snapshot::take();
    let began = Instant::now();
    let said = File::from(rustix::fs::memfd_create(
        "test output",
        MemfdFlags::CLOEXEC,
    )?);
    let mut child = command(name, tier, stage, scratch, &said)?.spawn()?;
    let ended = wait(&mut child)?;
    let left = what_is_left(&before);
    processes::end_descendants();
    let removed = fs::remove_dir_all(scratch);
    let failure = judge(ended, &left, removed.err());
    report(name, began.elapsed(), failure.as_deref(), &said)?;
    Ok(failure)
}

fn command(
    name: &str,
    tier: Tier,
    stage: &Stage,
    scratch: &Path,
    said: &File,
) -> io::Result<Command> {
    let mut command = Command::new(stage.tests_binary());
    command
        .args([ONE, name])
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LANG", "C.UTF-8")
        .env("RUST_BACKTRACE", "0")
        .env("WARREN_TEST_PATIENCE", patience().to_string())
        .envs(stage.variables(scratch))
        .current_dir(scratch)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said.try_clone()?);
    if let Some(update) = std::env::var_os("UPDATE_GOLDEN") {
        command.env("UPDATE_GOLDEN", update);
    }
    if tier == Tier::User {
        become_ordinary(&mut command);
    }
    Ok(command)
}

/// Waits for the test; ends its session and gives `None` where it takes too long.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec {
        tv_sec: (TIMEOUT * patience()).as_secs() as i64,
        tv_nsec: 0,
    };
    let ready = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))?;
    if ready == 0 {
        // Not waited for yet, so the id still names this group; it is ours since the
        // test called setsid. What left the group dies in `end_descendants`.
        let _ = kill_process_group(pid, Signal::KILL);
        child.kill()?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

/// Takedown is asynchronous in the kernel: asks again for a while.
fn what_is_left(before: &Snapshot) -> Vec<String> {
    let deadline = Instant::now() + SETTLE * patience();
    loop {
        processes::reap();
        let left = difference(before, &Snapshot::take());
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn judge(
    ended: Option<ExitStatus>,
    left: &[String],
    removed: Option<io::Error>,
) -> Option<Failure> {
    let mut reasons = Vec::new();
    match ended {
        None => reasons.push(format!("took more than {:?}", TIMEOUT * patience())),
        Some(status) if !status.success() => reasons.push(status.to_string()),
        Some(_) => {}
    }
    reasons.extend(left.iter().cloned());
    reasons.extend(removed.map(|error| format!("remove the scratch folder: {error}")));
    (!reasons.is_empty()).then(|| reasons.join("\n  "))
}

fn report(
    name: &str,
    took: Duration,
    failure: Option<&str>,
    said: &File,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Some(failure) = failure else {
        writeln!(out, "ok      {name} ({} ms)", took.as_millis())?;
        return out.flush();
    };
    writeln!(out, "FAILED  {name} ({} ms)\n  {failure}", took.as_millis())?;
    for line in all_of(said)?.lines() {
        writeln!(out, "  | {line}")?;
    }
    out.flush()
}

fn all_of(file: &File) -> io::Result<String> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut bytes = vec![0; length];
    // Not by the shared offset, which is where the test's processes write.
    let count = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
}
