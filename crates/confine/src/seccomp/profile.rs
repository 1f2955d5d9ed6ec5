//! Rules by name, for several architectures.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::architecture::Architecture;
use super::assembler::assemble;
use super::condition::{Comparison, Condition};
use super::filter::{Filter, TooLong};
use super::rules::{Rules, Verdict};
use super::table::{self, Call};

/// What is wanted of a filter. It is data: what reads the JSON of container runtimes
/// ([`oci`](crate::seccomp::oci)) and what reads a policy text
/// ([`policy`](crate::seccomp::policy)) make it, [`Profile::compile`] compiles it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What happens to a call that no rule is about.
    pub default: Action,
    /// What happens to the calls of other architectures.
    pub foreign: Action,
    /// The architectures of the rules; that of this program always is one.
    pub architectures: Vec<Architecture>,
    /// What happens to numbers that did not exist when the profile was written.
    pub newer: Newer,
    /// Which of several rules on a call counts.
    pub order: Order,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule on some calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Their names. One that an architecture lacks has no rule there.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: Action,
    /// If all of these hold.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// What happens to numbers that are newer than the profile. A program takes `ENOSYS`
/// as "this kernel is older" and tries something else; `EPERM` it takes as an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newer {
    /// The same as to other calls without a rule.
    Default,
    /// `ENOSYS` above the largest number that a rule of the profile names, unless the
    /// default lets calls pass or answers it already; as runc does it.
    AboveProfile,
    /// `ENOSYS` above the largest number that this library knows.
    AboveKnown,
}

/// Which of several rules on one call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The first that holds.
    First,
    /// As libseccomp answers: rules with the default's action are as if not there; the
    /// first without conditions counts, wherever it stands; then those with conditions,
    /// and of two that hold the one whose conditions, sorted by argument, differ by a
    /// later argument or end first.
    Libseccomp,
}

/// A profile cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// Two rules with the same conditions and different actions; libseccomp refuses
    /// them too.
    Conflict {
        /// The call.
        name: String,
    },
    /// A condition on an argument that calls do not have.
    NoSuchArgument {
        /// Its index.
        argument: u8,
    },
    /// The kernel would refuse the program.
    TooLong(TooLong),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { name } => write!(
                f,
                "{name} has two rules with the same conditions and different actions"
            ),
            Self::NoSuchArgument { argument } => write!(
                f,
                "a condition is on argument {argument}, and calls have 0 to 5"
            ),
            Self::TooLong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CompileError {}

impl From<TooLong> for CompileError {
    fn from(error: TooLong) -> Self {
        Self::TooLong(error)
    }
}

