//! Capabilities and the sets of a thread: capabilities(7).

use std::fmt;
use std::str::FromStr;

use rustix::thread::{self, CapabilitySets};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use warren_sys::Errno;

/// One capability, by the kernel's number.
///
/// ```
/// use warren_confine::Capability;
///
/// assert_eq!("CAP_NET_ADMIN".parse(), Ok(Capability::NET_ADMIN));
/// assert_eq!("net_admin".parse(), Ok(Capability::NET_ADMIN));
/// assert_eq!(Capability::NET_ADMIN.to_string(), "cap_net_admin");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

macro_rules! capabilities {
    ($($number:literal $name:ident $text:literal,)*) => {
        impl Capability {
            $(
                #[doc = concat!("`CAP_", stringify!($name), "`, number ", $number, ".")]
                pub const $name: Self = Self($number);
            )*
        }

        /// The names without `cap_`; a capability's number is its place.
        const NAMES: &[&str] = &[$($text),*];
    };
}

capabilities! {
    0 CHOWN "chown",
    1 DAC_OVERRIDE "dac_override",
    2 DAC_READ_SEARCH "dac_read_search",
    3 FOWNER "fowner",
    4 FSETID "fsetid",
    5 KILL "kill",
    6 SETGID "setgid",
    7 SETUID "setuid",
    8 SETPCAP "setpcap",
    9 LINUX_IMMUTABLE "linux_immutable",
    10 NET_BIND_SERVICE "net_bind_service",
    11 NET_BROADCAST "net_broadcast",
    12 NET_ADMIN "net_admin",
    13 NET_RAW "net_raw",
    14 IPC_LOCK "ipc_lock",
    15 IPC_OWNER "ipc_owner",
    16 SYS_MODULE "sys_module",
    17 SYS_RAWIO "sys_rawio",
    18 SYS_CHROOT "sys_chroot",
    19 SYS_PTRACE "sys_ptrace",
    20 SYS_PACCT "sys_pacct",
    21 SYS_ADMIN "sys_admin",
    22 SYS_BOOT "sys_boot",
    23 SYS_NICE "sys_nice",
    24 SYS_RESOURCE "sys_resource",
    25 SYS_TIME "sys_time",
    26 SYS_TTY_CONFIG "sys_tty_config",
    27 MKNOD "mknod",
    28 LEASE "lease",
    29 AUDIT_WRITE "audit_write",
    30 AUDIT_CONTROL "audit_control",
    31 SETFCAP "setfcap",
    32 MAC_OVERRIDE "mac_override",
    33 MAC_ADMIN "mac_admin",
    34 SYSLOG "syslog",
    35 WAKE_ALARM "wake_alarm",
    36 BLOCK_SUSPEND "block_suspend",
    37 AUDIT_READ "audit_read",
    38 PERFMON "perfmon",
    39 BPF "bpf",
    40 CHECKPOINT_RESTORE "checkpoint_restore",
}

impl Capability {
    /// The newest that has a name here (Linux 5.9).
    pub const NEWEST: Self = Self::CHECKPOINT_RESTORE;

    /// The last that a set of 64 bits can hold.
    pub const LAST: Self = Self(63);

    /// The capability with the kernel's `number`, named or not, if a set can hold it.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if number <= Self::LAST.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The kernel's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }
}

impl fmt::Display for Capability {
    /// `cap_chown`, or the bare number of one newer than [`Capability::NEWEST`], as
    /// libcap does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "cap_{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A word that names no capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCapability(String);

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown capability '{}' (there are", self.0)?;
        NAMES.iter().try_for_each(|name| write!(f, " {name}"))?;
        f.write_str(")")
    }
}

impl std::error::Error for UnknownCapability {}

impl FromStr for Capability {
    type Err = UnknownCapability;

    /// Takes the kernel's name with or without `cap_`, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        let lower = text.to_ascii_lowercase();
        let wanted = lower.strip_prefix("cap_").unwrap_or(&lower);
        (0..)
            .zip(NAMES)
            .find_map(|(number, name)| (*name == wanted).then_some(Self(number)))
            .ok_or_else(|| UnknownCapability(text.to_owned()))
    }
}

