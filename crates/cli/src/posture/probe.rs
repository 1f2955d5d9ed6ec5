//! What is tried, and what came of it.

use serde::{Deserialize, Serialize};
use warren_namespaces::{errno_text, io_error_text};
use warren_sys::{Attempt, Errno, attempt};

use super::outside::Outside;

/// One thing that a contained program would try.
pub struct Probe {
    /// The row's name, which no other has.
    pub name: &'static str,
    /// What it is about, in one word.
    pub about: &'static str,
    /// What is tried, and what would be open.
    pub tries: &'static str,
    /// What opens it, and how it is closed.
    pub hint: &'static str,
    /// The defect of other tools that it is about, if there is one with a number.
    pub cve: Option<&'static str>,
    /// Tries it, in a process of its own.
    pub run: fn(&Outside) -> Finding,
}

/// Whether the wall holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What was tried was refused, or is not there.
    Holds,
    /// It was not.
    Open,
    /// It could not be tried.
    Unknown,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub state: State,
    /// The errno, or what was found.
    pub found: String,
}

impl Finding {
    pub fn holds(found: impl Into<String>) -> Self {
        Self::new(State::Holds, found)
    }

    pub fn open(found: impl Into<String>) -> Self {
        Self::new(State::Open, found)
    }

    pub fn unknown(found: impl Into<String>) -> Self {
        Self::new(State::Unknown, found)
    }

    fn new(state: State, found: impl Into<String>) -> Self {
        let found = found.into();
        Self { state, found }
    }

    /// Open where anything was found, else `otherwise` holds.
    pub fn none_of(found: &[impl AsRef<str>], otherwise: impl Into<String>) -> Self {
        let words: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
        match words.as_slice() {
            [] => Self::holds(otherwise),
            words => Self::open(words.join(", ")),
        }
    }

    /// What a call's result means, whose success opens something.
    pub fn of_call<T>(result: Result<T, Errno>, success: &str) -> Self {
        match result {
            Ok(_) => Self::open(success),
            Err(errno) if is_refusal(errno) => Self::holds(errno_text(errno)),
            Err(errno) => Self::open(format!("past every check: {}", errno_text(errno))),
        }
    }

    /// The same of a file that anything but success keeps shut.
    pub fn of_file<T>(result: &std::io::Result<T>, success: &str) -> Self {
        match result {
            Ok(_) => Self::open(success),
            Err(error) => Self::holds(io_error_text(error)),
        }
    }
}

/// Whether an errno says that the caller may not, or that there is no such call. Any
/// other one tells that the kernel had let the caller pass and looked at the arguments.
pub fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::AFNOSUPPORT
    )
}

/// Makes each call: all must be refused.
pub fn calls(attempts: &[Attempt]) -> Finding {
    let mut passed = Vec::new();
    let mut refused = Vec::new();
    for one in attempts {
        match attempt(*one) {
            Err(errno) if is_refusal(errno) => refused.push(errno_text(errno)),
            _ => passed.push(one.name()),
        }
    }
    refused.dedup();
    Finding::none_of(&passed, refused.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_holds() {
        let state = |errno| Finding::of_call::<()>(Err(errno), "made").state;
        assert_eq!(state(Errno::PERM), State::Holds);
        assert_eq!(state(Errno::NOSYS), State::Holds);
        assert_eq!(state(Errno::INVAL), State::Open);
        assert_eq!(state(Errno::NODEV), State::Open);
        assert_eq!(Finding::of_call(Ok(()), "made"), Finding::open("made"));
    }

    #[test]
    fn what_was_found_is_open() {
        assert_eq!(Finding::none_of(&["a", "b"], "c"), Finding::open("a, b"));
        assert_eq!(Finding::none_of(&[""; 0], "c"), Finding::holds("c"));
    }
}
