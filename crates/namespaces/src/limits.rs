//! What the kernel's settings allow: limits on namespaces, gates on user namespaces.
//!
//! These only read sysctls, so they can be asked after a call has failed, to say why.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::mountinfo::MountInfo;
use crate::{Error, Kind, ProcRoot};

/// How many namespaces of the kind one user may make in the caller's user namespace:
/// `user.max_KIND_namespaces`; `None` where this kernel has no such limit.
///
/// Reaching it is `ENOSPC`. Every user namespace above has a limit of its own, which
/// counts too and cannot be read from here.
///
/// # Errors
/// Where the sysctl is there and cannot be read.
pub fn max_namespaces(proc: &ProcRoot, kind: Kind) -> Result<Option<u64>, Error> {
    let value = proc.sysctl(&format!("user/{}", kind.limit()))?;
    Ok(value.map(|value| u64::try_from(value).unwrap_or(0)))
}

/// A setting of the kernel that can forbid user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernsGate {
    /// `user.max_user_namespaces`: 0 forbids them to everybody (`ENOSPC`).
    MaxUserNamespaces,
    /// `kernel.unprivileged_userns_clone` (Debian and others): 0 forbids them without
    /// `CAP_SYS_ADMIN` (`EPERM`).
    UnprivilegedUsernsClone,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu): 1 gives them, without
    /// `CAP_SYS_ADMIN` or a profile that says `userns,`, no capabilities; what fails is
    /// a later mount or setup step (`EPERM` or `EACCES`).
    AppArmor,
}

impl UsernsGate {
    /// Every gate.
    pub const ALL: [Self; 3] = [
        Self::MaxUserNamespaces,
        Self::UnprivilegedUsernsClone,
        Self::AppArmor,
    ];

    /// Its sysctl, as sysctl(8) names it.
    #[must_use]
    pub const fn sysctl(self) -> &'static str {
        match self {
            Self::MaxUserNamespaces => "user.max_user_namespaces",
            Self::UnprivilegedUsernsClone => "kernel.unprivileged_userns_clone",
            Self::AppArmor => "kernel.apparmor_restrict_unprivileged_userns",
        }
    }

    /// The command, run by the administrator, that opens it.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::MaxUserNamespaces => "sysctl -w user.max_user_namespaces=10000",
            Self::UnprivilegedUsernsClone => {
                "sysctl -w kernel.unprivileged_userns_clone=1"
            }
            Self::AppArmor => {
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an \
                 AppArmor profile for this program that says `userns,`"
            }
        }
    }

    /// Whether the setting `value` closes it to a caller with or without
    /// `CAP_SYS_ADMIN`.
    const fn is_closed(self, value: i64, privileged: bool) -> bool {
        match self {
            Self::MaxUserNamespaces => value <= 0,
            Self::UnprivilegedUsernsClone => value == 0 && !privileged,
            Self::AppArmor => value != 0 && !privileged,
        }
    }
}

/// A gate that this kernel has, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSetting {
    /// Which.
    pub gate: UsernsGate,
    /// The value of its sysctl.
    pub value: i64,
}

impl GateSetting {
    /// Whether it keeps a caller with (`privileged`) or without `CAP_SYS_ADMIN` from
    /// using a user namespace.
    #[must_use]
    pub const fn is_closed(self, privileged: bool) -> bool {
        self.gate.is_closed(self.value, privileged)
    }
}

impl fmt::Display for GateSetting {
    /// `kernel.unprivileged_userns_clone is 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.gate.sysctl(), self.value)
    }
}

/// The gates that this kernel has, with their settings. A kernel without user
/// namespaces has none of them.
///
/// # Errors
/// Where a sysctl is there and cannot be read.
pub fn userns_gates(proc: &ProcRoot) -> Result<Vec<GateSetting>, Error> {
    let mut settings = Vec::new();
    for gate in UsernsGate::ALL {
        if let Some(value) = proc.sysctl(&gate.sysctl().replace('.', "/"))? {
            settings.push(GateSetting { gate, value });
        }
    }
    Ok(settings)
}

