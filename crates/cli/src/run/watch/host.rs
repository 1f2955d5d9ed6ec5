//! What the host has, as the caller sees it.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};
use warren_namespaces::ProcRoot;
use warren_observe::{Address, Host, Machine, Wants};

/// The files and sockets of the host.
pub struct HostFiles {
    proc: ProcRoot,
}

impl HostFiles {
    pub fn new(proc: ProcRoot) -> Self {
        Self { proc }
    }

    fn has_abstract(&self, name: &[u8]) -> bool {
        let Some(table) = self.table("unix") else {
            return false;
        };
        // NULs in a name are shown as @ too.
        let shown: Vec<u8> = std::iter::once(b'@')
            .chain(
                name.iter()
                    .map(|byte| if *byte == 0 { b'@' } else { *byte }),
            )
            .collect();
        table
            .split(|byte| *byte == b'\n')
            .any(|line| line.ends_with(&shown) && line.contains(&b'@'))
    }

    /// A table of the caller's network namespace.
    fn table(&self, name: &str) -> Option<Vec<u8>> {
        let own = self.proc.own_folder().ok()?;
        self.proc.read(&format!("{own}/net/{name}")).ok()
    }
}

impl Machine for HostFiles {
    fn is_folder(&self, path: &Path) -> Option<bool> {
        path.metadata().ok().map(|data| data.is_dir())
    }
}

impl Host for HostFiles {
    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    fn may(&self, path: &Path, wants: Wants) -> bool {
        let pairs = [
            (Wants::READ | Wants::LIST, Access::READ_OK),
            (Wants::CHANGES, Access::WRITE_OK),
            (Wants::EXECUTE, Access::EXEC_OK),
        ];
        let mode = pairs
            .into_iter()
            .filter(|(some, _)| wants.intersects(*some))
            .fold(Access::EXISTS, |mode, (_, more)| mode | more);
        rustix::fs::accessat(CWD, path, mode, AtFlags::EACCESS).is_ok()
    }

    fn listens(&self, address: &Address) -> bool {
        match address {
            Address::Inet(address) => {
                let Ok(own) = self.proc.own_folder() else {
                    return false;
                };
                let ports = warren_inspect::open_ports(&self.proc, &own);
                ports.unwrap_or_default().iter().any(|port| {
                    port.port == address.port()
                        && (port.address == address.ip() || port.address.is_unspecified())
                })
            }
            Address::Abstract(name) => self.has_abstract(name),
            Address::File(_) | Address::Other(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn who_listens_on_the_host_is_found() {
        let files = HostFiles::new(ProcRoot::open().expect("this machine has /proc"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        assert!(files.listens(&Address::Inet(address)));
        drop(listener);
        assert!(!files.listens(&Address::Inet(address)));
        let name = format!("warren-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a good name");
        let _listener = UnixListener::bind_addr(&address).expect("a new name");
        assert!(files.listens(&Address::Abstract(name.clone().into_bytes())));
        assert!(!files.listens(&Address::Abstract(name.into_bytes()[1..].to_vec())));
    }
}
