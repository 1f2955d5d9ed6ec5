//! What the personalities `unshare` and `nsenter` share: the words of the originals for
//! each step that can fail, their exit codes, the shell, and how they read numbers.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use warren_namespaces::{accounts, errno_text};
use warren_spawn::transition::{
    Caller, Environment, Failed, Outcome, Place, Plan, Source, Step, Target, Transition,
    link_name,
};
use warren_sys::Errno;
use warren_sys::signal::{self, SignalSet};

use crate::failure::{self, Failure};

/// Plans, and prints the plan or carries it out.
pub fn run(name: &str, wanted: &Transition, plan_only: bool) -> Result<u8, Failure> {
    let plan = Plan::new(wanted, Caller::current())?;
    if plan_only {
        failure::print(&plan.to_string())?;
        return Ok(0);
    }
    match plan.replace_caller() {
        Outcome::Ended(status) => Ok(end_like(status)),
        Outcome::Failed(failed) => Err(told(name, wanted, &failed)),
    }
}

/// Ends as the program has: by the same signal, if one ended it.
fn end_like(status: ExitStatus) -> u8 {
    if let Some(number) = status.signal() {
        signal::default_action(number);
        signal::set_blocked(SignalSet::EMPTY);
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let _ = signal::kill(own, number);
        // Not reached but as pid 1, which such a signal does not end.
        return u8::try_from(128 + number).unwrap_or(failure::OWN_FAILURE);
    }
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(failure::OWN_FAILURE)
}

/// A failed step in the words of the original, then why.
fn told(name: &str, wanted: &Transition, failed: &Failed) -> Failure {
    let message = match failed.errno {
        Some(errno) => words(name, wanted, &failed.step, errno),
        // The helper's program has said it.
        None => String::new(),
    };
    let code = match (&failed.step, failed.errno, failed.said) {
        (Step::Exec(_), Some(Errno::NOENT), _) => 127,
        (Step::Exec(_), _, _) => 126,
        (_, _, Some(code)) => u8::try_from(code).unwrap_or(1),
        _ => 1,
    };
    let hints = failed.hints.iter();
    hints.fold(Failure::new(message).code(code), |failure, hint| {
        failure.hint(hint)
    })
}

fn words(name: &str, wanted: &Transition, step: &Step, errno: Errno) -> String {
    if let (Step::OpenTarget(target), Errno::SRCH) = (step, errno) {
        return no_such_target(target, wanted);
    }
    let what = match step {
        Step::OpenNamespace { from, .. } => cannot_open(from),
        Step::OpenOfTarget { pid, kind } => format!("cannot open /proc/{pid}/ns/{kind}"),
        Step::OpenTarget(target) => format!("pidfd_open of {} failed", target.pid),
        Step::OpenRoot(path) | Step::OpenCwd(path) => {
            format!("cannot open {}", path.display())
        }
        Step::ReadEnvironment(pid) => format!("cannot open /proc/{pid}/environ"),
        Step::OpenCgroups(pid) => format!("cannot open the cgroups of {pid}"),
        Step::FollowContext(pid) => format!("failed to get {pid} SELinux context"),
        Step::ReadIds(pid) | Step::CheckTarget(pid) => format!("cannot open /proc/{pid}"),
        Step::ForkHelper | Step::Fork | Step::ForkInit => "fork failed".to_owned(),
        Step::DropGroups { .. } => "setgroups failed".to_owned(),
        Step::SetGid(_) => "setgid() failed".to_owned(),
        Step::SetUid(_) => "setuid() failed".to_owned(),
        Step::EnterTarget { .. } => "reassociate to namespaces failed".to_owned(),
        Step::EnterOther { kind, .. } => {
            format!("reassociate to namespace 'ns/{kind}' failed")
        }
        Step::Unshare(_) => "unshare failed".to_owned(),
        Step::WriteMap { file, .. } | Step::WriteOwnMap { file, .. } => {
            not_written(file.name(), errno)
        }
        Step::WriteSetGroups(_) | Step::WriteOwnSetGroups(_) => {
            not_written("setgroups", errno)
        }
        Step::ShiftClock { .. } => {
            "failed to write to /proc/self/timens_offsets".to_owned()
        }
        Step::Pin { kind, path } => format!(
            "mount /proc/{}/ns/{} on {} failed",
            std::process::id(),
            link_name(*kind),
            path.display()
        ),
        Step::Propagate(_) => "cannot change root filesystem propagation".to_owned(),
        Step::KeepCwd => "cannot open current working directory".to_owned(),
        Step::EnterRoot if errno == Errno::PERM => "chroot failed".to_owned(),
        Step::EnterRoot => "change directory by root file descriptor failed".to_owned(),
        Step::ChangeRoot(path) => {
            format!("cannot change root directory to '{}'", path.display())
        }
        Step::EnterCwd => {
            "change directory by working directory file descriptor failed".to_owned()
        }
        Step::ChangeCwd(_) if name == "nsenter" => {
            "cannot open current working directory".to_owned()
        }
        Step::ChangeCwd(path) => {
            format!("cannot change directory to {}", path.display())
        }
        Step::MountProc(path) | Step::MountBinfmt(path) => {
            format!("mount {} failed", path.display())
        }
        Step::Register { folder, .. } => {
            format!("write failed {}/register", folder.display())
        }
        Step::JoinCgroups => "cannot join the cgroups".to_owned(),
        Step::DieWithCaller(_) | Step::RaiseAmbient | Step::KeepCapabilities => {
            "prctl failed".to_owned()
        }
        Step::Exec(name) => format!("failed to execute {}", name.display()),
        other => format!("{other} failed"),
    };
    format!("{what}: {}", errno_text(errno))
}

