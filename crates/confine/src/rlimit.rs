//! Resource limits: getrlimit(2).

use std::fmt;
use std::str::FromStr;

use rustix::process;
use serde::{Deserialize, Serialize};
use warren_sys::Errno;

/// What a limit is on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Address space, in bytes.
    As,
    /// Core file, in bytes.
    Core,
    /// Processor time, in seconds.
    Cpu,
    /// Data segment, in bytes.
    Data,
    /// Size of a file that is written, in bytes.
    Fsize,
    /// File locks; without effect since Linux 2.4.
    Locks,
    /// Locked memory, in bytes.
    Memlock,
    /// POSIX message queues, in bytes.
    Msgqueue,
    /// Ceiling of the nice value: 20 minus it.
    Nice,
    /// One more than the highest file descriptor.
    Nofile,
    /// Processes of the real user id.
    Nproc,
    /// Resident set; without effect since Linux 2.4.30.
    Rss,
    /// Ceiling of the real-time priority.
    Rtprio,
    /// Real-time processor time without a blocking call, in microseconds.
    Rttime,
    /// Queued signals of the real user id.
    Sigpending,
    /// Stack of the first thread, in bytes.
    Stack,
}

impl Resource {
    /// Every resource, by name.
    pub const ALL: [Self; 16] = [
        Self::As,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::Fsize,
        Self::Locks,
        Self::Memlock,
        Self::Msgqueue,
        Self::Nice,
        Self::Nofile,
        Self::Nproc,
        Self::Rss,
        Self::Rtprio,
        Self::Rttime,
        Self::Sigpending,
        Self::Stack,
    ];

    /// Its name without `RLIMIT_`, in lower case, as prlimit(1) has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::As => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::Fsize => "fsize",
            Self::Locks => "locks",
            Self::Memlock => "memlock",
            Self::Msgqueue => "msgqueue",
            Self::Nice => "nice",
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Rss => "rss",
            Self::Rtprio => "rtprio",
            Self::Rttime => "rttime",
            Self::Sigpending => "sigpending",
            Self::Stack => "stack",
        }
    }

    const fn is_in_bytes(self) -> bool {
        matches!(
            self,
            Self::As
                | Self::Core
                | Self::Data
                | Self::Fsize
                | Self::Memlock
                | Self::Msgqueue
                | Self::Rss
                | Self::Stack
        )
    }

    const fn to_rustix(self) -> process::Resource {
        match self {
            Self::As => process::Resource::As,
            Self::Core => process::Resource::Core,
            Self::Cpu => process::Resource::Cpu,
            Self::Data => process::Resource::Data,
            Self::Fsize => process::Resource::Fsize,
            Self::Locks => process::Resource::Locks,
            Self::Memlock => process::Resource::Memlock,
            Self::Msgqueue => process::Resource::Msgqueue,
            Self::Nice => process::Resource::Nice,
            Self::Nofile => process::Resource::Nofile,
            Self::Nproc => process::Resource::Nproc,
            Self::Rss => process::Resource::Rss,
            Self::Rtprio => process::Resource::Rtprio,
            Self::Rttime => process::Resource::Rttime,
            Self::Sigpending => process::Resource::Sigpending,
            Self::Stack => process::Resource::Stack,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Resource {
    type Err = RlimitError;

    /// Takes `nofile` and `RLIMIT_NOFILE`, in any case.
    fn from_str(text: &str) -> Result<Self, RlimitError> {
        let lower = text.to_ascii_lowercase();
        let wanted = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        Self::ALL
            .into_iter()
            .find(|resource| resource.name() == wanted)
            .ok_or_else(|| RlimitError::Resource(text.to_owned()))
    }
}

/// One limit. `None` is no limit.
///
/// ```
/// use warren_confine::{Resource, Rlimit};
///
/// let limit: Rlimit = "nofile=1024:unlimited".parse()?;
/// assert_eq!(limit.resource, Resource::Nofile);
/// assert_eq!((limit.soft, limit.hard), (Some(1024), None));
///
/// let stack: Rlimit = "stack=64M".parse()?;
/// assert_eq!(stack.to_string(), "stack=67108864");
/// # Ok::<(), warren_confine::RlimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit that counts, in the unit of the resource.
    pub soft: Option<u64>,
    /// How far the process itself may raise `soft`, in the same unit.
    pub hard: Option<u64>,
}

impl Rlimit {
    /// Sets it for the calling process: setrlimit(2). Allocates nothing.
    ///
    /// # Errors
    /// `EPERM` for a hard limit above the present one without `CAP_SYS_RESOURCE`, and
    /// for a `nofile` above /proc/sys/fs/nr_open; `EINVAL` for soft above hard.
    pub fn apply(self) -> Result<(), Errno> {
        let limit = process::Rlimit {
            current: self.soft,
            maximum: self.hard,
        };
        process::setrlimit(self.resource.to_rustix(), limit)
    }
}

impl FromStr for Rlimit {
    type Err = RlimitError;

    /// `RESOURCE=SOFT[:HARD]`; each a decimal number, with `K`, `M`, `G` or `T` for a
    /// resource in bytes, or `unlimited`. One value sets both.
    fn from_str(text: &str) -> Result<Self, RlimitError> {
        let (resource, values) = text
            .split_once('=')
            .ok_or_else(|| RlimitError::Syntax(text.to_owned()))?;
        let resource: Resource = resource.parse()?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let value = |value: &str| {
            parse_value(value, resource)
                .ok_or_else(|| RlimitError::Syntax(text.to_owned()))
        };
        let (soft, hard) = (value(soft)?, value(hard)?);
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return Err(RlimitError::SoftAboveHard(text.to_owned()));
        }
        Ok(Self {
            resource,
            soft,
            hard,
        })
    }
}

