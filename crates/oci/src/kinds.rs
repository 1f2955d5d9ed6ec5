//! The names of namespaces in config.json.

use warren_namespaces::Kind;

/// The kernel's kind of a namespace type.
pub fn kind(r#type: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| name(*kind) == r#type)
}

/// The type's name of a kind.
pub const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Mnt => "mount",
        Kind::Net => "network",
        Kind::Ipc => "ipc",
        Kind::User => "user",
        Kind::Pid => "pid",
        Kind::Uts => "uts",
        Kind::Cgroup => "cgroup",
        Kind::Time => "time",
    }
}
