//! The other direction: rules of ours as `linux.seccomp`.

use std::collections::{BTreeMap, BTreeSet};

use warren_sys::Errno;

use super::{Arg, Seccomp, Syscall};
use crate::caps::CapabilitySet;
use crate::seccomp::action::Action;
use crate::seccomp::architecture::Architecture;
use crate::seccomp::condition::{Comparison, Condition};
use crate::seccomp::profile::{Order, Profile, Rule};
use crate::seccomp::rules::{Rules, Verdict};
use crate::seccomp::table::Call;

/// What the sandbox answers to calls that nobody thought about.
const DEFAULT: Action = Action::fail(Errno::NOSYS);

impl Seccomp {
    /// The rules of [`Filter::sandbox`](crate::Filter::sandbox) by name. It is a list of
    /// what is allowed, so that a runtime that does not know the name of a call, or a
    /// call without a name, refuses it as the filter does.
    ///
    /// Calls of another architecture kill the thread here, which the filter answers with
    /// `ENOSYS`.
    #[must_use]
    pub fn sandbox(capabilities: CapabilitySet) -> Self {
        let rules = Rules::sandbox(capabilities);
        let mut plain: BTreeMap<u32, (Action, Vec<String>)> = BTreeMap::new();
        let mut by_argument = Vec::new();
        for call in Call::all() {
            let Some(number) = call.number(Architecture::NATIVE) else {
                continue;
            };
            let verdict = rules.verdict(number);
            let action = verdict.otherwise;
            if !verdict.cases.is_empty() {
                by_argument.extend(cases(call.name(), &verdict));
            } else if action != DEFAULT {
                let names = plain.entry(action.code()).or_insert((action, Vec::new()));
                names.1.push(call.name().to_owned());
            }
        }
        let plain = plain.into_values();
        let plain = plain.map(|(action, names)| syscall(names, action, Vec::new()));
        Self {
            syscalls: plain.chain(by_argument).collect(),
            ..Self::of(DEFAULT, &[])
        }
    }

    /// A profile in this form.
    ///
    /// What it says about calls newer than itself is left to the runtime.
    ///
    /// # Errors
    /// In words, what cannot be said in it.
    pub fn from_profile(profile: &Profile) -> Result<Self, &'static str> {
        if profile.order == Order::First && has_a_name_twice(&profile.rules) {
            return Err("the first of several rules on a call counts");
        }
        let syscalls = profile.rules.iter().map(|rule| {
            let mut indexes = BTreeSet::new();
            let once = rule
                .conditions
                .iter()
                .all(|one| indexes.insert(one.argument));
            let args = rule.conditions.iter().map(arg).collect::<Option<Vec<_>>>();
            match args {
                Some(args) if once => Ok(syscall(rule.names.clone(), rule.action, args)),
                Some(_) => Err("two conditions on one argument must both hold"),
                None => {
                    Err("bits of an argument are compared otherwise than by equality")
                }
            }
        });
        Ok(Self {
            syscalls: syscalls.collect::<Result<_, _>>()?,
            ..Self::of(profile.default, &profile.architectures)
        })
    }

    fn of(default: Action, architectures: &[Architecture]) -> Self {
        let (default_action, default_errno_ret) = name(default);
        let architectures = architectures.iter().map(|one| scmp_name(*one).to_owned());
        Self {
            default_action,
            default_errno_ret,
            architectures: architectures.collect(),
            flags: Some(Vec::new()),
            listener_path: String::new(),
            listener_metadata: String::new(),
            syscalls: Vec::new(),
        }
    }
}

fn has_a_name_twice(rules: &[Rule]) -> bool {
    let mut names = BTreeSet::new();
    let mut all = rules.iter().flat_map(|rule| &rule.names);
    !all.all(|name| names.insert(name))
}

fn syscall(names: Vec<String>, action: Action, args: Vec<Arg>) -> Syscall {
    let (action, errno_ret) = name(action);
    Syscall {
        names,
        action,
        errno_ret,
        args,
    }
}