/// The mounts that keep the kernel from mounting a new procfs in a user namespace
/// (`EPERM`; "mount too revealing" in the kernel's own words); empty where it may.
///
/// The rule: a user namespace may mount procfs only if its mount namespace has one of
/// which nothing is hidden. Container managers hide parts of /proc under mounts;
/// folders that exist to be mounted on hide nothing.
#[must_use]
pub fn proc_masks(mounts: &[MountInfo]) -> Vec<PathBuf> {
    let mut masks: Option<Vec<PathBuf>> = None;
    for procfs in mounts.iter().filter(|mount| mount.filesystem == "proc") {
        let on_it: Vec<PathBuf> = mounts
            .iter()
            .filter(|mount| mount.parent == procfs.id && mount.id != procfs.id)
            .filter(|mount| !is_made_for_mounts(procfs, mount))
            .map(|mount| mount.mount_point.clone())
            .collect();
        let whole = procfs.root == Path::new("/");
        if whole && on_it.is_empty() {
            return Vec::new();
        }
        let hidden = if whole {
            on_it
        } else {
            vec![procfs.mount_point.clone()]
        };
        // Those of the first procfs, which is /proc, are the ones to tell.
        masks.get_or_insert(hidden);
    }
    masks.unwrap_or_default()
}

/// Whether the process whose mounts these are lives in a chroot(2), where the kernel
/// refuses to make user namespaces (`EPERM`).
///
/// A process reads / for its own root whatever that is; but it sees a mount there only if
/// the root is one. A chroot into a mount cannot be told this way.
#[must_use]
pub fn lives_in_chroot(mounts: &[MountInfo]) -> bool {
    !mounts
        .iter()
        .any(|mount| mount.mount_point == Path::new("/"))
}

/// Whether procfs keeps the folder for another filesystem, so it is always empty.
fn is_made_for_mounts(procfs: &MountInfo, mount: &MountInfo) -> bool {
    const FOLDERS: [&str; 3] = ["sys/fs/binfmt_misc", "fs/nfsd", "openprom"];
    let below = mount.mount_point.strip_prefix(&procfs.mount_point);
    below.is_ok_and(|below| FOLDERS.iter().any(|folder| below == Path::new(folder)))
}

/// What a process has been denied for good: from /proc/PID/status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restrictions {
    /// No executable gives it more rights: `NoNewPrivs`, so newuidmap(1) does not work.
    pub no_new_privs: bool,
    /// Whether a seccomp filter looks at its system calls.
    pub seccomp_filter: bool,
    /// Whether this kernel has seccomp filters at all.
    pub seccomp_exists: bool,
    /// Its effective capabilities, as a bit set.
    pub capabilities: u64,
}

impl Restrictions {
    /// Whether it has `CAP_SYS_ADMIN` in its own user namespace.
    #[must_use]
    pub const fn has_sys_admin(&self) -> bool {
        const CAP_SYS_ADMIN: u32 = 21;
        self.capabilities & (1 << CAP_SYS_ADMIN) != 0
    }
}

/// The AppArmor profile that confines the caller, as `NAME (MODE)`; `None` where none does,
/// or the kernel has no AppArmor.
#[must_use]
pub fn own_apparmor_profile(proc: &ProcRoot) -> Option<String> {
    let label = proc.read(&format!(
        "{}/attr/apparmor/current",
        proc.own_folder().ok()?
    ));
    confining_profile(&String::from_utf8_lossy(&label.ok()?))
}

fn confining_profile(label: &str) -> Option<String> {
    let label = label.trim_end_matches(['\n', '\0']);
    (!label.is_empty() && label != "unconfined").then(|| label.to_owned())
}

/// The restrictions of the caller.
///
/// # Errors
/// Where /proc/self/status cannot be read.
pub fn own_restrictions(proc: &ProcRoot) -> Result<Restrictions, Error> {
    let status = proc.read(&format!("{}/status", proc.own_folder()?))?;
    Ok(parse_status(&String::from_utf8_lossy(&status)))
}

fn parse_status(text: &str) -> Restrictions {
    let find = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    let field = |name| find(name).unwrap_or_default();
    Restrictions {
        no_new_privs: field("NoNewPrivs") == "1",
        seccomp_filter: field("Seccomp") == "2",
        // The number of filters, since Linux 5.9; there only with
        // CONFIG_SECCOMP_FILTER.
        seccomp_exists: find("Seccomp_filters").is_some(),
        capabilities: u64::from_str_radix(field("CapEff"), 16).unwrap_or(0),
    }
}

/// The version of the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The 6 of 6.18.
    pub major: u32,
    /// The 18 of 6.18.
    pub minor: u32,
}

impl KernelVersion {
    /// The oldest kernel that this project supports.
    pub const FLOOR: Self = Self {
        major: 5,
        minor: 10,
    };

