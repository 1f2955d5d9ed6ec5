//! Why something could not be done with a container.

use std::fmt;
use std::io;

use warren_namespaces::{errno_text, io_error_text};
use warren_sys::Errno;

/// What kind of failure it is, where callers care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such container.
    NoContainer,
    /// It has no process any more.
    NotRunning,
    /// Its program is there, and the kernel does not execute it.
    NotExecuted,
    /// A hook has failed.
    Hook,
    /// Anything else.
    Other,
}

/// A failure, in words, with reasons where they are known.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hints: Vec<String>,
}

impl Error {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Other,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// What the kernel refused.
    pub(crate) fn errno(doing: impl fmt::Display, errno: Errno) -> Self {
        Self::new(format!("{doing}: {}", words(errno)))
    }

    pub(crate) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(format!(
            "{doing}: {}",
            io_error_text(error).to_ascii_lowercase()
        ))
    }

    /// The same, with what it comes of in front.
    pub(crate) fn after(mut self, words: &str) -> Self {
        self.message = format!("{words}: {}", self.message);
        self
    }

    /// More of the message.
    pub(crate) fn add(mut self, words: &str) -> Self {
        self.message.push_str(words);
        self
    }

    // Engines look for these words.

    pub(crate) fn no_container(id: &str) -> Self {
        Self {
            kind: Kind::NoContainer,
            ..Self::new(format!("container \"{id}\" does not exist"))
        }
    }

    pub(crate) fn not_running() -> Self {
        Self {
            kind: Kind::NotRunning,
            ..Self::new("container not running")
        }
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Why, and the way out: one sentence each.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The kernel's words as engines look for them: in lower case.
pub(super) fn words(errno: Errno) -> String {
    errno_text(errno).to_ascii_lowercase()
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::new(error)
    }
}

impl From<warren_namespaces::Error> for Error {
    fn from(error: warren_namespaces::Error) -> Self {
        let hints = error.hints().to_vec();
        Self {
            hints,
            ..Self::new(error)
        }
    }
}

impl From<warren_spawn::Error> for Error {
    fn from(error: warren_spawn::Error) -> Self {
        let doing = error.doing();
        if let Some(hook) = doing
            .strip_prefix("run the ")
            .filter(|rest| rest.contains(" hook #"))
        {
            // In runc's words.
            let why = error.raw_os_error().map(Errno::from_raw_os_error);
            let why = why.map_or_else(String::new, |errno| format!(": {}", words(errno)));
            return Self::new(format!("error running {hook}{why}"));
        }
        let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
        let of_kernel = ["mount a proc", "mount a sysfs"];
        if is_link && of_kernel.iter().any(|begin| doing.starts_with(begin)) {
            let why = "must be mounted on ordinary directory, and it is a symlink";
            return Self::new(format!("{doing}: {why}"));
        }
        let said = match error.raw_os_error() {
            Some(errno) => Self::errno(error.doing(), Errno::from_raw_os_error(errno)),
            None => Self::new(&error),
        };
        let hints = error.hints().iter();
        hints.fold(said, |said, hint| said.hint(hint))
    }
}
