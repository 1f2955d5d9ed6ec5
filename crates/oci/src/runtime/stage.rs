//! Where criu works when it brings a container back: a mount namespace of its own, in which the
//! root of the container is a mount.
//!
//! It ends with the last process in there, so that no mount is left, whatever happens.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use warren_mounts::Attributes;
use warren_namespaces::{Kind, NsFd};
use warren_sys::Errno;

use super::error::Error;

/// Does something there; the caller is back afterwards. With `read_only` nothing in the root
/// can be written, nor where criu mounts it, which is as it is here.
pub(super) fn with_root<T>(
    root: &Path,
    read_only: bool,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |errno| Error::errno("make a mount namespace for criu", errno);
    elsewhere(
        || {
            warren_sys::unshare(Kind::Mnt.clone_flag()).map_err(failed)?;
            warren_mounts::make_all_slaves().map_err(failed)
        },
        || {
            mount_root(root, read_only).map_err(|errno| {
                Error::errno(format!("mount the root {}", root.display()), errno)
            })?;
            act()
        },
    )
}

/// Does something with the mount namespace of a container, given open.
pub(super) fn inside<T>(
    namespace: &OwnedFd,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |errno| Error::errno("enter the container's mount namespace", errno);
    let enter = || warren_sys::setns(namespace.as_fd(), Kind::Mnt.clone_flag());
    elsewhere(|| enter().map_err(failed), act)
}

/// Goes elsewhere, does something, and comes back: to the same folder too, since setns(2)
/// goes to the root.
fn elsewhere<T>(
    go: impl FnOnce() -> Result<(), Error>,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |errno| Error::errno("come back to the own mount namespace", errno);
    let own = NsFd::open(Path::new("/proc/thread-self/ns/mnt")).map(NsFd::into_fd);
    let own = own.map_err(failed)?;
    let here = open_folder(Path::new(".")).map_err(failed)?;
    go()?;
    let done = act();
    warren_sys::setns(own.as_fd(), Kind::Mnt.clone_flag()).map_err(failed)?;
    rustix::process::fchdir(&here).map_err(failed)?;
    done
}

fn mount_root(root: &Path, read_only: bool) -> Result<(), Errno> {
    rustix::mount::mount_bind_recursive(root, root)?;
    if read_only {
        let root = open_folder(root)?;
        warren_mounts::add_attributes(root.as_fd(), c"", Attributes::READ_ONLY)?;
    }
    Ok(())
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
