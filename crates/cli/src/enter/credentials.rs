//! Who the command is.

use std::str::FromStr;

use warren_confine::CapabilitySet;
use warren_namespaces::{IdMap, Kind, NsFd, ProcRoot, namespaces_of};
use warren_spawn::{Spec, User};

use super::target::Entered;
use crate::failure::Failure;

/// What `--user` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The target's ids and capabilities.
    Follow,
    /// The caller's.
    Preserve,
    /// These ids.
    Ids { uid: u32, gid: u32 },
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "follow" => return Ok(Self::Follow),
            "preserve" => return Ok(Self::Preserve),
            _ => {}
        }
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| text.parse().ok()).flatten();
            // The last one means "no change" to the kernel.
            number.filter(|id| *id != u32::MAX).ok_or_else(|| {
                format!(
                    "'{text}' is no id; names are not looked up, since the host's and the \
                     target's may differ"
                )
            })
        };
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        Ok(Self::Ids {
            uid: number(user)?,
            gid: number(group)?,
        })
    }
}

/// Sets the ids, and with `follow` the capabilities.
pub fn set(
    spec: &mut Spec,
    who: Option<Who>,
    entered: &Entered,
    proc: &ProcRoot,
) -> Result<(), Failure> {
    match who {
        Some(Who::Preserve) => {}
        Some(Who::Ids { uid, gid }) => {
            let groups = may_set_groups(entered, proc).then(Vec::new);
            spec.user = Some(User { uid, gid, groups });
        }
        Some(Who::Follow) => follow(spec, entered, proc)?,
        None => spec.user = root_of(entered, proc),
    }
    Ok(())
}

/// Root of the entered user namespace, if it has one.
fn root_of(entered: &Entered, proc: &ProcRoot) -> Option<User> {
    if !entered.enters(Kind::User) {
        return None;
    }
    // Of a user namespace without processes nobody can read the maps.
    let Some(pid) = process_in_user_namespace(entered, proc) else {
        return Some(User {
            groups: None,
            ..User::ROOT
        });
    };
    root_of_process(pid, proc)
}

/// Root of a process's user namespace, if it has one.
pub fn root_of_process(pid: u32, proc: &ProcRoot) -> Option<User> {
    let has_root = |name| map(proc, pid, name).iter().any(|line| line.inside == 0);
    (has_root("uid_map") && has_root("gid_map")).then(|| User {
        uid: 0,
        gid: 0,
        groups: setgroups_allowed(proc, pid).then(Vec::new),
    })
}

fn may_set_groups(entered: &Entered, proc: &ProcRoot) -> bool {
    if !entered.enters(Kind::User) {
        return entered.rights.are_privileged();
    }
    process_in_user_namespace(entered, proc)
        .is_some_and(|pid| setgroups_allowed(proc, pid))
}

/// Where the map was written without privilege, groups can never be given up.
fn setgroups_allowed(proc: &ProcRoot, pid: u32) -> bool {
    let text = proc.read(&format!("{pid}/setgroups")).unwrap_or_default();
    text.trim_ascii() == b"allow"
}

fn map(proc: &ProcRoot, pid: u32, name: &str) -> Vec<IdMap> {
    let text = proc.read(&format!("{pid}/{name}")).unwrap_or_default();
    IdMap::parse_file(&String::from_utf8_lossy(&text)).unwrap_or_default()
}

/// The target, or any process that tells of its user namespace.
fn process_in_user_namespace(entered: &Entered, proc: &ProcRoot) -> Option<u32> {
    if let Some(pid) = entered.pid() {
        return Some(pid);
    }
    let user = entered
        .namespaces
        .iter()
        .find(|found| found.kind() == Kind::User);
    let id = user.map(NsFd::id)?.ok()?;
    let names = std::fs::read_dir("/proc").ok()?;
    names
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| {
            let ids = namespaces_of(proc, *pid);
            ids.is_ok_and(|ids| ids.get(Kind::User) == Some(id))
        })
}

/// The target's ids, as its user namespace counts, its capabilities, and whether it has
/// given up new privileges.
fn follow(spec: &mut Spec, entered: &Entered, proc: &ProcRoot) -> Result<(), Failure> {
    let pid = entered
        .pid()
        .ok_or_else(|| entered.needs_process("--user follow"))?;
    let status = proc.read(&format!("{pid}/status"))?;
    let status = Status::parse(&String::from_utf8_lossy(&status));
    let maps = ["uid_map", "gid_map"].map(|name| map(proc, pid, name));
    entered.is_alive()?;
    let inside = |map: &[IdMap], id: u32| {
        if !entered.enters(Kind::User) {
            return Some(id);
        }
        map.iter().find_map(|line| line.to_inside(id))
    };
    let unmapped = |what| {
        super::wrap(
            &entered.name,
            format!("--user follow: the target's {what} is not mapped"),
        )
        .hint("enter its user namespace as well, or name ids: --user U:G")
    };
    let groups = status
        .groups
        .iter()
        .filter_map(|gid| inside(&maps[1], *gid));
    spec.user = Some(User {
        uid: inside(&maps[0], status.uid).ok_or_else(|| unmapped("uid"))?,
        gid: inside(&maps[1], status.gid).ok_or_else(|| unmapped("gid"))?,
        groups: may_set_groups(entered, proc).then(|| groups.collect()),
    });
    spec.capabilities = Some(CapabilitySet::from_bits(status.capabilities));
    spec.no_new_privs = status.no_new_privs;
    Ok(())
}

/// What /proc/PID/status says of a process's credentials.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: u64,
    no_new_privs: bool,
}

impl Status {
    fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let mut words = value.split_ascii_whitespace();
            // Real, effective, saved, for files: the second counts.
            let effective = || words.clone().nth(1)?.parse().ok();
            match key {
                "Uid" => status.uid = effective().unwrap_or_default(),
                "Gid" => status.gid = effective().unwrap_or_default(),
                "Groups" => {
                    status.groups = words.filter_map(|word| word.parse().ok()).collect();
                }
                "CapEff" => {
                    let bits = words.next().unwrap_or_default();
                    status.capabilities = u64::from_str_radix(bits, 16).unwrap_or(0);
                }
                "NoNewPrivs" => status.no_new_privs = words.next() == Some("1"),
                _ => {}
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_numbers_or_a_word() {
        assert_eq!("follow".parse(), Ok(Who::Follow));
        assert_eq!("preserve".parse(), Ok(Who::Preserve));
        let ids = |uid, gid| Ok(Who::Ids { uid, gid });
        assert_eq!("7".parse::<Who>(), ids(7, 7));
        assert_eq!("7:9".parse::<Who>(), ids(7, 9));
        for text in ["", "root", "1:", ":1", "-1", "4294967295", "1:2:3"] {
            assert!(text.parse::<Who>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_effective_ids_and_capabilities_of_a_status_are_read() {
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t4 24 \n\
                    CapEff:\t00000000a80425fb\nNoNewPrivs:\t1\n";
        let expected = Status {
            uid: 2,
            gid: 6,
            groups: vec![4, 24],
            capabilities: 0xa804_25fb,
            no_new_privs: true,
        };
        assert_eq!(Status::parse(text), expected);
    }
}
