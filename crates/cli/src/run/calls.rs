//! Exceptions from a profile of system calls.

use clap::Args;
use warren_confine::seccomp::table::Call;
use warren_confine::seccomp::{Action, Profile, Rule};

use crate::failure::Failure;

/// What passes whatever a profile says.
#[derive(Debug, Args)]
pub struct CallOptions {
    /// Let system call NAME pass the profile of --seccomp or --profile
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Isolation"
    )]
    pub allow_call: Vec<String>,
}

impl CallOptions {
    /// Puts the exceptions into the profile of a run.
    pub fn apply(&self, profile: Option<&mut Profile>) -> Result<(), Failure> {
        let Some(first) = self.allow_call.first() else {
            return Ok(());
        };
        let unknown = |name: &&String| Call::find(name).is_none();
        if let Some(name) = self.allow_call.iter().find(unknown) {
            return Err(Failure::usage(format!(
                "--allow-call {name}: unknown system call"
            )));
        }
        let profile = profile.ok_or_else(|| {
            Failure::usage(format!("--allow-call {first}: no profile refuses it"))
                .hint("what every run refuses, --cap-add may allow: see docs/seccomp.md")
        })?;
        // Two rules on one call could contradict each other.
        for rule in &mut profile.rules {
            rule.names.retain(|name| !self.allow_call.contains(name));
        }
        profile.rules.retain(|rule| !rule.names.is_empty());
        let allowed = Rule {
            names: self.allow_call.clone(),
            action: Action::Allow,
            conditions: Vec::new(),
        };
        profile.rules.insert(0, allowed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use warren_confine::seccomp::{Architecture, policy};

    use super::*;

    fn apply(name: &str, policy: Option<&str>) -> Result<Option<Profile>, Failure> {
        let mut profile = policy.map(|text| policy::parse(text).expect("a good policy"));
        let options = CallOptions {
            allow_call: vec![name.to_owned()],
        };
        options.apply(profile.as_mut()).map(|()| profile)
    }

    #[test]
    fn an_exception_counts_before_all_rules() {
        let policy = "default deny ENOSYS\ndeny EPERM mkdir read\n";
        let profile = apply("mkdir", Some(policy)).expect("a known call");
        let rules = profile.expect("a profile").rules().expect("good rules");
        let action = |name: &str| {
            let number =
                Call::find(name).and_then(|call| call.number(Architecture::NATIVE));
            let native = Architecture::NATIVE.audit();
            let (_, rules) = rules.iter().find(|(audit, _)| *audit == native)?;
            Some(rules.verdict(number?).action(&[0; 6]))
        };
        assert_eq!(action("mkdir"), Some(Action::Allow));
        assert_eq!(action("read"), Some(Action::Fail(1)));
    }

    #[test]
    fn an_exception_from_nothing_or_of_nothing_is_an_error() {
        let unknown = apply("raed", Some("default allow\n")).expect_err("no such call");
        assert!(unknown.to_string().contains("unknown system call"));
        assert!(apply("read", None).is_err());
    }
}
