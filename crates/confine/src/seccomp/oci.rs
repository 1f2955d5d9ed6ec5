//! The JSON of container runtimes: `linux.seccomp` of the OCI runtime specification
//! 1.3, and the templates that engines keep on disk and render to it.

mod write;

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

use super::action::Action;
use super::architecture::Architecture;
use super::condition::{Comparison, Condition};
use super::filter::LoadFlags;
use super::profile::{Newer, Order, Profile, Rule};
use super::table::Call;
use crate::caps::{Capability, CapabilitySet};

/// `linux.seccomp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// `SCMP_ACT_*`, for calls without a rule.
    pub default_action: String,
    /// The errno of the default action; 1 (`EPERM`) if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_*`.
    #[serde(default, deserialize_with = "or_default")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*`; that of runtimes, `SPEC_ALLOW`, where there is no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// The socket that takes the listener's descriptor.
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// What is sent along with it.
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(default, deserialize_with = "or_default")]
    pub syscalls: Vec<Syscall>,
}

/// One of `linux.seccomp.syscalls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall {
    /// The calls.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// `SCMP_ACT_*`.
    pub action: String,
    /// The errno, or a tracer's number; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions that must all hold; but if two are on the same argument, one.
    #[serde(default, deserialize_with = "or_default")]
    pub args: Vec<Arg>,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// Which argument, from 0.
    pub index: u32,
    /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument is compared with.
    #[serde(default)]
    pub value_two: u64,
    /// `SCMP_CMP_*`.
    pub op: String,
}

