//! The name of a net namespace as `ip netns` knows it: ip-netns(8).

use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::folder::{self, shown};
use super::pin;
use crate::{Error, NsFd, ProcRoot};

/// Where its names are.
const FOLDER: &str = "/run/netns";

/// Notes in a store that the folder, or the mount on it, was made for the store's sake.
const MADE: &str = ".netns";

/// Where `name` is, or would be.
pub fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Refuses a name that `ip netns` has.
pub fn check_free(name: &str) -> Result<(), Error> {
    if path(name).symlink_metadata().is_err() {
        return Ok(());
    }
    let words = "a net namespace of that name is there";
    Err(Error::words("keep", shown(&path(name)), Errno::EXIST, words)
        .hint("`ip netns delete` removes it; without net among --kinds its name is no matter"))
}

/// Gives a net namespace its name.
pub fn add(
    proc: &ProcRoot,
    store: &Path,
    name: &str,
    namespace: &NsFd,
) -> Result<(), Error> {
    let folder = Path::new(FOLDER);
    prepare(proc, store, folder)?;
    // As ip netns does: others may be about to make the folder a mount.
    let _lock = lock(folder);
    // Its users, in other mount namespaces, shall see what comes and goes.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    pin::own_mount(proc, folder, shared)?;
    pin::pin(namespace, &path(name))
}

/// Takes the name away again, if it is still that of the net namespace `pin`.
pub fn remove(pin: &Path, name: &str) -> Result<(), Error> {
    let path = path(name);
    let id = |path: &Path| NsFd::open(path).and_then(|namespace| namespace.id());
    let ours = match (id(&path), id(pin)) {
        (Ok(there), Ok(kept)) => there == kept,
        // Made or removed by halves.
        (Err(Errno::NOTTY), _) => is_empty_file(&path),
        _ => false,
    };
    if ours { pin::unpin(&path) } else { Ok(()) }
}

fn is_empty_file(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() == 0)
}

/// Makes the folder if it is missing, and notes what there was before.
fn prepare(proc: &ProcRoot, store: &Path, folder: &Path) -> Result<(), Error> {
    let made = if folder.symlink_metadata().is_err() {
        "folder"
    } else if !pin::is_mount_point(proc, folder)? {
        "mount"
    } else {
        return Ok(());
    };
    folder::write_whole(&store.join(MADE), made)?;
    folder::make(folder, Mode::from_raw_mode(0o755))
}

fn lock(folder: &Path) -> Option<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    rustix::fs::flock(&fd, FlockOperation::LockExclusive).ok()?;
    Some(fd)
}

/// Undoes what was made for the sake of a store that goes, unless others use it.
pub fn forget(store: &Path) {
    let note = store.join(MADE);
    let _ = rustix::fs::unlink(folder::temporary(&note));
    let Ok(made) = std::fs::read_to_string(&note) else {
        return;
    };
    let folder = Path::new(FOLDER);
    let lock = lock(folder);
    let is_empty =
        std::fs::read_dir(folder).is_ok_and(|mut names| names.next().is_none());
    // Closed first: an open folder is in use.
    drop(lock);
    if is_empty {
        // EBUSY: somebody has just mounted a name; then the folder stays as well.
        let _ = rustix::mount::unmount(folder, UnmountFlags::NOFOLLOW);
        if made == "folder" {
            let _ = rustix::fs::rmdir(folder);
        }
    }
    let _ = rustix::fs::unlink(&note);
}