/// As the originals say it of the first file of a process that is not there.
fn no_such_target(target: &Target, wanted: &Transition) -> String {
    let of_target = |place: &Option<Place>| *place == Some(Place::OfTarget);
    let file = match wanted.enter.kinds.first() {
        Some(kind) => Some(format!("ns/{kind}")),
        None if of_target(&wanted.root) => Some("root".to_owned()),
        None if of_target(&wanted.cwd) => Some("cwd".to_owned()),
        None => None,
    };
    let pid = target.pid;
    match (target.pidfd_inode, file) {
        (None, Some(file)) => {
            format!("cannot open /proc/{pid}/{file}: No such file or directory")
        }
        _ => format!(
            "failed to obtain a valid file descriptor for PID {pid}: No such process"
        ),
    }
}

fn cannot_open(from: &Source) -> String {
    match from {
        Source::Path(path) => format!("cannot open {}", path.display()),
        Source::Id(id) => format!("cannot open namespace of id {id}"),
        Source::Socket(fd) => format!("cannot open the network namespace of socket {fd}"),
        Source::Owner => "failed to open parent namespace".to_owned(),
    }
}

/// The kernel refuses a write by EPERM or EINVAL; by anything else the file.
fn not_written(name: &str, errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::NOENT | Errno::ROFS => {
            format!("cannot open /proc/self/{name}")
        }
        _ => format!("write failed /proc/self/{name}"),
    }
}

/// A command line that getopt does not take.
pub fn usage(name: &str, complaint: &str) -> Failure {
    Failure::usage(format!(
        "{complaint}\nTry '{name} --help' for more information."
    ))
}

/// The text of `-V`, whose first five words scripts read.
pub fn version(name: &str) -> String {
    format!(
        "{name} from util-linux 2.43 (warren {})\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The shell as a login shell, and what it is told to be called.
pub fn shell(environment: &Environment) -> (OsString, OsString) {
    let named = match environment {
        Environment::Given(variables) => variables
            .iter()
            .find(|(key, _)| key == "SHELL")
            .map(|(_, shell)| shell.clone()),
        Environment::OfTarget => None,
    };
    let shell = named
        .filter(|shell| !shell.is_empty())
        .or_else(shell_of_account)
        .unwrap_or_else(|| "/bin/sh".into());
    let name = std::path::Path::new(&shell).file_name();
    let mut called = OsString::from("-");
    called.push(name.unwrap_or(&shell));
    (shell, called)
}

fn shell_of_account() -> Option<OsString> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = rustix::process::getuid().as_raw();
    let user = accounts::passwd_by_uid(&text, uid)?;
    (!user.shell.is_empty()).then(|| user.shell.into())
}

/// An id as strtoul(3) reads it, but nothing beyond the last, which the originals take
/// for one from the start.
pub fn id(text: &OsStr, what: &str) -> Result<u32, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("failed to parse {what}: '{}'{why}", text.display()))
    };
    let digits = text.to_str().map(str::trim_start).unwrap_or_default();
    let negative = digits.strip_prefix('-').unwrap_or_default();
    if !negative.is_empty() && negative.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(": Numerical result out of range"));
    }
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(""));
    }
    digits
        .parse()
        .map_err(|_| wrong(": Numerical result out of range"))
}

/// Two ids with a colon between.
pub fn id_pair(text: &OsStr) -> Option<(u32, u32)> {
    let (uid, gid) = text.to_str()?.split_once(':')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some((number(uid)?, number(gid)?))
}

/// The signals by name, with or without SIG, in either case.
pub fn signal_by_name(name: &OsStr) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1",
        "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP",
        "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
        "SYS",
    ];
    const ALIASES: [(&str, &str); 4] = [
        ("IOT", "ABRT"),
        ("CLD", "CHLD"),
        ("POLL", "IO"),
        ("UNUSED", "SYS"),
    ];
    let upper = name.to_str()?.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let alias = ALIASES.iter().find(|(alias, _)| *alias == bare);
    let bare = alias.map_or(bare, |(_, name)| name);
    let position = NAMES.iter().position(|name| *name == bare)?;
    i32::try_from(position + 1).ok()
}

/// A list whose parts are divided by commas.
pub fn split_list(text: &OsStr) -> Vec<OsString> {
    text.as_bytes()
        .split(|byte| *byte == b',')
        .filter(|name| !name.is_empty())
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_strtoul_reads_them() {
        let read = |text: &str| id(text.as_ref(), "uid").ok();
        assert_eq!(read("5"), Some(5));
        assert_eq!(read(" +5"), Some(5));
        assert_eq!(read("4294967295"), Some(u32::MAX));
        for text in ["", "x", "1x", "-", "-1", "-5", "0x1", "4294967296", "5 "] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn signals_have_names_and_no_numbers() {
        let number = |name: &str| signal_by_name(name.as_ref());
        assert_eq!(number("KILL"), Some(9));
        assert_eq!(number("sigterm"), Some(15));
        assert_eq!(number("POLL"), Some(29));
        assert_eq!(number("SYS"), Some(31));
        for name in ["15", "", "SIG", "FOO", "SIGSIGTERM"] {
            assert_eq!(number(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_pair_of_ids_has_a_colon() {
        assert_eq!(id_pair("1000:100".as_ref()), Some((1000, 100)));
        for text in ["1000", "1000:", ":5", "a:b", "1:2:3", "+1:2", "-1:0"] {
            assert_eq!(id_pair(text.as_ref()), None, "{text:?}");
        }
    }
}