impl Profile {
    /// The program that carries it out.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compile(&self) -> Result<Filter, CompileError> {
        let rules = self.rules()?;
        let architectures: Vec<_> = rules
            .iter()
            .map(|(audit, rules)| (*audit, rules.segments()))
            .collect();
        Ok(Filter::new(assemble(&architectures, self.foreign)).checked()?)
    }

    /// The rules by number, for each architecture as the kernel names it.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn rules(&self) -> Result<Vec<(u32, Rules)>, CompileError> {
        self.check_arguments()?;
        let calls = self.resolve();
        let mut architectures = vec![Architecture::NATIVE];
        for one in &self.architectures {
            if !architectures.contains(one) {
                architectures.push(*one);
            }
        }
        let mut all: Vec<(u32, Rules)> = Vec::new();
        for architecture in architectures {
            let numbers = self.numbers(architecture, &calls)?;
            let ranges = self.ranges(architecture, &calls);
            match all.iter_mut().find(|one| one.0 == architecture.audit()) {
                Some((_, rules)) => {
                    rules.calls.extend(numbers);
                    rules.ranges.splice(0..0, ranges);
                }
                None => all.push((
                    architecture.audit(),
                    Rules {
                        ranges,
                        otherwise: self.foreign,
                        calls: numbers,
                    },
                )),
            }
        }
        Ok(all)
    }

    fn check_arguments(&self) -> Result<(), CompileError> {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        match conditions.map(|one| one.argument).find(|one| *one > 5) {
            Some(argument) => Err(CompileError::NoSuchArgument { argument }),
            None => Ok(()),
        }
    }

    /// The calls that each rule names, and the place of the rule.
    fn resolve(&self) -> Vec<(Call, usize)> {
        let rules = self.rules.iter().enumerate();
        rules
            .flat_map(|(place, rule)| rule.names.iter().map(move |name| (name, place)))
            .filter_map(|(name, place)| Some((Call::find(name)?, place)))
            .collect()
    }

    /// What happens to the numbers that no rule is about.
    fn ranges(
        &self,
        architecture: Architecture,
        calls: &[(Call, usize)],
    ) -> Vec<(RangeInclusive<u32>, Action)> {
        const ENOSYS: Action = Action::fail(warren_sys::Errno::NOSYS);
        let newest = match self.newer {
            Newer::Default => None,
            Newer::AboveProfile if self.lets_new_calls_pass() => None,
            Newer::AboveProfile => calls
                .iter()
                .filter_map(|(call, _)| call.number(architecture))
                .max(),
            Newer::AboveKnown => Some(table::newest(architecture)),
        };
        let numbers = match architecture {
            Architecture::X86_64 => 0..=Architecture::X32_BIT - 1,
            Architecture::X32 => Architecture::X32_BIT..=u32::MAX,
            _ => 0..=u32::MAX,
        };
        let mut ranges = Vec::new();
        if let Some(own) = table::own_numbers(architecture)
            && self.newer == Newer::AboveKnown
        {
            ranges.push((own, self.default));
        }
        if let Some(after) = newest.and_then(|newest| newest.checked_add(1))
            && after <= *numbers.end()
        {
            ranges.push((after..=*numbers.end(), ENOSYS));
        }
        ranges.push((numbers, self.default));
        // How a tracer makes the kernel skip a call; no number of x32.
        if architecture == Architecture::X86_64 {
            ranges.push((u32::MAX..=u32::MAX, self.default));
        }
        ranges
    }

    fn lets_new_calls_pass(&self) -> bool {
        match self.default {
            Action::Allow | Action::Log | Action::Trace(_) => true,
            other => other == Action::fail(warren_sys::Errno::NOSYS),
        }
    }

    /// What happens to the numbers that rules are about.
    fn numbers(
        &self,
        architecture: Architecture,
        calls: &[(Call, usize)],
    ) -> Result<BTreeMap<u32, Verdict>, CompileError> {
        let mut entries = Vec::with_capacity(calls.len() + 64);
        for &(call, rule) in calls {
            if self.order == Order::Libseccomp && self.rules[rule].action == self.default
            {
                continue;
            }
            let entry = Entry { call, rule };
            if let Some(number) = call.number(architecture) {
                entries.push((number, None, entry));
            }
            if architecture == Architecture::I386
                && let Some(way) = call.multiplexed()
                && !self.lets_pass_unseen(rule)
            {
                entries.push((way.number, Some(way), entry));
            }
        }
        // By number, and those of one in the order of the rules.
        entries.sort_by_key(|(number, _, entry)| (*number, entry.rule));
        entries
            .chunk_by(|one, next| one.0 == next.0)
            .map(|same| {
                let cases = same
                    .iter()
                    .map(|(_, way, entry)| Case {
                        name: entry.call.name(),
                        conditions: self.conditions(architecture, *entry, *way),
                        action: self.rules[entry.rule].action,
                        is_multiplexed: way.is_some(),
                    })
                    .collect();
                Ok((same[0].0, self.verdict(cases)?))
            })
            .collect()
    }

    /// Whether a rule lets calls pass by arguments that i386 keeps in memory, where no
    /// filter can look. libseccomp compares whatever the registers have.
    fn lets_pass_unseen(&self, rule: usize) -> bool {
        let rule = &self.rules[rule];
        self.order == Order::First
            && !rule.conditions.is_empty()
            && matches!(rule.action, Action::Allow | Action::Log)
    }

    /// The conditions of a rule as they are on `architecture`, sorted by argument.
    fn conditions(
        &self,
        architecture: Architecture,
        entry: Entry,
        way: Option<table::Multiplexed>,
    ) -> Vec<Condition> {
        let rule = &self.rules[entry.rule];
        let is_ioctl = entry.call.name() == "ioctl" && rule.action != Action::Allow;
        let mut conditions: Vec<_> = rule
            .conditions
            .iter()
            .map(|condition| match architecture.is_32_bit() {
                true => condition.low(),
                false => *condition,
            })
            // The kernel drops the upper half of the request: CVE-2019-10063.
            .map(|condition| match is_ioctl && condition.argument == 1 {
                true => condition.low(),
                false => condition,
            })
            .filter(|condition| !always_holds(condition))
            .collect();
        if let Some(way) = way {
            // The first argument says which call it is; the others lie in memory.
            let unseen = |argument| argument == 0 || self.order == Order::First;
            conditions.retain(|condition| !unseen(condition.argument));
            let mask = match rule.action {
                Action::Allow => u32::MAX,
                _ => way.mask,
            };
            conditions.push(Condition {
                mask: mask.into(),
                ..Condition::is(0, way.operation)
            });
        }
        conditions.sort_by_key(|condition| condition.argument);
        conditions
    }

    fn verdict(&self, mut cases: Vec<Case>) -> Result<Verdict, CompileError> {
        let otherwise = cases.iter().position(|case| case.conditions.is_empty());
        match self.order {
            Order::First => {
                let action = otherwise.map(|place| cases[place].action);
                cases.truncate(otherwise.unwrap_or(cases.len()));
                Ok(verdict(cases, action.unwrap_or(self.default)))
            }
            Order::Libseccomp => match otherwise {
                Some(place) => Ok(cases[place].action.into()),
                None => {
                    sort_as_libseccomp(&mut cases);
                    without_duplicates(&mut cases)?;
                    Ok(verdict(cases, self.default))
                }
            },
        }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    call: Call,
    /// The place of the rule in the profile.
    rule: usize,
}

