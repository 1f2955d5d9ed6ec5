//! What several checks look at, read once.

use std::path::Path;

use warren_namespaces::limits::{
    self, GateSetting, KernelVersion, Restrictions, UsernsGate,
};
use warren_namespaces::mountinfo::{self, MountInfo};
use warren_namespaces::{Error, IdMap, Kind, ProcRoot};

use crate::failure::Failure;

/// The machine as the caller sees it.
pub struct Facts {
    pub proc: ProcRoot,
    pub uid: u32,
    pub kernel: KernelVersion,
    pub mounts: Vec<MountInfo>,
    pub gates: Vec<GateSetting>,
    pub own: Restrictions,
    /// `user.max_KIND_namespaces`, by kind: read early, since a new user namespace has
    /// values of its own.
    pub limits: [Option<u64>; 8],
    /// The ids that the caller's user namespace has: its uid_map.
    pub uid_map: Vec<IdMap>,
}

impl Facts {
    pub fn gather() -> Result<Self, Failure> {
        let proc = ProcRoot::open().map_err(no_proc)?;
        Self::read(proc).map_err(Failure::new)
    }

    fn read(proc: ProcRoot) -> Result<Self, Error> {
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            kernel: KernelVersion::running(),
            mounts: mountinfo::own(&proc)?,
            gates: limits::userns_gates(&proc)?,
            own: limits::own_restrictions(&proc)?,
            limits: Kind::ALL.map(|kind| {
                let limit = limits::max_namespaces(&proc, kind);
                limit.ok().flatten()
            }),
            uid_map: own_uid_map(&proc)?,
            proc,
        })
    }

    /// The first gate that is closed to the caller.
    pub fn closed_gate(&self) -> Option<&GateSetting> {
        let privileged = self.own.has_sys_admin();
        self.gates
            .iter()
            .find(|setting| setting.is_closed(privileged))
    }

    /// Whether AppArmor gives the caller's user namespaces no capabilities.
    pub fn apparmor_restricts(&self) -> bool {
        self.closed_gate()
            .is_some_and(|setting| setting.gate == UsernsGate::AppArmor)
    }

    /// Whether the root of the caller is a folder and no mount, as after chroot(2),
    /// in which the kernel makes no user namespaces.
    pub fn is_chrooted(&self) -> bool {
        let at_root = |mount: &MountInfo| mount.mount_point == Path::new("/");
        !self.mounts.iter().any(at_root)
    }

    /// The words of a small file below /proc; none where it cannot be read.
    pub fn words(&self, path: &str) -> Vec<String> {
        let text = self.proc.read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.split_whitespace().map(str::to_owned).collect()
    }
}

fn own_uid_map(proc: &ProcRoot) -> Result<Vec<IdMap>, Error> {
    let text = proc.read(&format!("{}/uid_map", proc.own_folder()?))?;
    let map = IdMap::parse_file(&String::from_utf8_lossy(&text));
    // The kernel writes no line that is none.
    Ok(map.unwrap_or_default())
}

fn no_proc(error: warren_namespaces::NotProcfs) -> Failure {
    Failure::new(error).hint("mount procfs there: mount -t proc proc /proc")
}
