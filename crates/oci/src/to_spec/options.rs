//! The options of a mount.

use warren_spawn::{FlagChange, Propagation, PropagationKind};

use crate::config::Mount;
use crate::error::Error;

/// What the options of one mount ask for.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// A file or folder of the host; with all that is mounted in it?
    pub bind: Option<Recursion>,
    /// What changes of the mount.
    pub flags: FlagChange,
    /// What changes of it and of all that is mounted in it.
    pub flags_below: FlagChange,
    /// How mounts in it spread.
    pub propagation: Vec<Propagation>,
    /// `MS_*` bits of the filesystem itself.
    pub super_flags: u64,
    /// The files appear under other ids; in all that is mounted in it too?
    pub id_mapped: Option<bool>,
    /// What it covers is copied into it.
    pub copy_up: bool,
    /// Options of the filesystem, with their place in the list.
    pub data: Vec<(usize, &'a str)>,
}

/// Whether a bind is one of the mounts below its source too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    Whole,
    Alone,
}

const READ_ONLY: u32 = FlagChange::READ_ONLY;
const NO_SUID: u32 = FlagChange::NO_SUID;
const NO_DEVICES: u32 = FlagChange::NO_DEVICES;
const NO_EXEC: u32 = FlagChange::NO_EXEC;
const ATIME: u32 = FlagChange::ATIME;
const NO_ATIME: u32 = FlagChange::NO_ATIME;
const STRICT_ATIME: u32 = FlagChange::STRICT_ATIME;
const NO_DIR_ATIME: u32 = FlagChange::NO_DIR_ATIME;
const NO_SYMFOLLOW: u32 = FlagChange::NO_SYMFOLLOW;

/// Of a word, the bits that it sets and those that it clears before. With an `r` in front
/// it is of all that is mounted in the mount, too.
pub const FLAGS: [(&str, u32, u32); 19] = [
    ("ro", READ_ONLY, 0),
    ("rw", 0, READ_ONLY),
    ("nosuid", NO_SUID, 0),
    ("suid", 0, NO_SUID),
    ("nodev", NO_DEVICES, 0),
    ("dev", 0, NO_DEVICES),
    ("noexec", NO_EXEC, 0),
    ("exec", 0, NO_EXEC),
    ("noatime", NO_ATIME, ATIME),
    ("atime", 0, ATIME),
    ("strictatime", STRICT_ATIME, ATIME),
    ("nostrictatime", 0, ATIME),
    ("relatime", 0, ATIME),
    ("norelatime", 0, ATIME),
    ("nodiratime", NO_DIR_ATIME, 0),
    ("diratime", 0, NO_DIR_ATIME),
    ("nosymfollow", NO_SYMFOLLOW, 0),
    ("symfollow", 0, NO_SYMFOLLOW),
    ("defaults", 0, 0),
];

/// Of a word, the bits `MS_*` of the filesystem that it sets and clears.
pub const SUPER_FLAGS: [(&str, u64, u64); 12] = [
    ("sync", 1 << 4, 0),
    ("async", 0, 1 << 4),
    ("mand", 1 << 6, 0),
    ("nomand", 0, 1 << 6),
    ("dirsync", 1 << 7, 0),
    ("silent", 1 << 15, 0),
    ("loud", 0, 1 << 15),
    ("iversion", 1 << 23, 0),
    ("noiversion", 0, 1 << 23),
    ("lazytime", 1 << 25, 0),
    ("nolazytime", 0, 1 << 25),
    ("remount", 0, 0),
];

pub const PROPAGATION: [(&str, PropagationKind); 4] = [
    ("shared", PropagationKind::Shared),
    ("slave", PropagationKind::Slave),
    ("private", PropagationKind::Private),
    ("unbindable", PropagationKind::Unbindable),
];

