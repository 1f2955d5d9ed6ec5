//! Which device files a group may open and make: rules, and what either version makes of
//! them.
//!
//! A later rule overrules an earlier one. v1 has lists that know no order: a default and
//! exceptions from it, so that rules are first worked out to that ([`Rules::v1`]). v2 has a
//! program of eBPF ([`program`]) that looks at the rules from the last to the first.

pub mod program;

use crate::limits::{DeviceKind, DeviceRule};

/// Rules about device files, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<DeviceRule>);

/// Bits of an access: linux/bpf.h, and v1's `rwm`.
pub(crate) const MKNOD: u32 = 1;
pub(crate) const READ: u32 = 2;
pub(crate) const WRITE: u32 = 4;
const WHOLE: u32 = MKNOD | READ | WRITE;

impl DeviceRule {
    /// A rule for every access to every device.
    #[must_use]
    pub fn everything(allow: bool) -> Self {
        Self {
            allow,
            read: true,
            write: true,
            mknod: true,
            ..Self::default()
        }
    }

    pub(crate) fn access(&self) -> u32 {
        let bit = |has, bit| if has { bit } else { 0 };
        bit(self.mknod, MKNOD) | bit(self.read, READ) | bit(self.write, WRITE)
    }

    /// Whether it is about all devices: then v1 looks neither at numbers nor access.
    pub(crate) fn is_default(&self) -> bool {
        self.kind == DeviceKind::All
    }

    /// Whether it is about every device that `other` is about.
    fn covers(&self, other: &Self) -> bool {
        let number = |own: Option<u32>, other| own.is_none() || own == other;
        (self.kind == DeviceKind::All || self.kind == other.kind)
            && number(self.major, other.major)
            && number(self.minor, other.minor)
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        let differ = |own: Option<u32>, other: Option<u32>| {
            own.is_some() && other.is_some() && own != other
        };
        let kinds = [self.kind, other.kind];
        !kinds.contains(&DeviceKind::All) && kinds[0] != kinds[1]
            || differ(self.major, other.major)
            || differ(self.minor, other.minor)
    }

    /// `c 1:3 rwm`.
    fn line(&self) -> String {
        let number = |number: Option<u32>| {
            number.map_or_else(|| "*".to_owned(), |number| number.to_string())
        };
        let kind = match self.kind {
            DeviceKind::All => return "a".to_owned(),
            DeviceKind::Char => 'c',
            DeviceKind::Block => 'b',
        };
        let letters = [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')];
        let access: String = letters
            .into_iter()
            .filter_map(|(has, letter)| has.then_some(letter))
            .collect();
        format!(
            "{kind} {}:{} {access}",
            number(self.major),
            number(self.minor)
        )
    }

    fn with_access(&self, access: u32) -> Self {
        Self {
            read: access & READ != 0,
            write: access & WRITE != 0,
            mknod: access & MKNOD != 0,
            ..*self
        }
    }
}

impl Rules {
    /// Those of a description. A rule about no access says nothing.
    #[must_use]
    pub fn new(rules: &[DeviceRule]) -> Self {
        let says = |rule: &&DeviceRule| rule.access() != 0 || rule.is_default();
        let whole = |rule: &DeviceRule| {
            // As v1: a rule for all devices is one about everything.
            if rule.is_default() {
                DeviceRule::everything(rule.allow)
            } else {
                *rule
            }
        };
        Self(rules.iter().filter(says).map(whole).collect())
    }

    /// The rules.
    #[must_use]
    pub fn list(&self) -> &[DeviceRule] {
        &self.0
    }

