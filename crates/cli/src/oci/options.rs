//! Options of the runtime's commands: as flags, values and operands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use warren_oci::runtime::Handover;

use super::Stop;
use crate::getopt::{Argument, Getopt, Known, Order};

/// An option without a value; `--NAME=false` is as if it were not there.
pub const fn flag(long: &'static str) -> Known<&'static str> {
    known(None, long, Argument::Optional)
}

/// The same, with a letter too.
pub const fn both(short: u8, long: &'static str) -> Known<&'static str> {
    known(Some(short), long, Argument::None)
}

/// An option with a value.
pub const fn value(long: &'static str) -> Known<&'static str> {
    known(None, long, Argument::Required)
}

/// The same, with a letter too.
pub const fn value_or(short: u8, long: &'static str) -> Known<&'static str> {
    known(Some(short), long, Argument::Required)
}

const fn known(
    short: Option<u8>,
    long: &'static str,
    argument: Argument,
) -> Known<&'static str> {
    Known {
        key: long,
        short,
        long: Some(long),
        argument,
    }
}

/// A command line that was taken apart.
pub struct Options {
    met: Vec<(&'static str, Option<OsString>)>,
    pub operands: Vec<OsString>,
}

/// Takes a command line apart, whose first word is the command.
pub fn parse(
    known: &[Known<&'static str>],
    order: Order,
    arguments: &[OsString],
) -> Result<Options, String> {
    let mut getopt = Getopt::new(known, order, arguments);
    let met = getopt.by_ref().collect::<Result<_, _>>()?;
    Ok(Options {
        met,
        operands: getopt.operands(),
    })
}

impl Options {
    /// Whether a flag is there.
    pub fn is(&self, name: &str) -> bool {
        let found = self.met.iter().rev().find(|(key, _)| *key == name);
        found.is_some_and(|(_, value)| value.as_ref().is_none_or(|word| word != "false"))
    }

    /// The value of an option; the last one counts.
    pub fn value(&self, name: &str) -> Option<&OsString> {
        let found = self.met.iter().rev().find(|(key, _)| *key == name);
        found.and_then(|(_, value)| value.as_ref())
    }

    /// All its values.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &OsString> {
        let all = self.met.iter().filter(move |(key, _)| *key == name);
        all.filter_map(|(_, value)| value.as_ref())
    }

    /// The value as text.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Stop> {
        self.value(name).map(|word| text(word, name)).transpose()
    }

    /// The value as a number.
    pub fn number(&self, name: &str) -> Result<Option<u32>, Stop> {
        let number = |word: &str| {
            let wrong =
                || Stop::usage(format!("--{name}: expected a number, found '{word}'"));
            word.parse().map_err(|_| wrong())
        };
        self.text(name)?.map(number).transpose()
    }

    /// The value as a path, absolute.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, Stop> {
        self.value(name)
            .map(|word| absolute(Path::new(word)))
            .transpose()
    }

    /// What `create`, `run` and `exec` alike pass on to a process, and take from it.
    pub fn handover(&self) -> Result<Handover, Stop> {
        Ok(Handover {
            pid_file: self.path("pid-file")?,
            console_socket: self.path("console-socket")?,
            pidfd_socket: self.path("pidfd-socket")?,
            preserve_fds: self.number("preserve-fds")?.unwrap_or(0),
            ..Handover::default()
        })
    }

    /// The one operand that names the container.
    pub fn id(&self) -> Result<&str, Stop> {
        match self.operands.as_slice() {
            [id] => text(id, "the container's ID"),
            [] => Err(Stop::usage("the ID of a container is missing")),
            [_, more, ..] => {
                let more = more.display();
                Err(Stop::usage(format!("unexpected argument '{more}'")))
            }
        }
    }
}

pub fn text<'a>(word: &'a OsString, what: &str) -> Result<&'a str, Stop> {
    word.to_str()
        .ok_or_else(|| Stop::usage(format!("{what}: '{}' is no text", word.display())))
}

pub fn absolute(path: &Path) -> Result<PathBuf, Stop> {
    std::path::absolute(path).map_err(|error| {
        let words = warren_namespaces::io_error_text(&error);
        Stop::usage(format!("find the working folder: {words}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known<&str>] = &[
        value_or(b'b', "bundle"),
        both(b'd', "detach"),
        flag("no-pivot"),
        value_or(b'e', "env"),
    ];

    fn read(line: &str) -> Options {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        parse(KNOWN, Order::Any, &words).expect("it is a line")
    }

    #[test]
    fn options_stand_before_or_after_the_name() {
        for line in [
            "create --bundle /b -d web",
            "create web -d --bundle=/b",
            "create -b /b web --detach",
        ] {
            let options = read(line);
            assert!(options.is("detach"), "{line}");
            assert_eq!(options.value("bundle"), Some(&"/b".into()), "{line}");
            assert_eq!(options.id().ok(), Some("web"), "{line}");
        }
    }

    #[test]
    fn a_flag_can_be_denied() {
        assert!(read("run --no-pivot x").is("no-pivot"));
        assert!(read("run --no-pivot=true x").is("no-pivot"));
        assert!(!read("run --no-pivot=false x").is("no-pivot"));
        assert!(!read("run x").is("no-pivot"));
    }

    #[test]
    fn a_name_is_one() {
        assert!(read("run").id().is_err());
        assert!(read("run a b").id().is_err());
        let env: Vec<_> = read("run -e A=1 -e B=2 x").values("env").cloned().collect();
        assert_eq!(env, ["A=1", "B=2"]);
    }
}
