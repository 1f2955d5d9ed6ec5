//! How a command fails: one line that says what, hints that say why and what now.

use std::fmt::Display;
use std::io::{self, Write};

/// The exit code of Warren's own failures, as against the contained program's.
pub const OWN_FAILURE: u8 = 125;

/// An error on its way to the user: printed once, by `main`.
#[derive(Debug)]
pub struct Failure {
    program: &'static str,
    message: String,
    hints: Vec<String>,
    code: u8,
    step: Option<String>,
    errno: Option<i32>,
}

impl Failure {
    /// A failure of Warren's own.
    pub fn new(message: impl Display) -> Self {
        Self {
            program: "warren",
            message: message.to_string(),
            hints: Vec::new(),
            code: OWN_FAILURE,
            step: None,
            errno: None,
        }
    }

    /// A command line that says nothing sensible.
    pub fn usage(message: impl Display) -> Self {
        Self::new(message)
    }

    /// With a line that tells why, or the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with several.
    pub fn with_hints<T: Into<String>>(self, hints: impl IntoIterator<Item = T>) -> Self {
        hints.into_iter().fold(self, Self::hint)
    }

    /// As a personality says it: under its name, and with 1 for a failure of its own.
    pub fn of_personality(mut self, name: &'static str) -> Self {
        self.program = name;
        if self.code == OWN_FAILURE {
            self.code = 1;
        }
        self
    }

    /// With an exit code of its own.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// With the step of a plan that failed, and what the kernel said to it.
    pub fn step(mut self, step: impl Into<String>, errno: Option<i32>) -> Self {
        self.step = Some(step.into());
        self.errno = errno;
        self
    }

    /// The exit code that it has.
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// The lines that tell why, or the way out.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Which step of a plan failed.
    pub fn failed_step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// What the kernel said to it.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Says it on standard error and gives the exit code.
    pub fn report(&self) -> u8 {
        let mut text = String::new();
        if !self.message.is_empty() {
            text = format!("{}: {}\n", self.program, self.message);
        }
        for hint in &self.hints {
            // A usage text stands by itself; a one-line reason is called a hint.
            let label = if hint.trim_end().contains('\n') {
                ""
            } else {
                "hint: "
            };
            text.push_str(&format!("{label}{}\n", hint.trim_end()));
        }
        // Standard error may be closed or full; there is nowhere left to say so.
        let _ = io::stderr().write_all(text.as_bytes());
        self.code
    }
}

impl From<warren_namespaces::Error> for Failure {
    fn from(error: warren_namespaces::Error) -> Self {
        let failure = Self::new(&error);
        failure.with_hints(error.hints())
    }
}

/// What it says, without its program and hints.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<clap::Error> for Failure {
    /// clap's own text already has usage and suggestions; `--help` goes to standard
    /// output with code 0.
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        if !error.use_stderr() {
            return match print(&text) {
                Ok(()) => Self::new("").code(0),
                Err(failure) => failure,
            };
        }
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Self::usage(text.trim_end())
    }
}

/// Writes to standard output. A reader that has gone (`warren ls | head`) is no
/// failure; a full disk is.
pub fn print(text: &str) -> Result<(), Failure> {
    write(text).map_err(|error| {
        let text = warren_namespaces::io_error_text(&error);
        Failure::new(format!("write standard output: {text}"))
    })
}

/// The same for who says it in words of its own.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes to standard error, for what is no failure.
pub fn print_error(text: &str) -> Result<(), Failure> {
    // Nobody who closed it wants to hear of it.
    let _ = io::stderr().write_all(text.as_bytes());
    Ok(())
}
