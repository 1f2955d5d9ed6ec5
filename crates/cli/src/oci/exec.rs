//! `exec`.

use std::ffi::OsString;
use std::path::Path;

use warren_oci::config::{Capabilities, Process, User};
use warren_oci::runtime::{Container, Exec};

use super::options::{Options, both, flag, parse, text, value, value_or};
use super::{Context, Stop};
use crate::getopt::{Known, Order};
use crate::{pty, supervise, text_file};

const OPTIONS: &[Known<&str>] = &[
    value("console-socket"),
    value("pidfd-socket"),
    value("cwd"),
    value_or(b'e', "env"),
    both(b't', "tty"),
    value_or(b'u', "user"),
    value_or(b'g', "additional-gids"),
    value_or(b'p', "process"),
    both(b'd', "detach"),
    value("pid-file"),
    value("process-label"),
    value("apparmor"),
    flag("no-new-privs"),
    value_or(b'c', "cap"),
    value("preserve-fds"),
    value("cgroup"),
    flag("ignore-paused"),
];

/// What a command line cannot be told from: the program's own exit codes.
const CODE: u8 = 255;

/// The largest process.json that is read, in bytes.
const MOST: u64 = 16 << 20;

pub fn run(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let failed = |stop: Stop| stop.doing("exec failed").code(CODE);
    let options = parse(OPTIONS, Order::OptionsFirst, arguments).map_err(Stop::usage)?;
    let (id, command) = match options.operands.split_first() {
        Some((id, command)) => (text(id, "the container's ID")?, command),
        None => return Err(Stop::usage("the ID of a container is missing")),
    };
    let container = context
        .store
        .open(id)
        .map_err(|error| failed(error.into()))?;
    let mut wanted = wanted(&options, command, &container).map_err(failed)?;
    wanted.followed = context.log.is_followed();
    let executed = container
        .exec(&wanted)
        .map_err(|error| failed(error.into()))?;
    for told in &executed.told {
        context.log.debug(told);
    }
    drop(context.shield.take());
    if wanted.handover.detached {
        return Ok(0);
    }
    let started = supervise::Started::in_own_session(executed.child);
    supervise::attend(started).map_err(|failure| failed(failure.into()))
}

fn wanted(
    options: &Options,
    command: &[OsString],
    container: &Container,
) -> Result<Exec, Stop> {
    let mut handover = options.handover()?;
    handover.detached = options.is("detach");
    handover.terminal_size = if handover.detached {
        None
    } else {
        Some(pty::size)
    };
    Ok(Exec {
        process: process(options, command, container)?,
        handover,
        cgroups: options
            .values("cgroup")
            .map(|word| text(word, "--cgroup").map(str::to_owned))
            .collect::<Result<_, _>>()?,
        ignore_paused: options.is("ignore-paused"),
        followed: false,
    })
}

/// That of a file, or the container's own with what the options change.
fn process(
    options: &Options,
    command: &[OsString],
    container: &Container,
) -> Result<Process, Stop> {
    if let Some(path) = options.value("process") {
        let path = Path::new(path);
        let doing = |error: &dyn std::fmt::Display| {
            Stop::usage(format!("read {}: {error}", path.display()))
        };
        let text = text_file::read(path, MOST).map_err(|error| doing(&error))?;
        return warren_oci::process(&text).map_err(|error| doing(&error));
    }
    let config = container.config()?;
    let mut process = config
        .process
        .ok_or_else(|| Stop::usage("process property not found in the config.json"))?;
    if command.is_empty() {
        return Err(Stop::usage("the command is missing"));
    }
    let words = command.iter().map(|word| text(word, "an argument"));
    process.args = words
        .map(|word| word.map(str::to_owned))
        .collect::<Result<_, _>>()?;
    process.terminal = options.is("tty");
    change(&mut process, options)?;
    Ok(process)
}

fn change(process: &mut Process, options: &Options) -> Result<(), Stop> {
    if let Some(cwd) = options.text("cwd")? {
        process.cwd = cwd.to_owned();
    }
    if let Some(label) = options.text("process-label")? {
        process.selinux_label = label.to_owned();
    }
    if let Some(profile) = options.text("apparmor")? {
        process.apparmor_profile = profile.to_owned();
    }
    if options.is("no-new-privs") {
        process.no_new_privileges = true;
    }
    for word in options.values("env") {
        process.env.push(text(word, "--env")?.to_owned());
    }
    if let Some(user) = options.text("user")? {
        process.user = user_of(user, &process.user)?;
    }
    for word in options.values("additional-gids") {
        let word = text(word, "--additional-gids")?;
        process.user.additional_gids.push(id(word)?);
    }
    for word in options.values("cap") {
        add_capability(process, text(word, "--cap")?);
    }
    Ok(())
}

/// `UID[:GID]`, both numbers: no name of the container's is looked up, which it could have
/// written to mean anybody (CVE-2016-3697).
fn user_of(word: &str, own: &User) -> Result<User, Stop> {
    let (uid, gid) = match word.split_once(':') {
        Some((uid, gid)) => (id(uid)?, id(gid)?),
        None => (id(word)?, own.gid),
    };
    Ok(User {
        uid,
        gid,
        ..own.clone()
    })
}

/// Digits and nothing else, or another user would be meant (CVE-2026-30892). The last number
/// is no id: setuid(2) takes it for "unchanged".
fn id(word: &str) -> Result<u32, Stop> {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let number = word.parse().ok().filter(|id| is_number && *id < u32::MAX);
    number.ok_or_else(|| Stop::usage(format!("expected a numeric id, found '{word}'")))
}

/// Into all sets but the inheritable one, with which the program's file could gain it again
/// (CVE-2022-29162), and into the ambient one where it is inheritable by the config.json.
fn add_capability(process: &mut Process, name: &str) {
    let sets = process
        .capabilities
        .get_or_insert_with(Capabilities::default);
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        if !set.iter().any(|own| own == name) {
            set.push(name.to_owned());
        }
    }
    let is_in = |set: &[String]| set.iter().any(|own| own == name);
    if is_in(&sets.inheritable) && !is_in(&sets.ambient) {
        sets.ambient.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number() {
        let own = User {
            gid: 7,
            ..User::default()
        };
        let ids = |word: &str| user_of(word, &own).ok().map(|user| (user.uid, user.gid));
        assert_eq!(ids("1000"), Some((1000, 7)));
        assert_eq!(ids("1000:100"), Some((1000, 100)));
        for word in [
            "",
            "root",
            "1000:",
            ":5",
            "+1",
            "1 ",
            " 1",
            "-1",
            "0x1",
            "1:2:3",
            "4294967295",
            "4294967296",
            "99999999999999999999",
        ] {
            assert_eq!(ids(word), None, "{word:?}");
        }
    }

    #[test]
    fn a_capability_is_never_inheritable() {
        let mut process = Process::default();
        add_capability(&mut process, "CAP_SYS_ADMIN");
        let sets = process.capabilities.as_mut().expect("there are some");
        assert_eq!(sets.effective, ["CAP_SYS_ADMIN"]);
        assert!(sets.inheritable.is_empty() && sets.ambient.is_empty());
        // But what the config.json has made so is ambient too.
        sets.inheritable.push("CAP_SYSLOG".to_owned());
        add_capability(&mut process, "CAP_SYSLOG");
        let sets = process.capabilities.expect("there are some");
        assert_eq!(sets.ambient, ["CAP_SYSLOG"]);
    }
}