impl<'a> Options<'a> {
    /// Reads the options of `mounts[index]`.
    pub fn read(mount: &'a Mount, index: usize) -> Result<Self, Error> {
        let mut options = Self::default();
        if mount.r#type == "bind" {
            options.bind = Some(Recursion::Alone);
        }
        for (place, word) in mount.options.iter().enumerate() {
            if word.is_empty() || word.contains('\0') {
                let path = format!("mounts[{index}].options[{place}]");
                return Err(Error::new(
                    path,
                    format!("no mount has the option {word:?}"),
                ));
            }
            options.take(place, word);
        }
        if !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
            options.id_mapped.get_or_insert(false);
        }
        Ok(options)
    }

    fn take(&mut self, place: usize, word: &'a str) {
        match word {
            "bind" => self.bind = Some(Recursion::Alone),
            "rbind" => self.bind = Some(Recursion::Whole),
            "idmap" => self.id_mapped = Some(false),
            "ridmap" => self.id_mapped = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "notmpcopyup" => self.copy_up = false,
            word => {
                let known = self.take_flag(word)
                    || self.take_super_flag(word)
                    || self.take_propagation(word);
                if !known {
                    self.data.push((place, word));
                }
            }
        }
    }

    fn take_flag(&mut self, word: &str) -> bool {
        if let Some(change) = flag(word) {
            self.flags.then(change);
            return true;
        }
        match word.strip_prefix('r').and_then(flag) {
            Some(change) => self.flags_below.then(change),
            None => return false,
        }
        true
    }

    fn take_super_flag(&mut self, word: &str) -> bool {
        let found = SUPER_FLAGS.iter().find(|(name, ..)| *name == word);
        if let Some((_, set, clear)) = found {
            self.super_flags = self.super_flags & !clear | set;
        }
        found.is_some()
    }

    fn take_propagation(&mut self, word: &str) -> bool {
        let found = propagation(word);
        self.propagation.extend(found);
        found.is_some()
    }

    /// The filesystem's own options, as mount(2) takes them.
    pub fn data(&self) -> String {
        let words: Vec<&str> = self.data.iter().map(|(_, word)| *word).collect();
        words.join(",")
    }
}

fn flag(word: &str) -> Option<FlagChange> {
    let found = FLAGS.iter().find(|(name, ..)| *name == word);
    found.map(|(_, set, clear)| FlagChange {
        set: *set,
        clear: *clear,
    })
}

/// `shared` or `rshared`, and the like.
pub fn propagation(word: &str) -> Option<Propagation> {
    let find = |word: &str| {
        let mut all = PROPAGATION.iter();
        all.find(|(name, _)| *name == word).map(|(_, kind)| *kind)
    };
    let alone = find(word).map(|kind| (kind, false));
    let whole = || {
        word.strip_prefix('r')
            .and_then(find)
            .map(|kind| (kind, true))
    };
    let (kind, recursive) = alone.or_else(whole)?;
    Some(Propagation { kind, recursive })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Mount {
        Mount {
            options: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Mount::default()
        }
    }

    #[test]
    fn the_last_word_on_a_thing_counts() {
        let mount = read(&["ro", "nosuid", "rw", "noatime", "strictatime", "rro"]);
        let options = Options::read(&mount, 0).expect("good options");
        assert_eq!(options.flags.set, NO_SUID | STRICT_ATIME);
        assert_eq!(options.flags.clear, READ_ONLY | ATIME);
        assert_eq!(options.flags_below.set, READ_ONLY);
    }

    #[test]
    fn what_is_no_word_of_mounts_is_the_filesystems() {
        let mount = read(&["mode=755", "sync", "rslave", "newinstance", "rsync"]);
        let options = Options::read(&mount, 0).expect("good options");
        assert_eq!(options.data(), "mode=755,newinstance,rsync");
        assert_eq!(options.super_flags, 16);
        let slave = Propagation {
            kind: PropagationKind::Slave,
            recursive: true,
        };
        assert_eq!(options.propagation, [slave]);
    }

    #[test]
    fn an_empty_option_is_refused_with_its_path() {
        let mount = read(&["ro", ""]);
        let error = Options::read(&mount, 3).expect_err("an empty word");
        assert_eq!(error.path(), "mounts[3].options[1]");
    }
}
