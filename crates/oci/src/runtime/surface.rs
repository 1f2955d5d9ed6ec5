//! A container without a mount namespace: its root is a mount of its maker's namespace, at its
//! own place, in which the container's mounts are made, and is entered by chroot(2).
//!
//! They last as long as the container is there.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::mount::UnmountFlags;
use warren_namespaces::{Kind, ProcRoot};
use warren_spawn::{Namespace, Spec};
use warren_sys::Errno;

use super::error::Error;
use super::init::Init;
use super::record::Record;
use crate::config::{Config, Namespace as Listed};

/// Gives a config.json without a mount namespace one, so that it can be read as any other;
/// then the answer is the mount on which the root will lie.
pub(super) fn prepare(config: &mut Config, bundle: &Path) -> Result<Option<u64>, Error> {
    let root = config.root.as_ref().map_or("", |root| root.path.as_str());
    let root = bundle.join(root);
    let Some(linux) = &mut config.linux else {
        return Ok(None);
    };
    if linux.namespaces.iter().any(|one| one.r#type == "mount") {
        return Ok(None);
    }
    if !(linux.masked_paths.is_empty() && linux.readonly_paths.is_empty()) {
        return Err(Error::new(
            "unable to restrict sys entries without a private MNT namespace",
        )
        .hint("linux.namespaces has no mount: empty linux.maskedPaths and linux.readonlyPaths"));
    }
    linux.namespaces.push(Listed {
        r#type: "mount".to_owned(),
        ..Listed::default()
    });
    let on = mount_at(&root)
        .map_err(|errno| Error::errno(format!("look at {}", root.display()), errno))?;
    Ok(Some(on.id))
}

/// Has the mounts made where the maker is.
pub(super) fn settle(spec: &mut Spec, record: &Record) {
    if record.lies_on.is_some() {
        spec.namespaces.set(Kind::Mnt, Namespace::Inherit);
        spec.callers_mounts = true;
        spec.root_place = Some(record.rootfs.clone().into());
    }
}

/// The root of such a container, open, which no namespace leads to.
pub(super) fn root(
    record: &Record,
    proc: &ProcRoot,
    init: Init,
) -> Result<Option<OwnedFd>, Error> {
    if record.lies_on.is_none() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = format!("{}/root", init.pid);
    let root = rustix::fs::openat(proc, &path, flags, Mode::empty());
    let root =
        root.map_err(|errno| Error::errno("open the root of the container", errno))?;
    // After it was opened: the number may be another's by then.
    match init.is_alive(proc) {
        true => Ok(Some(root)),
        false => Err(Error::new("cannot exec in a stopped container")),
    }
}

/// Removes them. Who was faster has not: what the root lies on is no mount of the container.
pub(super) fn clear(record: &Record) -> Result<(), Error> {
    let Some(lies_on) = record.lies_on else {
        return Ok(());
    };
    let root = Path::new(&record.rootfs);
    match mount_at(root) {
        Ok(on) if on.is_root && on.id != lies_on => {}
        _ => return Ok(()),
    }
    rustix::mount::unmount(root, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .map_err(|errno| Error::errno(format!("unmount {}", root.display()), errno))
}

/// The mount in which a folder is.
struct On {
    id: u64,
    /// Whether the folder is the root of it.
    is_root: bool,
}

fn mount_at(folder: &Path) -> Result<On, Errno> {
    let found = rustix::fs::statx(CWD, folder, AtFlags::empty(), StatxFlags::MNT_ID)?;
    let is_root = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(On {
        id: found.stx_mnt_id,
        is_root,
    })
}
