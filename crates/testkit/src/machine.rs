//! What is on the machine that a test could leave behind, before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::processes;
use crate::stage::ORDINARY_USER;

/// Mounts, links, cgroups, devices, files and processes at one moment, each as a line of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    things: BTreeSet<String>,
}

impl Snapshot {
    /// Looks at the machine. Processes are those that descend from the calling one.
    pub fn take() -> Self {
        let mut things = BTreeSet::new();
        things.extend(mounts());
        things.extend(links());
        things.extend(cgroups(Path::new("/sys/fs/cgroup")));
        things.extend(devices());
        for folder in ["/run/warren", "/run/netns"] {
            things.extend(entries(folder, |_, _| true));
        }
        for folder in ["/tmp", "/dev/shm", "/run"] {
            things.extend(entries(folder, can_be_ours));
        }
        for (pid, name) in processes::descendants() {
            things.insert(format!("process {pid} {name}"));
        }
        Self { things }
    }
}

/// The device files that everybody shares: whose they are, and who may use them.
fn devices() -> impl Iterator<Item = String> {
    ["null", "zero", "full", "random", "urandom", "tty"]
        .into_iter()
        .filter_map(|name| {
            let path = format!("/dev/{name}");
            let stat = fs::metadata(&path).ok()?;
            let (uid, gid, mode) = (stat.uid(), stat.gid(), stat.mode());
            Some(format!("device {path} of {uid}:{gid}, {mode:o}"))
        })
}

/// What is there after and was not before, and which mounts and links have gone.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let left = after
        .things
        .difference(&before.things)
        .map(|thing| format!("left {thing}"));
    let gone = before.things.difference(&after.things);
    let gone =
        gone.filter(|thing| thing.starts_with("mount ") || thing.starts_with("link "));
    left.chain(gone.map(|thing| format!("gone {thing}")))
        .collect()
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let all = text.lines().filter_map(mount_of_line);
    numbered(all.filter(|mount| !is_the_sessions(mount)))
}

/// Mounts stack: the second one at a point is a thing of its own.
fn numbered(mounts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    mounts
        .map(|mount| {
            let count = seen
                .entry(mount.clone())
                .and_modify(|count| *count += 1)
                .or_insert(1);
            if *count == 1 {
                mount
            } else {
                format!("{mount} ({count})")
            }
        })
        .collect()
}

/// `ID PARENT DEV ROOT POINT OPTIONS TAGS... - TYPE SOURCE ...`.
fn mount_of_line(line: &str) -> Option<String> {
    let point = line.split(' ').nth(4)?;
    let (_, after) = line.split_once(" - ")?;
    Some(format!("mount {point} {}", after.split(' ').next()?))
}

/// systemd mounts these when a user logs in or a unit starts.
fn is_the_sessions(mount: &str) -> bool {
    [
        "mount /run/user/",
        "mount /run/credentials/",
        "mount /proc/sys/fs/binfmt_misc",
    ]
    .iter()
    .any(|known| mount.starts_with(known))
}

fn links() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(format!("link {}", entry.ok()?.file_name().display())))
        .collect()
}

fn cgroups(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        // Links such as cpu -> cpu,cpuacct are not followed.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if !is_a_unit(&path) {
            found.push(format!("cgroup {}", path.display()));
        }
        found.extend(cgroups(&path));
    }
    found
}

/// systemd starts and ends units of its own while the tests run.
fn is_a_unit(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unit = [".service", ".scope", ".slice", ".mount", ".socket", ".swap"];
    unit.iter().any(|suffix| name.ends_with(suffix)) && !name.contains("warren")
}

fn entries(folder: &str, ours: fn(&str, u32) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = entry.metadata().map_or(0, |metadata| metadata.uid());
        if ours(&name, owner) {
            found.push(format!("file {folder}/{name} of user {owner}"));
        }
    }
    found
}

/// Other programs use these folders too: ours is what bears the name, or belongs to the
/// tests' user or to one that only a container has.
fn can_be_ours(name: &str, owner: u32) -> bool {
    // What another run of these tests or of a chore works in, and removes itself.
    let stages = ["warren-tests.", "warren-faults.", "warren-bench."];
    if stages.iter().any(|stage| name.starts_with(stage)) {
        return false;
    }
    let own = rustix::process::geteuid();
    name.contains("warren")
        || owner == ORDINARY_USER
        || owner > u32::from(u16::MAX)
        || (!own.is_root() && owner == own.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(things: &[&str]) -> Snapshot {
        Snapshot {
            things: things.iter().map(|thing| (*thing).to_owned()).collect(),
        }
    }

    #[test]
    fn nothing_differs_between_equal_snapshots() {
        let one = snapshot(&["mount / ext4"]);
        assert!(difference(&one, &one).is_empty());
    }

    #[test]
    fn a_new_thing_is_left_and_a_lost_mount_is_gone() {
        let before = snapshot(&["mount /a tmpfs", "file /tmp/x of user 0"]);
        let after = snapshot(&["process 7 sleep"]);
        assert_eq!(
            difference(&before, &after),
            ["left process 7 sleep", "gone mount /a tmpfs"]
        );
    }

    #[test]
    fn mountinfo_gives_point_and_type() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_of_line(line).as_deref(), Some("mount /mnt2 ext3"));
    }

    #[test]
    fn a_second_mount_at_a_point_is_seen() {
        let twice = ["mount /x tmpfs".to_owned(), "mount /x tmpfs".to_owned()];
        assert_eq!(
            numbered(twice.into_iter()),
            ["mount /x tmpfs", "mount /x tmpfs (2)"]
        );
    }

    #[test]
    fn the_units_of_systemd_are_not_ours_unless_named_so() {
        assert!(is_a_unit(Path::new(
            "/sys/fs/cgroup/system.slice/x.service"
        )));
        assert!(!is_a_unit(Path::new("/sys/fs/cgroup/warren-1.scope")));
        assert!(!is_a_unit(Path::new("/sys/fs/cgroup/pod")));
    }

    #[test]
    fn the_folder_of_another_run_is_not_ours() {
        assert!(!can_be_ours("warren-tests.7", ORDINARY_USER));
        assert!(can_be_ours("warren-root.7", 0));
        assert!(can_be_ours("x", ORDINARY_USER));
    }

    #[test]
    fn a_look_at_this_machine_finds_its_root() {
        let taken = Snapshot::take();
        assert!(
            taken
                .things
                .iter()
                .any(|thing| thing.starts_with("mount / "))
        );
    }
}