/// A set of capabilities.
///
/// ```
/// use warren_confine::{Capability, CapabilitySet};
///
/// let set = CapabilitySet::EMPTY.with(Capability::KILL).with(Capability::CHOWN);
/// assert_eq!(set.to_string(), "cap_chown,cap_kill");
/// assert!(set.contains(Capability::KILL) && !set.contains(Capability::BPF));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// All that have a name here.
    pub const ALL: Self = Self((1 << (Capability::NEWEST.0 + 1)) - 1);

    /// The set with the kernel's bits, as `CapEff` in /proc/PID/status shows them.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The kernel's bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `capability` is in it.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// The set with `capability`.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | (1 << capability.0))
    }

    /// The set without `capability`.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability.0))
    }

    /// Whether no capability is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The capabilities in it, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..=Capability::LAST.0)
            .map(Capability)
            .filter(move |capability| self.contains(*capability))
    }

    const fn to_rustix(self) -> thread::CapabilitySet {
        thread::CapabilitySet::from_bits_retain(self.0)
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for CapabilitySet {
    /// `none`, `all`, or the names with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EMPTY => return f.write_str("none"),
            Self::ALL => return f.write_str("all"),
            _ => {}
        }
        for (position, capability) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{capability}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapabilitySet({self})")
    }
}

impl Serialize for CapabilitySet {
    /// A list of names as the OCI specification spells them: `CAP_CHOWN`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.iter()
                .map(|capability| capability.to_string().to_ascii_uppercase()),
        )
    }
}

impl<'de> Deserialize<'de> for CapabilitySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|name| name.parse::<Capability>().map_err(de::Error::custom))
            .collect()
    }
}

