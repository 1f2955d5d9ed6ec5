//! What the kernel's settings allow: limits on namespaces, gates on user namespaces.
//!
//! These only read sysctls, so they can be asked after a call has failed, to say why.

use std::fmt;

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
}