/// A `null`, as Go writes an empty list, is the default.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// JSON that is no profile.
#[derive(Debug)]
pub enum ProfileError {
    /// It is no JSON, or not of this shape.
    Json(serde_json::Error),
    /// A word that the specification does not have.
    Unknown {
        /// Which kind of word.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// An errno of 4096 or more, or one of an action that has none.
    Errno {
        /// The action.
        action: String,
        /// The errno.
        errno: u32,
    },
    /// An argument beyond the sixth.
    Argument(u32),
    /// Contradictions and omissions, in words.
    Invalid(&'static str),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::Unknown { what, word } => write!(f, "unknown {what} {word:?}"),
            Self::Errno { action, errno } => {
                write!(f, "{action} cannot have the errno {errno}")
            }
            Self::Argument(index) => {
                write!(f, "argument {index} does not exist: calls have 0 to 5")
            }
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ProfileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

impl Seccomp {
    /// Parses `linux.seccomp`.
    ///
    /// # Errors
    /// [`ProfileError::Json`].
    pub fn parse(json: &str) -> Result<Self, ProfileError> {
        serde_json::from_str(json).map_err(ProfileError::Json)
    }

    /// The profile, with libseccomp's semantics: the calls of other architectures kill
    /// the thread, and names that no architecture has are ignored
    /// ([`unknown_names`](Self::unknown_names) lists them).
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn profile(&self, newer: Newer) -> Result<Profile, ProfileError> {
        let default = action(&self.default_action, self.default_errno_ret)?;
        if default == Action::Notify {
            return Err(ProfileError::Invalid(
                "the default action cannot be SCMP_ACT_NOTIFY: the process could not even \
                 hand its listener over",
            ));
        }
        let mut rules = Vec::with_capacity(self.syscalls.len());
        for syscall in &self.syscalls {
            syscall.add_to(&mut rules)?;
        }
        Ok(Profile {
            default,
            foreign: Action::KillThread,
            architectures: self.architectures()?,
            newer,
            order: Order::Libseccomp,
            rules,
        })
    }

    /// Its names that no architecture of this library has.
    #[must_use]
    pub fn unknown_names(&self) -> Vec<&str> {
        let names = self.syscalls.iter().flat_map(|one| &one.names);
        names
            .map(String::as_str)
            .filter(|name| Call::find(name).is_none())
            .collect()
    }

    fn architectures(&self) -> Result<Vec<Architecture>, ProfileError> {
        let mut known = Vec::new();
        for name in &self.architectures {
            match name.strip_prefix("SCMP_ARCH_") {
                Some("X86_64") => known.push(Architecture::X86_64),
                Some("X32") => known.push(Architecture::X32),
                Some("X86") => known.push(Architecture::I386),
                Some("AARCH64") => known.push(Architecture::Aarch64),
                Some("ARM") => known.push(Architecture::Arm),
                // No call of theirs can be made on the machines that this runs on.
                Some(other) if OTHERS.contains(&other) => {}
                _ => return Err(unknown("architecture", name)),
            }
        }
        Ok(known)
    }

    /// How the filter is loaded.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`].
    pub fn load_flags(&self) -> Result<LoadFlags, ProfileError> {
        let Some(names) = &self.flags else {
            return Ok(LoadFlags::SPEC_ALLOW);
        };
        let mut flags = LoadFlags::empty();
        for name in names {
            let known = FLAGS.iter().find(|(word, _)| word == name);
            flags |= known.ok_or_else(|| unknown("flag", name))?.1;
        }
        Ok(flags)
    }

    /// The words of `flags`.
    pub fn flag_words(flags: LoadFlags) -> impl Iterator<Item = &'static str> {
        let given = FLAGS.iter().filter(move |(_, flag)| flags.contains(*flag));
        given.map(|(word, _)| *word)
    }
}

const FLAGS: [(&str, LoadFlags); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", LoadFlags::TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", LoadFlags::LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", LoadFlags::SPEC_ALLOW),
    (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        LoadFlags::WAIT_KILLABLE_RECV,
    ),
];

/// The other architectures of the specification, without `SCMP_ARCH_`.
const OTHERS: [&str; 18] = [
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
];

impl Syscall {
    fn add_to(&self, rules: &mut Vec<Rule>) -> Result<(), ProfileError> {
        if self.names.iter().any(String::is_empty) {
            return Err(ProfileError::Invalid("a system call has an empty name"));
        }
        let action = action(&self.action, self.errno_ret)?;
        let conditions = self.args.iter().map(Arg::condition);
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        let rule = |conditions| Rule {
            names: self.names.clone(),
            action,
            conditions,
        };
        // Two conditions on one argument are alternatives, as runtimes have always
        // read them; then so are all others of the rule.
        if self.has_an_argument_twice() {
            rules.extend(conditions.into_iter().map(|one| rule(vec![one])));
        } else {
            rules.push(rule(conditions));
        }
        Ok(())
    }

    fn has_an_argument_twice(&self) -> bool {
        let mut indexes: Vec<_> = self.args.iter().map(|arg| arg.index).collect();
        indexes.sort_unstable();
        indexes.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Arg {
    fn condition(&self) -> Result<Condition, ProfileError> {
        let comparison = match self.op.as_str() {
            "SCMP_CMP_NE" => Comparison::NotEqual,
            "SCMP_CMP_LT" => Comparison::Less,
            "SCMP_CMP_LE" => Comparison::LessOrEqual,
            "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ" => Comparison::Equal,
            "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
            "SCMP_CMP_GT" => Comparison::Greater,
            other => return Err(unknown("comparison", other)),
        };
        let (mask, value) = match self.op.as_str() {
            // libseccomp masks both sides.
            "SCMP_CMP_MASKED_EQ" => (self.value, self.value_two & self.value),
            _ => (u64::MAX, self.value),
        };
        match u8::try_from(self.index) {
            Ok(argument @ 0..=5) => Ok(Condition {
                argument,
                mask,
                comparison,
                value,
            }),
            _ => Err(ProfileError::Argument(self.index)),
        }
    }
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, ProfileError> {
    const EPERM: u16 = 1;
    let number = |largest: u16| match errno.map(u16::try_from) {
        None => Ok(EPERM),
        Some(Ok(errno)) if errno <= largest => Ok(errno),
        _ => Err(()),
    };
    let plain = |action| match errno {
        None => Ok(action),
        Some(_) => Err(()),
    };
    let action = match name.strip_prefix("SCMP_ACT_") {
        Some("ERRNO") => number(Action::MAX_ERRNO).map(Action::Fail),
        Some("TRACE") => number(u16::MAX).map(Action::Trace),
        Some("ALLOW") => plain(Action::Allow),
        Some("LOG") => plain(Action::Log),
        Some("NOTIFY") => plain(Action::Notify),
        Some("TRAP") => plain(Action::Trap),
        Some("KILL" | "KILL_THREAD") => plain(Action::KillThread),
        Some("KILL_PROCESS") => plain(Action::Kill),
        _ => return Err(unknown("action", name)),
    };
    action.map_err(|()| ProfileError::Errno {
        action: name.to_owned(),
        errno: errno.unwrap_or(EPERM.into()),
    })
}

fn unknown(what: &'static str, word: &str) -> ProfileError {
    let word = word.to_owned();
    ProfileError::Unknown { what, word }
}

/// A profile as engines keep it on disk: Docker's `default.json`, podman's
/// `seccomp.json`. A plain `linux.seccomp` is one that renders to itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "or_default")]
    listener_path: String,
    #[serde(default, deserialize_with = "or_default")]
    listener_metadata: String,
    #[serde(default, deserialize_with = "or_default")]
    syscalls: Vec<TemplateSyscall>,
}

/// The architectures that a machine of `architecture` runs too.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    sub_architectures: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateSyscall {
    /// The oldest form has one name a rule.
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    args: Vec<Arg>,
    #[serde(default, deserialize_with = "or_default")]
    includes: When,
    #[serde(default, deserialize_with = "or_default")]
    excludes: When,
}

/// Where a rule counts (`includes`) or does not (`excludes`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct When {
    #[serde(default, deserialize_with = "or_default")]
    caps: Vec<String>,
    /// Go's names of architectures.
    #[serde(default, deserialize_with = "or_default")]
    arches: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    min_kernel: String,
}

/// What a template is rendered for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The bounding set of the container.
    pub capabilities: CapabilitySet,
    /// The machine's architecture.
    pub architecture: Architecture,
    /// The kernel's version: 6 and 17 for Linux 6.17.
    pub kernel: (u32, u32),
}

impl Template {
    /// Parses a profile.
    ///
    /// # Errors
    /// [`ProfileError::Json`].
    pub fn parse(json: &str) -> Result<Self, ProfileError> {
        serde_json::from_str(json).map_err(ProfileError::Json)
    }

