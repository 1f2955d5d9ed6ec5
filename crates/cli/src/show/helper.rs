//! The process that goes inside: Warren's own binary, executed again, in the target's
//! namespaces but not in its pid namespace; it answers with JSON on standard output.
//!
//! A process of its own, since the way in is one-way; executed, since only then the
//! memory it has belongs to the caller's user namespace, where nobody inside may trace it.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use warren_inspect::{Inside, Request, from_inside};
use warren_namespaces::{Kind, NamespaceSet, NsFd, ProcRoot, errno_text};
use warren_spawn::{Command, Stdio};

use crate::failure::{Failure, print};

/// What the first argument of the helper is. It is no command for people.
pub const NAME: &str = ".look";

/// Has a helper look, with the descriptors of these namespaces.
///
/// # Errors
/// Why there is no answer: somebody inside who shares the pid namespace can kill it.
pub fn look(
    namespaces: &[&NsFd],
    candidates: &[NsFd],
    request: Request,
) -> Result<Inside, String> {
    let numbers = |list: &mut dyn Iterator<Item = &NsFd>| {
        let numbers: Vec<i32> = list.map(|fd| fd.as_fd().as_raw_fd()).collect();
        numbers
    };
    let entered = numbers(&mut namespaces.iter().copied());
    let others = numbers(&mut candidates.iter());
    let pid = request.cgroup_of.map(|pid| pid.to_string());
    let mut command = Command::new("/proc/self/exe");
    command
        .args([NAME, &request.kinds.to_string(), &request.shown.to_string()])
        .args([pid.unwrap_or_default(), list(&entered), list(&others)])
        .env_clear()
        .stderr(Stdio::Null)
        .kill_with_parent(true);
    command.spec_mut().keep_fds = [entered, others].concat();
    let output = command.output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the process sent inside ended early: {}", output.status))
}

fn list(numbers: &[i32]) -> String {
    let words: Vec<String> = numbers.iter().map(i32::to_string).collect();
    words.join(",")
}

/// Runs as the helper: `.look KINDS SHOWN PID NAMESPACES CANDIDATES`.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let text = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let words: Option<Vec<&str>> = (1..=5).map(text).collect();
    let Some(&[kinds, shown, pid, namespaces, candidates]) = words.as_deref() else {
        return Err(Failure::usage(
            "`.look` is not for people; try `warren show`",
        ));
    };
    let request = Request {
        kinds: set(kinds)?,
        shown: set(shown)?,
        cgroup_of: pid.parse().ok(),
    };
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let (namespaces, candidates) = (open(namespaces)?, open(candidates)?);
    let inside = from_inside(&proc, &namespaces, &candidates, request);
    print(&crate::json::text(&inside)?)?;
    Ok(0)
}

fn set(text: &str) -> Result<NamespaceSet, Failure> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words
        .map(|word| word.parse::<Kind>().map_err(Failure::usage))
        .collect()
}

/// Opens inherited descriptors once more, which checks that they are namespaces.
fn open(numbers: &str) -> Result<Vec<NsFd>, Failure> {
    let words = numbers.split(',').filter(|word| !word.is_empty());
    let open = |word: &str| {
        let path = PathBuf::from(format!("/proc/self/fd/{word}"));
        NsFd::open(&path).map_err(|errno| {
            let path = path.display();
            Failure::new(format!("open {path}: {}", errno_text(errno)))
        })
    };
    words.map(open).collect()
}
