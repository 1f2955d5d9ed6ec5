//! Refused since a file is not shown, or only to be read.

use std::path::{Path, PathBuf};

use warren_spawn::Access;
use warren_sys::Errno;

use super::Auditor;
use super::refusal::{Cure, Refusal};
use crate::address::Address;
use crate::event::{Event, Name};
use crate::observed::Failure;
use crate::shape;
use crate::view::Seen;
use crate::wants::{Use, Wants};

const NOT_SHOWN: &str = "not shown";
const READ_ONLY: &str = "read-only";
const HIDDEN: &str = "hidden";
const FOREIGN: &str = "owned by an id that is not in the run";
const OWN_MOUNT: &str = "shown as a mount of its own";

impl Auditor<'_> {
    pub(super) fn by_path(&self, failure: &Failure) -> Option<Refusal> {
        let socket = socket(&failure.event);
        let mut uses: Vec<&Use> = failure.event.uses.iter().chain(&socket).collect();
        // A link on the way that is not shown is the first that fails.
        uses.retain(|one| one.wants != Wants::PASS);
        let found = match failure.errno {
            Errno::XDEV | Errno::BUSY => self.across_mounts(&failure.event),
            errno => uses.iter().find_map(|one| {
                let (reason, cure) = self.of_file(one, errno)?;
                Some((*one, reason, cure))
            }),
        };
        let (one, reason, cure) = found?;
        let call = failure.event.name.to_string();
        Some(Refusal {
            action: action(&call, one),
            call,
            path: Some(one.path.clone()),
            reason,
            errno: failure.errno.raw_os_error(),
            cure,
        })
    }

    fn of_file(&self, one: &Use, errno: Errno) -> Option<(&'static str, Cure)> {
        let seen = self.view.at(&one.path);
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::CONNREFUSED => self.absent(one, &seen),
            Errno::ROFS => Some((READ_ONLY, self.to_write(one, &seen))),
            Errno::ACCESS | Errno::PERM => self.forbidden(one, &seen),
            _ => None,
        }
    }

    /// What the program did not find, and the host has.
    fn absent(&self, one: &Use, seen: &Seen) -> Option<(&'static str, Cure)> {
        // What is shown of the host, and what the kernel makes, is as it is.
        if !matches!(seen, Seen::Private | Seen::Nothing) {
            return None;
        }
        let path = match one.wants.contains(Wants::CREATE) {
            false => self.host.exists(&one.path).then(|| one.path.clone())?,
            // What is to be made needs the folder, be it there or a level above.
            true => self.folder_of_host(&one.path)?,
        };
        let changes = one.wants.intersects(Wants::CHANGES);
        let path = match one.wants.contains(Wants::REMOVE) {
            true => path.parent()?.to_owned(),
            false => path,
        };
        Some((NOT_SHOWN, self.bind(&path, &path, changes)))
    }

    /// The folder of the host in which a name would be made, unless that is shown.
    fn folder_of_host(&self, path: &Path) -> Option<PathBuf> {
        let folder = path.parent()?;
        let hidden = matches!(self.view.at(folder), Seen::Private | Seen::Nothing);
        (hidden && self.host.is_folder(folder) == Some(true)).then(|| folder.to_owned())
    }

    /// What would make a place writable.
    fn to_write(&self, one: &Use, seen: &Seen) -> Cure {
        let names = Wants::CREATE | Wants::REMOVE;
        let target = match one.wants.intersects(names) {
            true => one.path.parent().unwrap_or(Path::new("/")),
            false => &one.path,
        };
        let source = match (seen, self.view.at(target)) {
            (Seen::Host { access, .. }, Seen::Host { path, .. })
                if *access == Access::ReadOnly =>
            {
                path
            }
            // The root itself, which is sealed.
            (Seen::Nothing, Seen::Nothing) => target.to_owned(),
            _ => return Cure::None,
        };
        match self.host.is_folder(&source) {
            Some(_) if self.host.may(&source, Wants::WRITE) => {
                self.bind(&source, target, true)
            }
            _ => Cure::None,
        }
    }

    /// What is shown and may not be used.
    fn forbidden(&self, one: &Use, seen: &Seen) -> Option<(&'static str, Cure)> {
        let changes = one.wants.intersects(Wants::CHANGES);
        match seen {
            // Masks lie on paths of the host.
            Seen::Masked => match self.host.may(&one.path, one.wants) {
                true => Some((HIDDEN, self.bind(&one.path, &one.path, changes))),
                false => Some((HIDDEN, Cure::None)),
            },
            Seen::Kernel => Some((HIDDEN, Cure::None)),
            // Landlock may be asked before the mount is.
            Seen::Host { access, .. }
                if *access == Access::ReadOnly && changes && self.landlock.is_some() =>
            {
                Some((READ_ONLY, self.to_write(one, seen)))
            }
            Seen::Host { path, .. } if self.has_foreign_ids => {
                let names = one.wants.intersects(Wants::CREATE | Wants::REMOVE);
                let asked = match names {
                    true => self.host.may(path.parent()?, Wants::WRITE),
                    false => self.host.may(path, one.wants),
                };
                asked.then(|| (FOREIGN, Cure::options(["--map", "single"])))
            }
            _ => None,
        }
    }

    /// A name that was to go from one mount to another, or is one.
    fn across_mounts<'e>(
        &self,
        event: &'e Event,
    ) -> Option<(&'e Use, &'static str, Cure)> {
        let Name::Native(name) = event.name else {
            return None;
        };
        let named = event.uses.iter().filter(|one| one.wants != Wants::PASS);
        let named: Vec<&Use> = named.collect();
        let last = *named.last()?;
        let folders = named.iter().map(|one| one.path.parent());
        let folders: Vec<&Path> = folders.collect::<Option<_>>()?;
        let is_joining = shape::JOINING.contains(&name);
        let is_mount = named.iter().any(|one| self.view.is_mount_point(&one.path));
        if !is_joining && !is_mount {
            return None;
        }
        let common = folders
            .first()?
            .ancestors()
            .find(|ancestor| folders.iter().all(|folder| folder.starts_with(ancestor)))?;
        let cure = match common == Path::new("/") || !self.host.exists(common) {
            true => Cure::None,
            false => self.bind(common, common, true),
        };
        Some((last, OWN_MOUNT, cure))
    }

    fn bind(&self, source: &Path, target: &Path, writable: bool) -> Cure {
        match target == Path::new("/") {
            // It would cover the whole run.
            true => Cure::None,
            false => Cure::bind(source, target, writable),
        }
    }
}

/// The file of a socket that the call was about.
fn socket(event: &Event) -> Option<Use> {
    let contact = event.contact.as_ref()?;
    let Address::File(path) = &contact.address else {
        return None;
    };
    let wants = match contact.binds {
        true => Wants::CREATE,
        false => Wants::CONNECT,
    };
    Some(Use {
        path: path.clone(),
        existed: true,
        wants,
    })
}

/// `open /a to read`, `mkdir /b`.
fn action(call: &str, one: &Use) -> String {
    let (verb, path) = (verb(call), one.path.display());
    match call.starts_with("open") || call == "creat" {
        true => format!("{verb} {path} {}", one.wants.words()),
        false => format!("{verb} {path}"),
    }
}

/// What a call does, without its variants.
fn verb(call: &str) -> &str {
    match call {
        "open" | "openat" | "openat2" | "creat" => "open",
        "stat" | "lstat" | "newfstatat" | "statx" | "access" | "faccessat"
        | "faccessat2" | "readlink" | "readlinkat" => "look up",
        "execve" | "execveat" => "run",
        "getdents" | "getdents64" => "list",
        "sendto" | "sendmsg" | "sendmmsg" => "connect",
        call => call.strip_suffix("at").unwrap_or(call),
    }
}
