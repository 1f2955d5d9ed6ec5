//! Settings that a namespace has for itself.

use std::ffi::CString;

use warren_namespaces::Kind;

use super::program::c_string;
use crate::error::Error;
use crate::spec::{Namespace, Namespaces};

/// Settings of one name, by their paths. All others of `kernel` are the machine's.
const SINGLE: [(&str, Kind); 13] = [
    ("kernel/domainname", Kind::Uts),
    ("kernel/hostname", Kind::Uts),
    ("kernel/msg_next_id", Kind::Ipc),
    ("kernel/msgmax", Kind::Ipc),
    ("kernel/msgmnb", Kind::Ipc),
    ("kernel/msgmni", Kind::Ipc),
    ("kernel/sem", Kind::Ipc),
    ("kernel/sem_next_id", Kind::Ipc),
    ("kernel/shm_next_id", Kind::Ipc),
    ("kernel/shm_rmid_forced", Kind::Ipc),
    ("kernel/shmall", Kind::Ipc),
    ("kernel/shmmax", Kind::Ipc),
    ("kernel/shmmni", Kind::Ipc),
];

/// Folders of settings.
const FOLDERS: [(&str, Kind); 3] = [
    ("fs/mqueue/", Kind::Ipc),
    ("net/", Kind::Net),
    ("user/", Kind::User),
];

/// The path below /proc of the setting `name`, which must be one of a namespace of the
/// process's own: another would change the host.
pub fn path(name: &str, namespaces: &Namespaces) -> Result<CString, Error> {
    // As sysctl(8): the first separator says what the others are.
    let path = match name.find(['.', '/']) {
        Some(first) if name.as_bytes()[first] == b'.' => {
            name.replace('/', "\0").replace('.', "/").replace('\0', ".")
        }
        _ => name.to_owned(),
    };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::spec(format!("'{name}' names no setting")));
    }
    let kind = kind(&path).ok_or_else(|| {
        Error::spec(format!(
            "the setting {name} would be changed for the whole host"
        ))
        .hint("only settings that a namespace has for itself can be given")
    })?;
    if *namespaces.get(kind) == Namespace::Inherit {
        return Err(Error::spec(format!(
            "the setting {name} needs a {kind} namespace of its own"
        )));
    }
    c_string(format!("sys/{path}").as_ref())
}

fn kind(path: &str) -> Option<Kind> {
    let mut single = SINGLE.iter().filter(|(one, _)| *one == path);
    let mut folders = FOLDERS.iter().filter(|(one, _)| path.starts_with(one));
    single
        .next()
        .or_else(|| folders.next())
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_namespaces::NamespaceSet;

    fn path_of(name: &str) -> Option<String> {
        let all = Namespaces::new_of(NamespaceSet::ALL);
        let path = path(name, &all).ok()?;
        Some(path.to_string_lossy().into_owned())
    }

    #[test]
    fn dots_or_slashes_lead_to_the_file() {
        let file = |text: &str| Some(format!("sys/{text}"));
        assert_eq!(path_of("net.ipv4.ip_forward"), file("net/ipv4/ip_forward"));
        let dotted = "net/ipv4/conf/eth0.1/forwarding";
        assert_eq!(path_of(dotted), file(dotted));
        assert_eq!(path_of("net.ipv4.conf.eth0/1.forwarding"), file(dotted));
        assert_eq!(path_of("kernel.shmmax"), file("kernel/shmmax"));
    }

    #[test]
    fn what_is_the_hosts_or_leads_elsewhere_is_refused() {
        for name in [
            "kernel.panic",
            "vm.swappiness",
            "fs.file-max",
            "kernel.shmmax.x",
            "net",
            "",
            "net..ipv4",
            "net/../kernel/panic",
            "/net/ipv4/x",
            "net.ipv4.//.x",
        ] {
            assert_eq!(path_of(name), None, "{name:?}");
        }
        let none = Namespaces::default();
        assert!(path("net.ipv4.ip_forward", &none).is_err());
    }
}