/// A value, where `Some(None)` is no limit.
fn parse_value(text: &str, resource: Resource) -> Option<Option<u64>> {
    if text == "unlimited" {
        return Some(None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        _ if !resource.is_in_bytes() => return None,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1_u64 << 40,
        _ => return None,
    };
    // u64::from_str takes a leading `+`, which no tool writes.
    if digits.starts_with('+') {
        return None;
    }
    let value = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    // The kernel's RLIM_INFINITY: it has a word of its own.
    (value != u64::MAX).then_some(Some(value))
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.resource)?;
        write_value(f, self.soft)?;
        if self.hard != self.soft {
            f.write_str(":")?;
            write_value(f, self.hard)?;
        }
        Ok(())
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, value: Option<u64>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{value}"),
        None => f.write_str("unlimited"),
    }
}

/// Why a text is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RlimitError {
    /// Not `RESOURCE=SOFT[:HARD]`.
    Syntax(String),
    /// No such resource.
    Resource(String),
    /// The soft limit is above the hard one.
    SoftAboveHard(String),
}

impl fmt::Display for RlimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(
                f,
                "malformed limit '{text}' (it is RESOURCE=SOFT[:HARD], each a number \
                 or 'unlimited', K M G T after a size)"
            ),
            Self::Resource(name) => {
                write!(f, "unknown resource '{name}' (there are")?;
                Resource::ALL
                    .iter()
                    .try_for_each(|resource| write!(f, " {resource}"))?;
                f.write_str(")")
            }
            Self::SoftAboveHard(text) => {
                write!(f, "limit '{text}': the soft limit is above the hard one")
            }
        }
    }
}

impl std::error::Error for RlimitError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Rlimit {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_value_sets_both_limits() {
        let limit = Rlimit {
            resource: Resource::Nofile,
            soft: Some(1024),
            hard: Some(1024),
        };
        assert_eq!(parsed("nofile=1024"), limit);
        assert_eq!(parsed("RLIMIT_NOFILE=1024:1024"), limit);
        assert_eq!(limit.to_string(), "nofile=1024");
    }

    #[test]
    fn limits_print_as_they_parse() {
        for text in [
            "nofile=1024:2048",
            "core=0",
            "core=0:unlimited",
            "as=unlimited",
            "nice=40",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("as=2G:1T").soft, Some(2 << 30));
    }

    #[test]
    fn malformed_limits_are_refused() {
        for text in [
            "",
            "nofile",
            "nofile=",
            "nofile=1:",
            "nofile=:1",
            "nofile=1:2:3",
            "nofile=-1",
            "nofile=+1",
            "nofile=1K",
            "as=1X",
            "as=KM",
            "as=99999999T",
            "as=18446744073709551615",
            "as=18446744073709551616",
        ] {
            let error = text.parse::<Rlimit>().expect_err(text);
            assert_eq!(error, RlimitError::Syntax(text.to_owned()));
        }
        assert!(matches!(
            "files=1".parse::<Rlimit>(),
            Err(RlimitError::Resource(name)) if name == "files"
        ));
        for text in ["nofile=2:1", "nofile=unlimited:1"] {
            let error = text.parse::<Rlimit>().expect_err(text);
            assert_eq!(error, RlimitError::SoftAboveHard(text.to_owned()));
        }
    }

    #[test]
    fn an_unknown_resource_lists_the_known_ones() {
        let text = RlimitError::Resource("files".to_owned()).to_string();
        assert!(
            text.contains("'files'") && text.contains(" nofile "),
            "{text}"
        );
    }

    #[test]
    fn json_keeps_a_limit_as_it_is() {
        let limit = parsed("nofile=1024:unlimited");
        let text = serde_json::to_string(&limit).expect("a struct of numbers");
        assert_eq!(text, r#"{"resource":"nofile","soft":1024,"hard":null}"#);
        let back: Rlimit = serde_json::from_str(&text).expect("what was written");
        assert_eq!(back, limit);
    }

    #[test]
    fn applying_the_limit_that_is_there_changes_nothing() {
        let there = process::getrlimit(process::Resource::Core);
        let limit = Rlimit {
            resource: Resource::Core,
            soft: there.current,
            hard: there.maximum,
        };
        assert_eq!(limit.apply(), Ok(()));
        assert_eq!(process::getrlimit(process::Resource::Core), there);
    }
}
