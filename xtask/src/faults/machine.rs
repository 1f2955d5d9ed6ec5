//! What a run could leave behind, but for processes: the tracer sees those.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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
        machine.folders("cgroup", Path::new("/sys/fs/cgroup"));
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

    fn folders(&mut self, what: &str, folder: &Path) {
        for name in names_in(folder) {
            let path = folder.join(name);
            if path.is_dir() && !path.is_symlink() {
                self.0.insert(format!("{what} {}", path.display()));
                self.folders(what, &path);
            }
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

    /// Where others keep files, too, only those with our name on them.
    fn ours_in(&mut self, folder: &Path) {
        let names = names_in(folder)
            .into_iter()
            .filter(|name| name.contains("warren"));
        self.0
            .extend(names.map(|name| format!("file {}", folder.join(name).display())));
    }
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
    }
}
