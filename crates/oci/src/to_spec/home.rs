//! Where the container's user lives: the variable `HOME`, which every runtime sets from the
//! container's passwd(5) where the config.json does not.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::Reader;
use crate::config;

const PASSWD: &str = "/etc/passwd";
/// The largest file that is read, in bytes: the image's author wrote it.
const MAX_LENGTH: u64 = 1 << 20;

impl Reader<'_> {
    /// Sets `HOME` if the environment has none, or an empty one.
    pub(super) fn home(&mut self) {
        let Some(process) = &self.config.process else {
            return;
        };
        let env = &mut self.spec.env;
        env.retain(|(key, value)| key != "HOME" || !value.is_empty());
        if env.iter().any(|(key, _)| key == "HOME") {
            return;
        }
        let text = self.passwd().unwrap_or_default();
        let home = of(&text, process.user.uid).unwrap_or("/").to_owned();
        self.spec.env.push(("HOME".into(), home.into()));
    }

    /// The text of the file that the container will see there.
    fn passwd(&self) -> Option<String> {
        let mounts = self.config.mounts.iter().rev();
        let mut covering = mounts.filter(|mount| {
            let target = Path::new("/").join(&mount.destination);
            Path::new(PASSWD).starts_with(target)
        });
        match covering.next() {
            None => read(self.opened_root.as_ref()?, Path::new("etc/passwd")),
            Some(mount) => {
                let (source, rest) = self.bound(mount)?;
                read_bound(&source, &rest)
            }
        }
    }

    /// Of what is bound, its source and the rest of the way to the file.
    fn bound(&self, mount: &config::Mount) -> Option<(PathBuf, PathBuf)> {
        let is_bind = mount.r#type == "bind"
            || mount
                .options
                .iter()
                .any(|word| word == "bind" || word == "rbind");
        let target = Path::new("/").join(&mount.destination);
        let rest = Path::new(PASSWD).strip_prefix(target).ok()?;
        let source = self.of_bundle(&mount.source);
        is_bind.then(|| (source, rest.to_owned()))
    }
}

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Reads what is bound, a file or one below it.
fn read_bound(source: &Path, path: &Path) -> Option<String> {
    let open = |flags| rustix::fs::open(source, flags, Mode::empty()).ok();
    if path.as_os_str().is_empty() {
        return text(open(FLAGS)?);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    read(open(flags)?, path)
}

/// Reads a file below `root` as a process with that root would find it: a link of the image
/// leads to none of the host's.
fn read(root: impl AsFd, path: &Path) -> Option<String> {
    let limits = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(root, path, FLAGS, Mode::empty(), limits);
    text(file.ok()?)
}

fn text(file: OwnedFd) -> Option<String> {
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The home of a user id, if a line has one.
fn of(passwd: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_one = fields.len() >= 6 && fields[2] == uid && !fields[5].is_empty();
        is_one.then(|| fields[5])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_that_of_the_number_and_of_no_name() {
        let text = "# a comment\n1000:x:0:0::/wrong:/bin/sh\nu:x:1000:1:a,b:/home/u:\n";
        assert_eq!(of(text, 1000), Some("/home/u"));
        assert_eq!(of(text, 0), Some("/wrong"));
        assert_eq!(of(text, 7), None);
        assert_eq!(of("u:x:7:7:short", 7), None);
    }

    #[test]
    fn a_link_of_the_image_leads_to_no_file_of_the_host() {
        let name = format!("warren-home-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(root.join("etc")).expect("a root");
        std::os::unix::fs::symlink("/etc/hostname", root.join("etc/passwd"))
            .expect("a link");
        assert_eq!(read_bound(&root, Path::new("etc/passwd")), None);
        std::fs::write(root.join("etc/hostname"), "own").expect("a file");
        let found = read_bound(&root, Path::new("etc/passwd"));
        assert_eq!(found.as_deref(), Some("own"));
        std::fs::remove_dir_all(&root).expect("remove it");
    }
}
