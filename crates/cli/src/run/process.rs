//! Who the command is, where it works and what it inherits.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;
use warren_namespaces::Kind;
use warren_namespaces::accounts::{
    Accounts, group_by_name, passwd_by_name, passwd_by_uid,
};
use warren_spawn::{DEFAULT_PATH, Host, Namespace, Namespaces, User};

use super::files::{FileOptions, current_folder};
use super::root::RootOptions;
use super::sizes::number;
use crate::failure::Failure;

/// The process that the command becomes.
#[derive(Debug, Args)]
pub struct ProcessOptions {
    /// Host name inside [default: warren]
    #[arg(long, value_name = "NAME", help_heading = "Process")]
    pub hostname: Option<OsString>,
    /// Working directory inside [default: HOME; with --here or --host-root the current
    /// folder]
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    pub workdir: Option<PathBuf>,
    /// Set a variable, or pass the caller's with K alone
    #[arg(long, value_name = "K[=V]", help_heading = "Process")]
    pub env: Vec<OsString>,
    /// Begin with no variable at all
    #[arg(long, help_heading = "Process")]
    pub clear_env: bool,
    /// Who CMD is inside: numbers, or names of the host
    #[arg(long, value_name = "U[:G]", help_heading = "Process")]
    pub user: Option<String>,
    /// Give CMD a terminal of its own
    #[arg(short, long, help_heading = "Process")]
    pub tty: bool,
    /// Let CMD inherit descriptor N
    #[arg(long, value_name = "N", help_heading = "Process")]
    pub keep_fd: Vec<i32>,
    /// Run CMD as pid 1 itself, without the reaping init
    #[arg(long, help_heading = "Process")]
    pub no_init: bool,
}

/// The host name inside where nobody gives one.
pub const DEFAULT_NAME: &str = "warren";

impl ProcessOptions {
    /// The host name inside, where a profile says `given`.
    pub fn hostname(
        &self,
        namespaces: &Namespaces,
        given: Option<OsString>,
    ) -> Result<Option<OsString>, Failure> {
        match (&self.hostname, namespaces.get(Kind::Uts)) {
            (Some(_), Namespace::Inherit) => Err(Failure::usage(
                "--hostname: the host's name is kept with --share uts",
            )),
            (None, Namespace::Inherit) => Ok(None),
            (name, _) => {
                let name = name.clone().or(given);
                Ok(Some(name.unwrap_or_else(|| DEFAULT_NAME.into())))
            }
        }
    }

    /// The working directory inside.
    pub fn working_directory(
        &self,
        root: &RootOptions,
        files: &FileOptions,
        user: &User,
        host: &Host,
    ) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.workdir {
            return Ok(dir.clone());
        }
        if files.here {
            return current_folder();
        }
        if root.root.is_some() {
            return Ok("/".into());
        }
        if root.host_root.is_none() {
            return Ok(home(user));
        }
        // Other ids than the caller's may not get into the caller's folder; and what is
        // covered is not there.
        let here = current_folder()?;
        let covered = ["/tmp", "/proc", "/dev"]
            .iter()
            .any(|dir| here.starts_with(dir));
        Ok(if covered || host.is_privileged() {
            "/".into()
        } else {
            here
        })
    }

    /// The variables that every program may need.
    pub fn environment(
        &self,
        root: &RootOptions,
        user: &User,
    ) -> Vec<(OsString, OsString)> {
        let own = |key: &str| Some((key.into(), std::env::var_os(key)?));
        let path = match (&root.root, std::env::var_os("PATH")) {
            (None, Some(path)) => path,
            _ => DEFAULT_PATH.into(),
        };
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("HOME".into(), home(user).into()),
            ("USER".into(), name(user).into()),
        ];
        env.extend(["TERM", "LANG"].into_iter().filter_map(own));
        env
    }

    /// The user's own, on top of others.
    pub fn add_variables(
        &self,
        env: &mut Vec<(OsString, OsString)>,
    ) -> Result<(), Failure> {
        if self.clear_env {
            env.clear();
        }
        for word in &self.env {
            let (key, value) = variable(word)?;
            env.retain(|(known, _)| *known != key);
            env.extend(value.map(|value| (key, value)));
        }
        Ok(())
    }

    /// `U[:G]`, by number or by the host's name.
    pub fn user(&self) -> Result<User, Failure> {
        let Some(text) = &self.user else {
            return Ok(User::ROOT);
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text.as_str(), None),
        };
        let accounts =
            Accounts::read().map_err(|error| Failure::new(error.to_string()))?;
        let unknown = |what: &str, name: &str| {
            Failure::usage(format!("--user {text}: the host has no {what} '{name}'"))
        };
        let known = match number(user) {
            Some(uid) => passwd_by_uid(&accounts.passwd, uid),
            None => Some(
                passwd_by_name(&accounts.passwd, user)
                    .ok_or_else(|| unknown("user", user))?,
            ),
        };
        let uid = number(user)
            .or(known.as_ref().map(|user| user.uid))
            .unwrap_or(0);
        let gid = match group {
            Some(group) => number(group)
                .or_else(|| group_by_name(&accounts.group, group).map(|group| group.gid))
                .ok_or_else(|| unknown("group", group))?,
            None => known.map_or(uid, |user| user.gid),
        };
        Ok(User {
            uid,
            gid,
            groups: Some(Vec::new()),
        })
    }
}

/// `K=V`, or `K` for the caller's value if there is one.
pub fn variable(word: &OsStr) -> Result<(OsString, Option<OsString>), Failure> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = word.as_bytes();
    let end = bytes
        .iter()
        .position(|byte| *byte == b'=')
        .unwrap_or(bytes.len());
    let key = OsStr::from_bytes(&bytes[..end]).to_owned();
    if key.is_empty() {
        return Err(Failure::usage(format!(
            "--env '{}' has no name",
            word.display()
        )));
    }
    let value = match bytes.get(end + 1..) {
        Some(value) => Some(OsStr::from_bytes(value).to_owned()),
        None if end == bytes.len() => std::env::var_os(&key),
        None => Some(OsString::new()),
    };
    Ok((key, value))
}

/// The home folder of a user inside. Only root's is known without its passwd.
fn home(user: &User) -> PathBuf {
    if user.uid == 0 {
        "/root".into()
    } else {
        "/home".into()
    }
}

fn name(user: &User) -> String {
    if user.uid == 0 {
        return "root".to_owned();
    }
    let known = Accounts::read()
        .ok()
        .and_then(|files| passwd_by_uid(&files.passwd, user.uid));
    known.map_or_else(|| user.uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_set_passed_or_emptied() {
        let parse = |text: &str| variable(OsStr::new(text)).expect("a good variable");
        assert_eq!(parse("A=b=c"), ("A".into(), Some("b=c".into())));
        assert_eq!(parse("A="), ("A".into(), Some("".into())));
        assert_eq!(parse("WARREN_NO_SUCH").1, None);
        assert!(variable(OsStr::new("=x")).is_err());
    }
}
