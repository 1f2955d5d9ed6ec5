//! What came of it.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use warren_namespaces::errno_text;

/// What did not work, at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, relative to the overlay.
    pub path: PathBuf,
    /// What was being done: `write`, `delete`.
    pub doing: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
    /// What that means here, where the words of the errno do not say it.
    pub reason: Option<&'static str>,
}

impl Problem {
    pub(crate) fn new(doing: &'static str, path: &Path, errno: Errno) -> Self {
        let reason = match errno {
            Errno::LOOP => Some("a symlink of the host is in the way"),
            Errno::XDEV => Some("another filesystem is mounted there"),
            Errno::OVERFLOW => Some("its owner has no number outside of the run"),
            _ => None,
        };
        Self {
            path: path.to_owned(),
            doing,
            errno,
            reason,
        }
    }

    pub(crate) fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Why it did not work.
    #[must_use]
    pub fn why(&self) -> String {
        self.reason
            .map_or_else(|| errno_text(self.errno), str::to_owned)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.doing, self.path.display(), self.why())
    }
}

/// What is not taken over on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Where, relative to the overlay.
    pub path: PathBuf,
    /// What: `a socket`, `its set-user-id bit`.
    pub what: &'static str,
}

/// What came of applying or saving changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many changes were made.
    pub done: usize,
    /// What was left out on purpose.
    pub left_out: Vec<LeftOut>,
    /// What did not work.
    pub problems: Vec<Problem>,
}

impl Outcome {
    pub(crate) fn leave_out(&mut self, path: &Path, what: &'static str) {
        let path = path.to_owned();
        self.left_out.push(LeftOut { path, what });
    }
}
