//! What a run could leave behind, but for processes: the tracer sees those.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The machine at a moment: a line for each thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// Mounts, links, cgroups, files where runs keep state; `own` is the folder that the
    /// jobs have as XDG_RUNTIME_DIR.
    pub fn now(own: &Path) -> Self {
        let mut machine = Self::default();
        machine.mounts();
        machine.links();
        machine.cgroups();
        machine.everything_below(own);
        machine.everything_below(Path::new("/run/warren"));
        machine.everything_below(Path::new("/dev/shm"));
        for folder in ["/run", "/tmp", "/var/tmp", "/dev"] {
            machine.ours_in(Path::new(folder));
        }
        machine
    }

    /// The machine once it is as `before`, or after a second: programs that have nothing
    /// to do with the run may mount and make links meanwhile.
    pub fn settled(own: &Path, before: &Self) -> Self {
        const PAUSE: Duration = Duration::from_millis(50);
        for _ in 0..20 {
            let now = Self::now(own);
            if now == *before {
                return now;
            }
            thread::sleep(PAUSE);
        }
        Self::now(own)
    }

    /// What is there now and was not, and the other way round.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let new = self
            .0
            .difference(&before.0)
            .map(|line| format!("new {line}"));
        let gone = before
            .0
            .difference(&self.0)
            .map(|line| format!("gone {line}"));
        new.chain(gone).collect()
    }

    fn mounts(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        self.0
            .extend(mounts.lines().map(|line| format!("mount {line}")));
    }

    fn links(&mut self) {
        for name in names_in(Path::new("/sys/class/net")) {
            let flags = fs::read_to_string(format!("/sys/class/net/{name}/flags"));
            let flags = flags.unwrap_or_default();
            self.0.insert(format!("link {name} {}", flags.trim()));
        }
    }

    /// Those below our own and those with our name: others come and go beside them.
    fn cgroups(&mut self) {
        let own = own_cgroups();
        self.cgroups_below(Path::new("/sys/fs/cgroup"), &own);
    }

    fn cgroups_below(&mut self, folder: &Path, own: &[PathBuf]) {
        for name in names_in(folder) {
            let path = folder.join(&name);
            if !path.is_dir() || path.is_symlink() {
                continue;
            }
            if name.contains("warren") || own.iter().any(|own| path.starts_with(own)) {
                self.0.insert(format!("cgroup {}", path.display()));
            }
            self.cgroups_below(&path, own);
        }
    }

    fn everything_below(&mut self, folder: &Path) {
        for name in names_in(folder) {
            let path = folder.join(name);
            self.0.insert(format!("file {}", path.display()));
            if path.is_dir() && !path.is_symlink() {
                self.everything_below(&path);
            }
        }
    }

    /// Where others keep files, too, only those with our name on them; but not those of
    /// chores, which may run beside this one.
    fn ours_in(&mut self, folder: &Path) {
        let names = names_in(folder)
            .into_iter()
            .filter(|name| name.contains("warren") && !crate::stage::is_stage(name));
        self.0
            .extend(names.map(|name| format!("file {}", folder.join(name).display())));
    }
}

/// Where this process is in each hierarchy, at the usual mount points.
fn own_cgroups() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    // HIERARCHY:CONTROLLERS:PATH; that of cgroup v2 has no controllers.
    let folder = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let hierarchy = match controllers.strip_prefix("name=") {
            Some(name) => name,
            None if controllers.is_empty() && !unified => "unified",
            None => controllers,
        };
        let path = path.strip_prefix('/')?;
        Some(Path::new("/sys/fs/cgroup").join(hierarchy).join(path))
    };
    text.lines().filter_map(folder).collect()
}

/// The names in a folder; none if it is not there.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_shows_and_so_does_its_end() {
        let folder = std::env::temp_dir().join(format!("machine.{}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        let mut before = Machine::default();
        before.everything_below(&folder);
        fs::create_dir(folder.join("a")).expect("a new folder");
        fs::write(folder.join("a/b"), "").expect("a new file");
        let mut after = Machine::default();
        after.everything_below(&folder);
        fs::remove_dir_all(&folder).expect("our own folder");
        assert_eq!(after.changes_since(&before).len(), 2);
        assert!(before.changes_since(&after)[0].starts_with("gone file "));
        assert!(after.changes_since(&after).is_empty());
    }

    #[test]
    fn this_machines_root_mount_and_loopback_are_seen() {
        let machine = Machine::now(Path::new("/nonexistent"));
        assert!(
            machine.0.iter().any(|line| line.contains(" / / ")),
            "{machine:?}"
        );
        assert!(
            machine.0.iter().any(|line| line.starts_with("link lo ")),
            "{machine:?}"
        );
        // Where there is any.
        assert_eq!(
            machine.0.iter().any(|line| line.starts_with("cgroup ")),
            Path::new("/sys/fs/cgroup")
                .read_dir()
                .is_ok_and(|mut dir| dir.next().is_some()),
            "{machine:?}"
        );
    }
}