    /// The profile for `target`.
    ///
    /// # Errors
    /// [`ProfileError::Invalid`] for one that contradicts itself.
    pub fn render(self, target: &Target) -> Result<Seccomp, ProfileError> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(ProfileError::Invalid(
                "the profile has both architectures and archMap",
            ));
        }
        let mut architectures = self.architectures;
        let mut arch_map = self.arch_map.into_iter();
        if let Some(entry) = arch_map.find(|one| one.architecture == scmp_name(target)) {
            architectures.push(entry.architecture);
            architectures.extend(entry.sub_architectures);
        }
        let mut syscalls = Vec::with_capacity(self.syscalls.len());
        for one in self.syscalls {
            if one.counts(target)? {
                syscalls.push(one.plain()?);
            }
        }
        Ok(Seccomp {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures,
            flags: self.flags,
            listener_path: self.listener_path,
            listener_metadata: self.listener_metadata,
            syscalls,
        })
    }
}

impl TemplateSyscall {
    fn counts(&self, target: &Target) -> Result<bool, ProfileError> {
        let (includes, excludes) = (&self.includes, &self.excludes);
        let has_cap = |name: &String| has_capability(target, name);
        let is_arch = |name: &String| name == go_name(target);
        Ok(!excludes.arches.iter().any(is_arch)
            && !excludes.caps.iter().any(has_cap)
            && !excludes.has_kernel(target)?.unwrap_or(false)
            && (includes.arches.is_empty() || includes.arches.iter().any(is_arch))
            && includes.caps.iter().all(has_cap)
            && includes.has_kernel(target)?.unwrap_or(true))
    }

