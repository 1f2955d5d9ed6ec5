//! Which process has a socket open.

use std::collections::HashMap;
use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags, RawDir};
use warren_namespaces::ProcRoot;

use crate::Net;

/// Names for each port the lowest of these processes that has its socket open. A process
/// whose descriptors the caller may not see owns nothing.
pub fn name_owners(proc: &ProcRoot, net: &mut Net, pids: impl IntoIterator<Item = u32>) {
    let mut wanted: HashMap<u64, Option<u32>> = net
        .ports
        .iter()
        .filter(|port| port.pid.is_none())
        .map(|port| (port.inode, None))
        .collect();
    let mut left = wanted.len();
    for pid in pids {
        if left == 0 {
            break;
        }
        for inode in sockets(proc, pid) {
            if let Some(owner @ None) = wanted.get_mut(&inode) {
                *owner = Some(pid);
                left -= 1;
            }
        }
    }
    for port in &mut net.ports {
        let found = wanted.get(&port.inode).copied().flatten();
        port.pid = port.pid.or(found);
        if let Some(pid) = found {
            let name = proc.read(&format!("{pid}/comm")).ok();
            port.command = name.map(|name| crate::lossy(name.trim_ascii_end()));
        }
    }
}

/// The numbers of the sockets that a process has open.
fn sockets(proc: &ProcRoot, pid: u32) -> Vec<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let path = format!("{pid}/fd");
    let Ok(folder) = rustix::fs::openat(proc, &path, flags, Mode::empty()) else {
        return Vec::new();
    };
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&folder, &mut buffer);
    let mut found = Vec::new();
    while let Some(Ok(entry)) = entries.next() {
        let mut target = [MaybeUninit::uninit(); 64];
        let name = entry.file_name();
        let link = rustix::fs::readlinkat_raw(&folder, name, &mut target);
        found.extend(link.ok().and_then(|(text, _)| socket(text)));
    }
    found
}

/// `socket:[4711]`.
fn socket(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    text.strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Port;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::AsFd;

    #[test]
    fn only_a_socket_is_a_socket() {
        assert_eq!(socket(b"socket:[4711]"), Some(4711));
        for text in [&b"pipe:[1]"[..], b"/socket:[1]", b"socket:[", b"socket:[x]"] {
            assert_eq!(socket(text), None);
        }
    }

    #[test]
    fn the_caller_is_found_as_the_owner_of_its_port() {
        let proc = ProcRoot::open().expect("/proc");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let inode = rustix::fs::fstat(listener.as_fd()).expect("fstat").st_ino;
        let port = Port {
            protocol: "tcp".to_owned(),
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            uid: 0,
            inode,
            pid: None,
            command: None,
        };
        let mut net = Net {
            ports: vec![port],
            ..Net::default()
        };
        name_owners(&proc, &mut net, [std::process::id()]);
        assert_eq!(net.ports[0].pid, Some(std::process::id()));
        assert!(net.ports[0].command.is_some());
    }
}
