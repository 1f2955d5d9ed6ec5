//! How a launch fails: which step, with what errno, for what reason.

use std::fmt;

use warren_namespaces::errno_text;
use warren_sys::Errno;

/// What kind of failure it is: it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The Spec contradicts itself or names what is not there; nothing was created.
    Spec,
    /// A step failed; what was created is gone again.
    Step,
    /// A control group could not be joined; nothing else was wrong so far.
    Cgroup,
    /// The program is not there.
    NotFound,
    /// The program is there and cannot be executed.
    NotExecutable,
}

/// A failed launch.
///
/// It prints as `<what we were doing> <object>: <errno text>`; [`hints`](Self::hints)
/// tell why, as far as this system shows, and the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    doing: String,
    errno: Option<Errno>,
    number: Option<usize>,
    hints: Vec<String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, doing: impl Into<String>) -> Self {
        Self {
            kind,
            doing: doing.into(),
            errno: None,
            number: None,
            hints: Vec::new(),
        }
    }

    /// What the [callback](crate::Plan::launch_announced) of a launch failed at.
    pub fn of_caller(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Step, what)
    }

    /// A Spec that cannot be planned.
    pub(crate) fn spec(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Spec, what)
    }

    /// A step that the kernel refused.
    pub(crate) fn step(doing: impl fmt::Display, errno: Errno) -> Self {
        Self::new(ErrorKind::Step, doing.to_string()).errno(errno)
    }

    pub(crate) fn kind_of(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn errno(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }

    pub(crate) fn number_of(mut self, number: Option<usize>) -> Self {
        self.number = number;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn hints_of(mut self, hints: Vec<String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done: for a step, the sentence by which the plan prints it.
    #[must_use]
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// Which of the [steps](crate::Plan::steps) failed, if one did: for who has words of its
    /// own for it.
    #[must_use]
    pub fn step_number(&self) -> Option<usize> {
        self.number
    }

    /// The errno of the call that failed, if one did.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno.map(Errno::raw_os_error)
    }

    /// Why, and the way out: one sentence each.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        match self.errno {
            Some(errno) => write!(f, ": {}", errno_text(errno)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