    /// What is written to v1's files: a default, then exceptions from it.
    ///
    /// # Errors
    /// In words, where a rule takes something out of a wider exception: the lists cannot
    /// say that.
    pub fn v1(&self) -> Result<Vec<(&'static str, String)>, String> {
        // A new group has its parent's rules, which allow all in a parent without limits.
        let mut default = None;
        let mut exceptions: Vec<DeviceRule> = Vec::new();
        for rule in &self.0 {
            if rule.is_default() {
                default = Some(rule.allow);
                exceptions.clear();
                continue;
            }
            take_out(&mut exceptions, rule)?;
            if rule.allow != default.unwrap_or(true) {
                exceptions.push(*rule);
            }
        }
        let file = |allow| {
            if allow {
                "devices.allow"
            } else {
                "devices.deny"
            }
        };
        let first = default.map(|allow| (file(allow), "a".to_owned()));
        let others = exceptions
            .iter()
            .map(|rule| (file(rule.allow), rule.line()));
        Ok(first.into_iter().chain(others).collect())
    }
}

/// Takes what `rule` is about out of the exceptions so far, which it overrules.
fn take_out(exceptions: &mut Vec<DeviceRule>, rule: &DeviceRule) -> Result<(), String> {
    for exception in &mut *exceptions {
        if exception.is_disjoint(rule) || exception.access() & rule.access() == 0 {
            continue;
        }
        if exception.allow == rule.allow {
            continue;
        }
        if !rule.covers(exception) {
            return Err(format!(
                "v1 cannot take '{}' out of '{}'",
                rule.line(),
                exception.line()
            ));
        }
        *exception = exception.with_access(exception.access() & !rule.access());
    }
    exceptions.retain(|exception| exception.access() & WHOLE != 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn rule(allow: bool, text: &str) -> DeviceRule {
        let mut words = text.split([' ', ':']);
        let kind = match words.next() {
            Some("c") => DeviceKind::Char,
            Some("b") => DeviceKind::Block,
            _ => return DeviceRule::everything(allow),
        };
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (major, minor) = (number(), number());
        let access = words.next().unwrap_or("");
        DeviceRule {
            allow,
            kind,
            major,
            minor,
            read: access.contains('r'),
            write: access.contains('w'),
            mknod: access.contains('m'),
        }
    }

    fn v1(rules: &[(bool, &str)]) -> Result<Vec<String>, String> {
        let rules: Vec<_> = rules
            .iter()
            .map(|(allow, text)| rule(*allow, text))
            .collect();
        let writes = Rules::new(&rules).v1()?;
        let words = writes.into_iter().map(|(file, value)| {
            format!("{} {value}", file.strip_prefix("devices.").unwrap_or(file))
        });
        Ok(words.collect())
    }

    #[test]
    fn everything_is_forbidden_first_and_some_allowed_again() {
        let rules = [(false, "a"), (true, "c 1:3 rwm"), (true, "c *:* m")];
        let expected = ["deny a", "allow c 1:3 rwm", "allow c *:* m"];
        assert_eq!(v1(&rules).expect("fine"), expected);
    }

    #[test]
    fn a_later_rule_about_all_makes_the_earlier_ones_void() {
        let rules = [(true, "c 1:3 rwm"), (false, "a"), (false, "c 1:5 r")];
        assert_eq!(v1(&rules).expect("fine"), ["deny a"]);
    }

    #[test]
    fn a_later_rule_takes_its_access_out_of_an_exception() {
        let rules = [(false, "a"), (true, "c 1:3 rwm"), (false, "c 1:* w")];
        assert_eq!(v1(&rules).expect("fine"), ["deny a", "allow c 1:3 rm"]);
    }

    #[test]
    fn what_v1_cannot_say_is_refused() {
        let rules = [(false, "a"), (true, "c 1:* rwm"), (false, "c 1:3 w")];
        assert_eq!(
            v1(&rules).expect_err("inexpressible"),
            "v1 cannot take 'c 1:3 w' out of 'c 1:* rwm'"
        );
    }

    #[test]
    fn without_a_rule_about_all_what_is_forbidden_is_the_exception() {
        assert_eq!(v1(&[(false, "b 7:0 w")]).expect("fine"), ["deny b 7:0 w"]);
    }
}