    /// Asks the kernel; uname(2). 0.0 where its answer is no version.
    #[must_use]
    pub fn running() -> Self {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Reads `6.18.44-anything`.
    fn parse(release: &str) -> Self {
        let mut numbers = release
            .split(|char: char| !char.is_ascii_digit())
            .map(|digits| digits.parse().unwrap_or(0));
        Self {
            major: numbers.next().unwrap_or(0),
            minor: numbers.next().unwrap_or(0),
        }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_limit_on_this_kernel() {
        let proc = ProcRoot::open().expect("/proc");
        for kind in Kind::ALL {
            let most = max_namespaces(&proc, kind).expect("readable");
            assert!(most.is_some(), "{kind}");
        }
    }

    #[test]
    fn the_gate_that_every_kernel_has_is_found() {
        let proc = ProcRoot::open().expect("/proc");
        let gates = userns_gates(&proc).expect("readable");
        assert!(
            gates
                .iter()
                .any(|setting| setting.gate == UsernsGate::MaxUserNamespaces)
        );
    }

    #[test]
    fn gates_close_at_their_own_values_and_some_not_for_root() {
        let closed =
            |gate, value, privileged| GateSetting { gate, value }.is_closed(privileged);
        assert!(closed(UsernsGate::MaxUserNamespaces, 0, true));
        assert!(!closed(UsernsGate::MaxUserNamespaces, 1, false));
        assert!(closed(UsernsGate::UnprivilegedUsernsClone, 0, false));
        assert!(!closed(UsernsGate::UnprivilegedUsernsClone, 0, true));
        assert!(closed(UsernsGate::AppArmor, 1, false));
        assert!(!closed(UsernsGate::AppArmor, 0, false));
        assert!(!closed(UsernsGate::AppArmor, 1, true));
    }

    #[test]
    fn a_setting_prints_as_sysctl_names_it() {
        let setting = GateSetting {
            gate: UsernsGate::UnprivilegedUsernsClone,
            value: 0,
        };
        assert_eq!(setting.to_string(), "kernel.unprivileged_userns_clone is 0");
    }

    fn masks(lines: &[&str]) -> Vec<PathBuf> {
        proc_masks(&crate::mountinfo::parse(lines.join("\n").as_bytes()))
    }

    const PROC: &str = "20 1 0:5 / /proc rw - proc proc rw";

    #[test]
    fn a_mount_below_proc_masks_it() {
        let tmpfs = "30 20 0:9 / /proc/acpi ro - tmpfs tmpfs ro";
        let bind = "31 20 0:5 /sys /proc/sys ro - proc proc rw";
        let paths = ["/proc/acpi", "/proc/sys"].map(PathBuf::from);
        assert_eq!(masks(&[PROC, tmpfs, bind]), paths);
        assert_eq!(masks(&[PROC]), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_folder_that_is_made_for_mounts_masks_nothing() {
        let binfmt = "30 20 0:9 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw";
        assert_eq!(masks(&[PROC, binfmt]), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_root_that_is_no_mount_is_a_chroot() {
        let parse = |line: &str| crate::mountinfo::parse(line.as_bytes());
        assert!(lives_in_chroot(&parse(PROC)));
        let root = "1 0 0:7 / / rw - ext4 /dev/vda rw";
        assert!(!lives_in_chroot(&parse(&format!("{root}\n{PROC}"))));
    }

    #[test]
    fn one_whole_procfs_anywhere_is_enough() {
        let tmpfs = "30 20 0:9 / /proc/acpi ro - tmpfs tmpfs ro";
        let other = "40 1 0:5 / /srv/proc rw - proc proc rw";
        assert_eq!(masks(&[PROC, tmpfs, other]), [] as [PathBuf; 0]);
        let part = "40 1 0:5 /sys /srv/sys rw - proc proc rw";
        assert_eq!(masks(&[PROC, tmpfs, part]), [PathBuf::from("/proc/acpi")]);
    }

    #[test]
    fn restrictions_are_read_from_status() {
        let text = "Name:\tx\nCapEff:\t0000000000200000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let found = parse_status(text);
        assert!(found.no_new_privs && found.seccomp_filter && found.has_sys_admin());
        assert!(found.seccomp_exists);
        let found = parse_status("CapEff:\t0000000000000000\nSeccomp:\t0\n");
        assert!(!found.no_new_privs && !found.seccomp_filter && !found.has_sys_admin());
        assert!(!found.seccomp_exists);
    }

    #[test]
    fn an_unconfined_process_has_no_profile() {
        let profile = |label: &str| confining_profile(label);
        assert_eq!(profile("unconfined\n"), None);
        assert_eq!(profile(""), None);
        let name = "a profile (enforce)".to_owned();
        assert_eq!(profile("a profile (enforce)\n"), Some(name));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = KernelVersion::parse;
        assert!(version("6.18.44-fc") > KernelVersion::FLOOR);
        assert!(version("5.9.0") < KernelVersion::FLOOR);
        assert_eq!(version("5.10-rc1"), KernelVersion::FLOOR);
        assert_eq!(version("strange").to_string(), "0.0");
        assert!(KernelVersion::running() >= KernelVersion::FLOOR);
    }
}