/// Drops from the calling thread's bounding set all that are not in `keep`: prctl(2)
/// `PR_CAPBSET_DROP`, once for each, since the kernel has no call that drops many.
/// Allocates nothing.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP` in the thread's user namespace.
pub fn drop_bounding(keep: CapabilitySet) -> Result<(), Errno> {
    for number in 0..=Capability::LAST.0 {
        let capability = Capability(number);
        if keep.contains(capability) {
            continue;
        }
        let one = CapabilitySet::EMPTY.with(capability).to_rustix();
        match thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // Beyond the last that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the calling thread's permitted, effective and inheritable sets: capset(2),
/// one call. Allocates nothing.
///
/// # Errors
/// `EPERM` where `permitted` has what the thread does not have, `effective` has what
/// `permitted` has not, or `inheritable` would gain what neither the old permitted
/// set nor the bounding set has.
pub fn set(
    permitted: CapabilitySet,
    effective: CapabilitySet,
    inheritable: CapabilitySet,
) -> Result<(), Errno> {
    let sets = CapabilitySets {
        effective: effective.to_rustix(),
        permitted: permitted.to_rustix(),
        inheritable: inheritable.to_rustix(),
    };
    thread::set_capabilities(None, sets)
}

/// Adds `capabilities` to the calling thread's ambient set, which is what an
/// execve(2) by an ordinary user keeps: prctl(2) `PR_CAP_AMBIENT_RAISE`, once for
/// each. Allocates nothing.
///
/// # Errors
/// `EPERM` for one that is not both permitted and inheritable; `EINVAL` for one that
/// the kernel does not know.
pub fn raise_ambient(capabilities: CapabilitySet) -> Result<(), Errno> {
    capabilities.iter().try_for_each(|capability| {
        let one = CapabilitySet::EMPTY.with(capability).to_rustix();
        thread::configure_capability_in_ambient_set(one, true)
    })
}

/// Empties the calling thread's ambient set: prctl(2) `PR_CAP_AMBIENT_CLEAR_ALL`.
/// Allocates nothing.
///
/// # Errors
/// None on a kernel since 4.3.
pub fn clear_ambient() -> Result<(), Errno> {
    thread::clear_ambient_capability_set()
}

/// Makes execve(2) give no privileges from now on, to the calling thread and all that
/// it forks: prctl(2) `PR_SET_NO_NEW_PRIVS`. Allocates nothing.
///
/// # Errors
/// None on a kernel since 3.5.
pub fn set_no_new_privs() -> Result<(), Errno> {
    thread::set_no_new_privs(true)
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::general;

    use super::*;

    #[test]
    fn the_names_have_the_kernels_numbers() {
        assert_eq!(NAMES.len(), 41);
        for (capability, number) in [
            (Capability::CHOWN, general::CAP_CHOWN),
            (Capability::SETPCAP, general::CAP_SETPCAP),
            (Capability::NET_ADMIN, general::CAP_NET_ADMIN),
            (Capability::SYS_ADMIN, general::CAP_SYS_ADMIN),
            (Capability::SYS_TTY_CONFIG, general::CAP_SYS_TTY_CONFIG),
            (Capability::SETFCAP, general::CAP_SETFCAP),
            (Capability::SYSLOG, general::CAP_SYSLOG),
            (Capability::NEWEST, general::CAP_LAST_CAP),
        ] {
            assert_eq!(u32::from(capability.number()), number, "{capability}");
        }
    }

    #[test]
    fn every_name_parses_back_in_any_spelling() {
        for capability in CapabilitySet::ALL.iter() {
            let name = capability.to_string();
            for spelling in [
                name.clone(),
                name.to_ascii_uppercase(),
                name.replace("cap_", ""),
                name.replace("cap_", "CAP_"),
            ] {
                assert_eq!(spelling.parse(), Ok(capability), "{spelling}");
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "cap_sysadmin".parse::<Capability>().expect_err("a slip");
        let text = error.to_string();
        assert!(
            text.starts_with("unknown capability 'cap_sysadmin' (there are chown "),
            "{text}"
        );
        assert!(text.contains(" sys_admin "), "{text}");
        assert!("".parse::<Capability>().is_err());
        assert!("cap_".parse::<Capability>().is_err());
        assert!("41".parse::<Capability>().is_err());
    }

    #[test]
    fn sets_print_as_words_where_there_is_one() {
        assert_eq!(CapabilitySet::EMPTY.to_string(), "none");
        assert_eq!(CapabilitySet::ALL.to_string(), "all");
        let some = CapabilitySet::from_bits(1 << 21 | 1 << 5 | 1 << 60);
        assert_eq!(some.to_string(), "cap_kill,cap_sys_admin,60");
    }

    #[test]
    fn the_full_set_has_41_bits() {
        assert_eq!(CapabilitySet::ALL.bits(), 0x1ff_ffff_ffff);
        assert_eq!(CapabilitySet::ALL.iter().count(), 41);
        let all_but_one = CapabilitySet::ALL.without(Capability::BPF);
        assert_eq!(all_but_one.iter().count(), 40);
        assert_eq!(all_but_one.with(Capability::BPF), CapabilitySet::ALL);
        assert!(CapabilitySet::EMPTY.is_empty() && !all_but_one.is_empty());
    }

    #[test]
    fn json_is_a_list_of_the_oci_names() {
        let set: CapabilitySet =
            [Capability::KILL, Capability::CHOWN].into_iter().collect();
        let text = serde_json::to_string(&set).expect("a list of strings");
        assert_eq!(text, r#"["CAP_CHOWN","CAP_KILL"]"#);
        let back: CapabilitySet = serde_json::from_str(&text).expect("what was written");
        assert_eq!(back, set);
        assert!(serde_json::from_str::<CapabilitySet>(r#"["CAP_X"]"#).is_err());
    }

    #[test]
    fn beyond_the_kernels_last_there_is_nothing_to_drop() {
        let said = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .expect("/proc is mounted");
        let last: u8 = said.trim().parse().expect("a number");
        // All that exist are kept, so no privilege is needed and none is lost.
        let kept = CapabilitySet::from_bits((2 << last) - 1);
        assert_eq!(drop_bounding(kept), Ok(()));
    }
}