/// A rule on one number.
struct Case {
    name: &'static str,
    conditions: Vec<Condition>,
    action: Action,
    is_multiplexed: bool,
}

/// The order in which libseccomp's programs ask: of the first conditions that differ
/// the one on a later argument, and of two lists that begin alike the shorter.
fn sort_as_libseccomp(cases: &mut [Case]) {
    // Conditions on the same argument in the order of the rules.
    let mut ranks: HashMap<Condition, usize> = HashMap::new();
    for condition in cases.iter().flat_map(|case| &case.conditions) {
        let next = ranks.len();
        ranks.entry(*condition).or_insert(next);
    }
    cases.sort_by_cached_key(|case| -> Vec<_> {
        let key = |one: &Condition| (Reverse(one.argument), ranks.get(one).copied());
        case.conditions.iter().map(key).collect()
    });
}

/// Drops what asks the same again; the list is sorted.
fn without_duplicates(cases: &mut Vec<Case>) -> Result<(), CompileError> {
    for pair in cases.windows(2) {
        let [one, two] = pair else { continue };
        if one.conditions == two.conditions
            && one.action != two.action
            // Two rules may become one there, where arguments are not seen.
            && !one.is_multiplexed
        {
            let name = one.name.to_owned();
            return Err(CompileError::Conflict { name });
        }
    }
    cases.dedup_by(|next, before| next.conditions == before.conditions);
    Ok(())
}

fn verdict(cases: Vec<Case>, otherwise: Action) -> Verdict {
    Verdict {
        cases: cases
            .into_iter()
            .map(|case| (case.conditions, case.action))
            .collect(),
        otherwise,
    }
}

