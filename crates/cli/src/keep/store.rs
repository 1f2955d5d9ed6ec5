//! Where the caller's kept namespaces are, and how the caller can keep any.

use std::path::{Path, PathBuf};

use rustix::fs::Access;
use warren_namespaces::NsFd;
use warren_namespaces::kept::{By, Store};
use warren_spawn::Host;

use crate::failure::Failure;

/// Root's store.
const ROOTS: &str = "/run/warren/kept";

/// What `keep` and `rm` work on.
#[derive(Debug)]
pub struct Keeping {
    /// The caller's store.
    pub store: Store,
    /// What keeps the namespaces in it.
    pub by: By,
}

impl Keeping {
    /// Looks what the caller may do.
    pub fn of_caller(host: &Host) -> Result<Self, Failure> {
        if can_mount(host) {
            return Ok(Self {
                store: Store::at(ROOTS),
                by: By::Mounts,
            });
        }
        let folder = own_folder(host.uid).ok_or_else(|| {
            Failure::new("find a place for kept namespaces: XDG_RUNTIME_DIR is not set").hint(
                "set it to a folder that nobody else can write: a login through systemd \
                 makes /run/user/UID",
            )
        })?;
        Ok(Self {
            store: Store::at(folder),
            by: By::Holder,
        })
    }
}

/// The stores in which a name is looked for: the user's own, and root's.
pub fn all() -> Vec<Store> {
    let uid = rustix::process::geteuid().as_raw();
    let own = own_folder(uid).into_iter();
    own.chain([ROOTS.into()]).map(Store::at).collect()
}

/// Whether the caller is root of a machine, or of a container that owns its mounts.
fn can_mount(host: &Host) -> bool {
    let open = |kind| NsFd::open(&Path::new("/proc/self/ns").join(kind));
    let owns_mounts = || {
        let owner = open("mnt")?.owner()?.id()?;
        Ok::<_, rustix::io::Errno>(owner == open("user")?.id()?)
    };
    host.uid == 0
        && host.is_privileged()
        && owns_mounts() == Ok(true)
        && rustix::fs::access("/run", Access::WRITE_OK).is_ok()
}

/// The store of a user, in the folder that goes when the user's last session ends.
fn own_folder(uid: u32) -> Option<PathBuf> {
    let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let told = told.filter(|folder| folder.is_absolute());
    let usual =
        || Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|it| it.is_dir());
    Some(told.or_else(usual)?.join("warren/kept"))
}