    fn plain(self) -> Result<Syscall, ProfileError> {
        let names = match (self.name.is_empty(), self.names.is_empty()) {
            (false, false) => {
                return Err(ProfileError::Invalid("a rule has both name and names"));
            }
            (false, true) => vec![self.name],
            (true, _) => self.names,
        };
        Ok(Syscall {
            names,
            action: self.action,
            errno_ret: self.errno_ret,
            args: self.args,
        })
    }
}

impl When {
    /// Whether the kernel is as new as is asked; `None` where nothing is.
    fn has_kernel(&self, target: &Target) -> Result<Option<bool>, ProfileError> {
        if self.min_kernel.is_empty() {
            return Ok(None);
        }
        let version = self.min_kernel.split_once('.');
        let version = version.and_then(|(major, minor)| {
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        match version {
            Some(version) => Ok(Some(target.kernel >= version)),
            None => Err(unknown("kernel version", &self.min_kernel)),
        }
    }
}

/// A capability that this library does not know, nobody has.
fn has_capability(target: &Target, name: &str) -> bool {
    name.parse::<Capability>()
        .is_ok_and(|capability| target.capabilities.contains(capability))
}

fn scmp_name(target: &Target) -> &'static str {
    match target.architecture {
        Architecture::X86_64 => "SCMP_ARCH_X86_64",
        Architecture::X32 => "SCMP_ARCH_X32",
        Architecture::I386 => "SCMP_ARCH_X86",
        Architecture::Aarch64 => "SCMP_ARCH_AARCH64",
        Architecture::Arm => "SCMP_ARCH_ARM",
    }
}

fn go_name(target: &Target) -> &'static str {
    match target.architecture {
        Architecture::X86_64 => "amd64",
        Architecture::X32 => "x32",
        Architecture::I386 => "x86",
        Architecture::Aarch64 => "arm64",
        Architecture::Arm => "arm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_is_a_profile_or_an_error() {
        const PIECES: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "null",
            "0",
            "-1",
            "1e9",
            "18446744073709551616",
            "\"defaultAction\"",
            "\"SCMP_ACT_ERRNO\"",
            "\"SCMP_ACT_ALLOW\"",
            "\"syscalls\"",
            "\"names\"",
            "\"args\"",
            "\"index\"",
            "\"value\"",
            "\"op\"",
            "\"includes\"",
            "\"minKernel\"",
            "\"4.x\"",
            "\"\"",
        ];
        let whole = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"archMap":[
            {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
            "syscalls":[{"names":["read","socket"],"action":"SCMP_ACT_ALLOW","args":[
            {"index":0,"value":16,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}],
            "includes":{"caps":["CAP_KILL"],"minKernel":"4.8"}}]}"#;
        let mut state: u64 = 0x5eed;
        let mut next = |bound: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let target = Target {
            capabilities: CapabilitySet::ALL,
            architecture: Architecture::X86_64,
            kernel: (6, 17),
        };
        let mut compiled = 0;
        for _ in 0..20_000 {
            let mut text = whole.to_owned();
            for _ in 0..1 + next(2) {
                let (from, length) = (next(text.len()), next(4));
                let to = (from + length).min(text.len());
                text.replace_range(from..to, PIECES[next(PIECES.len())]);
            }
            let profile = Template::parse(&text)
                .and_then(|template| template.render(&target))
                .and_then(|seccomp| seccomp.profile(Newer::AboveProfile));
            compiled +=
                usize::from(profile.is_ok_and(|profile| profile.compile().is_ok()));
        }
        assert!((100..19_900).contains(&compiled), "{compiled} profiles");
    }
}
