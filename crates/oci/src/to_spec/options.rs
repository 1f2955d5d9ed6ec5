//! The options of a mount.

use crate::config::Mount;
use crate::error::Error;

/// What the options of one mount ask for.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// A file or folder of the host; with all that is mounted in it?
    pub bind: Option<Recursion>,
    pub read_only: bool,
    pub no_devices: bool,
    pub no_execute: bool,
    /// The files appear under other ids.
    pub id_mapped: bool,
    /// Options of the filesystem, with their values, and with their place in the list.
    pub data: Vec<(usize, &'a str, Option<&'a str>)>,
    /// Options that nothing comes of, and whether that weakens.
    pub lost: Vec<(usize, &'static str, bool)>,
}

/// Whether a bind is one of the mounts below its source too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    Whole,
    Alone,
}

impl<'a> Options<'a> {
    /// Reads the options of `mounts[index]`.
    pub fn read(mount: &'a Mount, index: usize) -> Result<Self, Error> {
        let mut options = Self::default();
        if mount.r#type == "bind" {
            options.bind = Some(Recursion::Whole);
        }
        for (place, word) in mount.options.iter().enumerate() {
            if word.is_empty() {
                let path = format!("mounts[{index}].options[{place}]");
                return Err(Error::new(path, "is empty"));
            }
            options.take(place, word);
        }
        options.id_mapped |=
            !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        Ok(options)
    }

    fn take(&mut self, place: usize, word: &'a str) {
        match word {
            "bind" => self.bind = Some(Recursion::Alone),
            "rbind" => self.bind = Some(Recursion::Whole),
            // Every mount in the tree is read-only here, or none.
            "ro" | "rro" => self.read_only = true,
            "rw" | "rrw" => self.read_only = false,
            "nodev" | "rnodev" => self.no_devices = true,
            "dev" | "rdev" => self.no_devices = false,
            "noexec" => self.no_execute = true,
            "exec" | "rexec" => self.no_execute = false,
            "rnoexec" => {
                self.no_execute = true;
                let what = "it is of this mount alone, not of those in it";
                self.lost.push((place, what, true));
            }
            "nosymfollow" | "rnosymfollow" => {
                self.lost.push((place, "symlinks are followed", true));
            }
            "idmap" | "ridmap" => self.id_mapped = true,
            "shared" | "rshared" | "slave" | "rslave" => {
                self.lost.push((place, "the mount is private", false));
            }
            "tmpcopyup" => {
                self.lost.push((place, "the filesystem is empty", false));
            }
            // Every mount is both.
            "nosuid" | "rnosuid" | "private" | "rprivate" | "unbindable"
            | "runbindable" | "notmpcopyup" => {}
            // Set-user-id bits are never honoured.
            "suid" | "rsuid" | "symfollow" | "rsymfollow" => {}
            // When times are written is the filesystem's affair, not isolation's.
            "defaults" | "async" | "sync" | "dirsync" | "lazytime" | "nolazytime"
            | "atime" | "ratime" | "noatime" | "rnoatime" | "diratime" | "rdiratime"
            | "nodiratime" | "rnodiratime" | "relatime" | "rrelatime" | "norelatime"
            | "rnorelatime" | "strictatime" | "rstrictatime" | "nostrictatime"
            | "rnostrictatime" | "iversion" | "noiversion" | "silent" | "loud"
            | "mand" | "nomand" => {}
            data => match data.split_once('=') {
                Some((key, value)) => self.data.push((place, key, Some(value))),
                None => self.data.push((place, data, None)),
            },
        }
    }

    /// Takes the value of the filesystem's option `key`; the last one counts.
    pub fn value(&mut self, key: &str) -> Option<(usize, &'a str)> {
        let mut found = None;
        self.data.retain(|(place, name, value)| {
            if *name == key {
                found = value.map(|value| (*place, value));
            }
            *name != key
        });
        found
    }
}
