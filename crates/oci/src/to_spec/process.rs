//! `process`, `hostname` and `domainname`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use warren_confine::{Resource, Rlimit};
use warren_namespaces::Kind;
use warren_spawn::{Namespace, Terminal, User};

use super::Reader;
use crate::config::{self, Process};
use crate::error::Error;

impl Reader<'_> {
    pub(super) fn process(&mut self) -> Result<(), Error> {
        let Some(process) = &self.config.process else {
            return Err(Error::new("process", "is missing: there is nothing to run"));
        };
        if process.args.is_empty() {
            return Err(Error::new(
                "process.args",
                "is empty: there is nothing to run",
            ));
        }
        if !process.cwd.starts_with('/') {
            return Err(Error::new(
                "process.cwd",
                format!("expected an absolute path, found {:?}", process.cwd),
            ));
        }
        self.spec.argv = process.args.iter().map(OsString::from).collect();
        self.spec.cwd = Some(process.cwd.clone().into());
        self.spec.env = environment(&process.env)?;
        let mut user = user(&process.user)?;
        user.groups = user.groups.filter(|_| !self.keeps_groups());
        self.spec.user = Some(user);
        self.spec.rlimits = rlimits(&process.rlimits)?;
        self.spec.no_new_privs = process.no_new_privileges;
        // Whoever is started is pid 1 itself.
        self.spec.no_init = *self.spec.namespaces.get(Kind::Pid) == Namespace::New;
        if process.terminal {
            let size = process.console_size.clone().unwrap_or_default();
            self.spec.terminal = Terminal::New {
                rows: size.height,
                columns: size.width,
            };
        }
        self.capabilities(process.capabilities.as_ref());
        self.rest_of_process(process)
    }

    /// Whether the process stays in the groups of who starts it, as crun(1) has it: files of
    /// the host may be such a group's.
    fn keeps_groups(&self) -> bool {
        let word = self.config.annotations.get("run.oci.keep_original_groups");
        word.is_some_and(|word| word == "1")
    }

    fn rest_of_process(&mut self, process: &Process) -> Result<(), Error> {
        self.labels(process)?;
        if let Some(umask) = process.user.umask {
            if umask > 0o777 {
                let message = format!("a umask is at most 511 (octal 777), not {umask}");
                return Err(Error::new("process.user.umask", message));
            }
            self.spec.umask = Some(umask);
        }
        if let Some(score) = process.oom_score_adj {
            if !(-1000..=1000).contains(&score) {
                let message = format!("{score} is not between -1000 and 1000");
                return Err(Error::new("process.oomScoreAdj", message));
            }
            self.spec.oom_score_adj = Some(score);
        }
        if let Some(wanted) = &process.scheduler {
            self.spec.scheduler = Some(super::priority::scheduler(wanted)?);
        }
        if let Some(wanted) = &process.io_priority {
            self.spec.io_priority = Some(super::priority::io_priority(wanted)?);
        }
        if let Some(wanted) = &process.exec_cpu_affinity {
            // It is of those that join later.
            super::priority::affinity(wanted)?;
        }
        Ok(())
    }

    /// A label that no module would look at is no label: who asks for one relies on it.
    fn labels(&mut self, process: &Process) -> Result<(), Error> {
        let profile = &process.apparmor_profile;
        let is_confined = !matches!(profile.as_str(), "" | "unconfined");
        let has_apparmor = warren_confine::labels::apparmor_is_enabled;
        if is_confined && !has_apparmor() {
            let message = "AppArmor is not enabled on this host";
            return Err(Error::new("process.apparmorProfile", message));
        }
        if is_confined || !profile.is_empty() && has_apparmor() {
            self.spec.labels.apparmor = Some(profile.clone());
        }
        if !process.selinux_label.is_empty() {
            if !warren_confine::labels::selinux_is_enabled() {
                let message = "SELinux is not enabled on this host";
                return Err(Error::new("process.selinuxLabel", message));
            }
            self.spec.labels.selinux = Some(process.selinux_label.clone());
        }
        Ok(())
    }

    pub(super) fn names(&mut self) -> Result<(), Error> {
        let has_uts = *self.spec.namespaces.get(Kind::Uts) != Namespace::Inherit;
        for (path, name) in [
            ("hostname", &self.config.hostname),
            ("domainname", &self.config.domainname),
        ] {
            if !name.is_empty() && !has_uts {
                return Err(Error::new(path, "needs a uts namespace"));
            }
        }
        if !self.config.hostname.is_empty() {
            self.spec.hostname = Some(self.config.hostname.clone().into());
        }
        if !self.config.domainname.is_empty() {
            self.spec.domainname = Some(self.config.domainname.clone().into());
        }
        Ok(())
    }
}

fn user(user: &config::User) -> Result<User, Error> {
    let groups = user.additional_gids.iter().enumerate();
    let groups = groups.map(|(index, gid)| (format!("additionalGids[{index}]"), *gid));
    let ids = [("uid".to_owned(), user.uid), ("gid".to_owned(), user.gid)];
    for (key, id) in ids.into_iter().chain(groups) {
        check_id(&format!("process.user.{key}"), id)?;
    }
    Ok(User {
        uid: user.uid,
        gid: user.gid,
        groups: Some(user.additional_gids.clone()),
    })
}

/// The last number is no id: to setresuid(2) and chown(2) it says "unchanged", and who asks
/// for it would stay root.
pub(super) fn check_id(path: &str, id: u32) -> Result<(), Error> {
    match id {
        u32::MAX => Err(Error::new(path, format!("{id} is no id"))),
        _ => Ok(()),
    }
}

/// Of what is there twice the last counts, as for whoever reads it: getenv(3) finds the
/// first.
fn environment(words: &[String]) -> Result<Vec<(OsString, OsString)>, Error> {
    let mut all: Vec<(OsString, OsString)> = Vec::with_capacity(words.len());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, word) in words.iter().enumerate() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => {
                let message = format!("expected KEY=VALUE, found {word:?}");
                return Err(Error::new(format!("process.env[{index}]"), message));
            }
        };
        match places.get(key) {
            Some(place) => all[*place].1 = value.into(),
            None => {
                places.insert(key, all.len());
                all.push((key.into(), value.into()));
            }
        }
    }
    Ok(all)
}

fn rlimits(limits: &[config::Rlimit]) -> Result<Vec<Rlimit>, Error> {
    let mut seen = BTreeSet::new();
    let one = |(index, limit): (usize, &config::Rlimit)| {
        let wrong = |key: &str, message: String| {
            Error::new(format!("process.rlimits[{index}]{key}"), message)
        };
        let unknown = || wrong(".type", format!("unknown resource {:?}", limit.r#type));
        if !limit.r#type.starts_with("RLIMIT_") {
            return Err(unknown());
        }
        let resource: Resource = limit.r#type.parse().map_err(|_| unknown())?;
        if !seen.insert(resource) {
            return Err(wrong(".type", format!("{} is there twice", limit.r#type)));
        }
        if limit.soft > limit.hard {
            return Err(wrong(
                ".soft",
                format!("{} is above the hard limit {}", limit.soft, limit.hard),
            ));
        }
        let value = |value| (value != u64::MAX).then_some(value);
        Ok(Rlimit {
            resource,
            soft: value(limit.soft),
            hard: value(limit.hard),
        })
    };
    limits.iter().enumerate().map(one).collect()
}