fn name(action: Action) -> (String, Option<u32>) {
    let (word, number) = match action {
        Action::Allow => ("ALLOW", None),
        Action::Fail(errno) => ("ERRNO", Some(errno)),
        Action::Log => ("LOG", None),
        Action::Notify => ("NOTIFY", None),
        Action::Trace(number) => ("TRACE", Some(number)),
        Action::Trap => ("TRAP", None),
        Action::KillThread => ("KILL_THREAD", None),
        Action::Kill => ("KILL_PROCESS", None),
    };
    (format!("SCMP_ACT_{word}"), number.map(u32::from))
}

const fn scmp_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "SCMP_ARCH_X86_64",
        Architecture::X32 => "SCMP_ARCH_X32",
        Architecture::I386 => "SCMP_ARCH_X86",
        Architecture::Aarch64 => "SCMP_ARCH_AARCH64",
        Architecture::Arm => "SCMP_ARCH_ARM",
    }
}

fn arg(condition: &Condition) -> Option<Arg> {
    let (op, value, value_two) = match (condition.comparison, condition.mask) {
        (Comparison::Equal, u64::MAX) => ("EQ", condition.value, 0),
        (Comparison::Equal, mask) => ("MASKED_EQ", mask, condition.value),
        (Comparison::NotEqual, u64::MAX) => ("NE", condition.value, 0),
        (Comparison::Less, u64::MAX) => ("LT", condition.value, 0),
        (Comparison::LessOrEqual, u64::MAX) => ("LE", condition.value, 0),
        (Comparison::Greater, u64::MAX) => ("GT", condition.value, 0),
        (Comparison::GreaterOrEqual, u64::MAX) => ("GE", condition.value, 0),
        _ => return None,
    };
    Some(Arg {
        index: condition.argument.into(),
        value,
        value_two,
        op: format!("SCMP_CMP_{op}"),
    })
}

// A verdict by one argument. The form has no "otherwise" beside conditions: a rule
// without any would count instead of them. So the values of the argument are cut into
// parts, by as many of its bits as it takes, and each part gets its action.

/// A rule for each action but the default one.
fn cases(name: &str, verdict: &Verdict) -> Vec<Syscall> {
    let mut parts = Vec::new();
    let index = argument(verdict);
    cut(verdict, Part::default(), &mut parts);
    let mut by_action: BTreeMap<u32, (Action, Vec<Arg>)> = BTreeMap::new();
    for (part, action) in parts {
        if action == DEFAULT {
            continue;
        }
        let args = by_action
            .entry(action.code())
            .or_insert((action, Vec::new()));
        args.1.push(Arg {
            index: index.into(),
            value: part.known,
            value_two: part.bits,
            op: "SCMP_CMP_MASKED_EQ".to_owned(),
        });
    }
    let rule = |(action, args)| syscall(vec![name.to_owned()], action, args);
    by_action.into_values().map(rule).collect()
}

/// The argument that decides; the sandbox has no verdict by two.
fn argument(verdict: &Verdict) -> u8 {
    let mut conditions = verdict.cases.iter().flat_map(|(conditions, _)| conditions);
    conditions.next().map_or(0, |condition| condition.argument)
}

/// The values with these bits.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Which bits are told.
    known: u64,
    /// What they are.
    bits: u64,
}

fn cut(verdict: &Verdict, part: Part, parts: &mut Vec<(Part, Action)>) {
    let undecided = verdict
        .cases
        .iter()
        .map(|(conditions, action)| (part.holds(conditions), *action))
        .find(|(holds, _)| *holds != Some(false));
    let bit = match undecided {
        None => return parts.push((part, verdict.otherwise)),
        Some((Some(_), action)) => return parts.push((part, action)),
        Some((None, _)) => part.next_bit(verdict),
    };
    for bits in [part.bits | bit, part.bits] {
        let known = part.known | bit;
        cut(verdict, Part { known, bits }, parts);
    }
}

impl Part {
    /// Whether all conditions hold for all values, or one for none.
    fn holds(self, conditions: &[Condition]) -> Option<bool> {
        let answers = || conditions.iter().map(|condition| self.holds_one(condition));
        if answers().any(|answer| answer == Some(false)) {
            return Some(false);
        }
        answers().all(|answer| answer.is_some()).then_some(true)
    }