fn always_holds(condition: &Condition) -> bool {
    condition.mask == 0
        && match condition.comparison {
            Comparison::Equal | Comparison::GreaterOrEqual => condition.value == 0,
            Comparison::NotEqual | Comparison::Less => condition.value != 0,
            Comparison::LessOrEqual => true,
            Comparison::Greater => false,
        }
}

#[cfg(test)]
mod tests {
    use warren_testkit::bpf::{Call as Asked, interpret};

    use super::*;
    use crate::seccomp::oci::Seccomp;
    use crate::seccomp::rules_tests::expected;

    const X86_64: u32 = Architecture::X86_64.audit();
    const I386: u32 = Architecture::I386.audit();
    const ENOSYS: u32 = 0x0005_0026;

    fn profile(json: &str, newer: Newer) -> Profile {
        let seccomp = Seccomp::parse(json).expect(json);
        seccomp.profile(newer).expect(json)
    }

    fn answer(profile: &Profile, audit: u32, number: u32, arguments: &[u64]) -> u32 {
        let filter = profile.compile().expect("a filter");
        interpret(filter.instructions(), &Asked::new(audit, number, arguments)).0
    }

    #[test]
    fn json_of_a_profile_is_the_profile() {
        let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X32"],
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args":
            [{"index": 1, "value": 18446744073709551615, "op": "SCMP_CMP_GE"}]}]}"#;
        let profile = profile(json, Newer::AboveProfile);
        let text = serde_json::to_string(&profile).expect("JSON");
        let back: Profile = serde_json::from_str(&text).expect(&text);
        assert_eq!(back, profile);
    }

    #[test]
    fn calls_newer_than_a_profile_answer_enosys_as_runc_does() {
        let json = |default| {
            format!(
                r#"{{"defaultAction": "{default}", "architectures": ["SCMP_ARCH_X86"],
                "syscalls": [{{"names": ["read", "openat2"], "action": "SCMP_ACT_LOG"}}]}}"#
            )
        };
        let refusing = profile(&json("SCMP_ACT_ERRNO"), Newer::AboveProfile);
        for audit in [X86_64, I386] {
            assert_eq!(answer(&refusing, audit, 436, &[]), 0x0005_0001);
            assert_eq!(answer(&refusing, audit, 437, &[]), 0x7ffc_0000);
            assert_eq!(answer(&refusing, audit, 438, &[]), ENOSYS);
            assert_eq!(answer(&refusing, audit, 0x3fff_ffff, &[]), ENOSYS);
        }
        // x32 is no architecture of the profile.
        assert_eq!(answer(&refusing, X86_64, 0x4000_0000, &[]), 0);
        for default in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
            let passing = profile(&json(default), Newer::AboveProfile);
            assert_ne!(answer(&passing, X86_64, 438, &[]), ENOSYS, "{default}");
        }
        let plain = profile(&json("SCMP_ACT_ERRNO"), Newer::Default);
        assert_eq!(answer(&plain, X86_64, 438, &[]), 0x0005_0001);
    }

    #[test]
    fn numbers_that_no_kernel_had_are_newer_on_each_architecture() {
        let architectures = Architecture::ALL.to_vec();
        let profile = Profile {
            architectures,
            ..profile(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, Newer::AboveKnown)
        };
        for architecture in Architecture::ALL {
            let bit = match architecture {
                Architecture::X32 => Architecture::X32_BIT,
                _ => 0,
            };
            let ask = |number| answer(&profile, architecture.audit(), number | bit, &[]);
            assert_eq!(ask(469), 0x7fff_0000, "{architecture:?}");
            assert_eq!(ask(470), ENOSYS, "{architecture:?}");
            assert_eq!(ask(600), ENOSYS, "{architecture:?}");
        }
        let own = [
            (X86_64, 0x4000_0200),
            (Architecture::Arm.audit(), 0x000f_0005),
        ];
        for (audit, number) in own {
            assert_eq!(answer(&profile, audit, number, &[]), 0x7fff_0000);
        }
    }

    #[test]
    fn the_request_of_a_refused_ioctl_is_compared_as_the_kernel_reads_it() {
        let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_EQ"}]}]}"#;
        let profile = profile(json, Newer::Default);
        for garbage in [0, 1 << 32, 0xffff_ffff << 32] {
            let answer = answer(&profile, X86_64, 16, &[0, garbage | 0x5412]);
            assert_eq!(answer, 0x0005_0001, "{garbage:#x}");
        }
    }

    #[test]
    fn two_conditions_on_one_argument_are_alternatives() {
        let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [
             {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
             {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
             {"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}]}]}"#;
        let profile = profile(json, Newer::Default);
        for (arguments, is_allowed) in [([1, 0], true), ([2, 0], true), ([3, 7], true)] {
            let allowed = answer(&profile, X86_64, 0, &arguments) == 0x7fff_0000;
            assert_eq!(allowed, is_allowed, "{arguments:?}");
        }
        assert_eq!(answer(&profile, X86_64, 0, &[3, 0]), 0x0005_0001);
    }

    #[test]
    fn what_contradicts_itself_or_is_unknown_is_refused() {
        let two = |actions: [&str; 2]| {
            let rule = |action| {
                format!(
                    r#"{{"names": ["read"], "action": "SCMP_ACT_{action}", "args":
                    [{{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}}]}}"#
                )
            };
            let [one, two] = actions.map(rule);
            let json = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{one}, {two}]}}"#
            );
            profile(&json, Newer::Default).compile().map(drop)
        };
        assert_eq!(two(["TRAP", "TRAP"]), Ok(()));
        let error = two(["TRAP", "ERRNO"]).expect_err("a conflict");
        assert!(
            error.to_string().starts_with("read has two rules"),
            "{error}"
        );
        for (json, what) in [
            (r#"{"defaultAction": "SCMP_ACT_FOO"}"#, "unknown action"),
            (
                r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
                "the default action cannot",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#,
                "SCMP_ACT_ERRNO cannot have the errno 4096",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#,
                "SCMP_ACT_ALLOW cannot have the errno 1",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_PDP11"]}"#,
                "unknown architecture",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls":
                [{"names": ["read"], "action": "SCMP_ACT_TRAP", "args":
                [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
                "argument 6 does not exist",
            ),
        ] {
            let seccomp = Seccomp::parse(json).expect(json);
            let error = seccomp.profile(Newer::Default).expect_err(json).to_string();
            assert!(error.starts_with(what), "{error}");
        }
        let json =
            r#"{"defaultAction": "SCMP_ACT_LOG", "flags": ["SECCOMP_FILTER_FLAG_X"]}"#;
        assert!(Seccomp::parse(json).expect(json).load_flags().is_err());
    }

    #[test]
    fn a_program_that_the_kernel_would_refuse_is_an_error() {
        let rule = |value: u64| Rule {
            names: vec!["read".to_owned()],
            action: Action::Trap,
            conditions: vec![Condition {
                argument: 0,
                mask: u64::MAX,
                comparison: Comparison::Equal,
                value,
            }],
        };
        let profile = |rules| Profile {
            rules,
            ..profile(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, Newer::Default)
        };
        let long = profile((0..1100).map(rule).collect());
        let error = long.compile().expect_err("too long").to_string();
        assert!(error.contains("and the kernel takes 4096"), "{error}");
        // As many as there is room for, with jumps far beyond 255.
        let fits = profile((0..1000).map(rule).collect());
        let rules = fits.rules().expect("rules");
        for value in [0, 1, 500, 999, 1000, 1 << 32] {
            let call = Asked::new(X86_64, 0, &[value]);
            let answer = answer(&fits, X86_64, 0, &[value]);
            assert_eq!(answer, expected(&rules[0].1, &call), "{value}");
        }
    }
}