    fn holds_one(self, condition: &Condition) -> Option<bool> {
        let differs = (self.bits ^ condition.value) & condition.mask & self.known != 0;
        let equal = match (differs, condition.mask & !self.known) {
            (true, _) => Some(false),
            (false, 0) => Some(true),
            _ => None,
        };
        match condition.comparison {
            Comparison::NotEqual => equal.map(|equal| !equal),
            _ => equal,
        }
    }

    /// The highest bit that a case which is not decided asks for.
    fn next_bit(self, verdict: &Verdict) -> u64 {
        let cases = verdict.cases.iter();
        let open = cases.filter(|(conditions, _)| self.holds(conditions).is_none());
        let masks =
            open.flat_map(|(conditions, _)| conditions.iter().map(|one| one.mask));
        let asked = masks.fold(0, |all, mask| all | mask) & !self.known;
        1 << asked.checked_ilog2().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::Capability;
    use crate::seccomp::rules_tests::{answer, native};
    use crate::seccomp::{Filter, Newer};

    /// Numbers that are in conditions, with neighbours and garbage above.
    fn values() -> Vec<u64> {
        let bits = (0..64).map(|bit| 1 << bit);
        let special = [
            0,
            8,
            0x5412,
            0x5413,
            0x541c,
            38,
            39,
            40,
            41,
            0x2_0008,
            0x7e02_0000,
            0xffff_ffff,
            u64::MAX,
        ];
        let all: Vec<u64> = bits.chain(special).collect();
        let near = all
            .iter()
            .flat_map(|one| [one.wrapping_sub(1), *one, one | 0x11]);
        near.flat_map(|one| [one, one | 1 << 32, one & 0xffff_ffff])
            .collect()
    }

    #[test]
    fn the_sandbox_answers_the_same_by_name_as_by_number() {
        let admin = CapabilitySet::EMPTY.with(Capability::SYS_ADMIN);
        for capabilities in [CapabilitySet::EMPTY, admin, CapabilitySet::ALL] {
            let ours = Filter::sandbox(capabilities);
            let json = Seccomp::sandbox(capabilities);
            let profile = json.profile(Newer::AboveProfile).expect("a good profile");
            let theirs = profile.compile().expect("a program");
            for number in 0..=600 {
                let asked = [16, 41, 56, 135, 272].contains(&number);
                for value in if asked { values() } else { vec![0, 1] } {
                    let call = native(number, &[value, value]);
                    assert_eq!(answer(&theirs, &call), answer(&ours, &call), "{call:?}");
                }
            }
        }
    }

    #[test]
    fn calls_of_x32_are_of_another_architecture() {
        let json = Seccomp::sandbox(CapabilitySet::ALL);
        let profile = json.profile(Newer::AboveProfile).expect("a good profile");
        let filter = profile.compile().expect("a program");
        for number in [0x4000_0000, 0x4000_0202] {
            assert_eq!(
                answer(&filter, &native(number, &[])),
                Action::KillThread.code()
            );
        }
    }

    #[test]
    fn the_sandbox_reads_back_as_what_was_written() {
        let json = Seccomp::sandbox(CapabilitySet::EMPTY);
        assert!(json.unknown_names().is_empty());
        let text = serde_json::to_string(&json).expect("JSON");
        assert_eq!(Seccomp::parse(&text).expect("a profile"), json);
    }

    #[test]
    fn a_profile_goes_there_and_back() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 8, "op": "SCMP_CMP_GE"}]}]}"#;
        let profile = Seccomp::parse(text)
            .and_then(|json| json.profile(Newer::AboveProfile))
            .expect("a good profile");
        let again = Seccomp::from_profile(&profile).expect("it can be said");
        assert_eq!(
            again.profile(Newer::AboveProfile).expect("a profile"),
            profile
        );
    }

    #[test]
    fn what_the_form_cannot_say_is_refused_in_words() {
        let policy = |text: &str| {
            let profile = crate::seccomp::policy::parse(text).expect("a policy");
            Seccomp::from_profile(&profile)
        };
        assert!(policy("default allow\ndeny EPERM mkdir\n").is_ok());
        let twice = "default allow\nallow mkdir\ndeny EPERM mkdir\n";
        assert_eq!(
            policy(twice),
            Err("the first of several rules on a call counts")
        );
    }
}
