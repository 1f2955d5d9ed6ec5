//! Open ports, from /proc/PID/net, which shows them of any process to anybody.
//!
//! sock_diag(7) would have to be asked from inside; the tables can also be read where
//! the namespace may not be entered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use warren_namespaces::ProcRoot;

/// A port on which a socket listens, or that a datagram socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `tcp`, `tcp6`, `udp`, `udp6`.
    pub protocol: String,
    /// On which of the namespace's addresses.
    pub address: IpAddr,
    /// Its number.
    pub port: u16,
    /// Whose socket it is, as the caller's user namespace sees it.
    pub uid: u32,
    /// Number of the socket.
    pub inode: u64,
    /// The lowest process that has the socket open, if one was found.
    pub pid: Option<u32>,
    /// The name of that process.
    pub command: Option<String>,
}

impl Port {
    /// `127.0.0.1:80`, `[::1]:80`.
    #[must_use]
    pub fn place(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("{address}:{}", self.port),
            IpAddr::V6(address) => format!("[{address}]:{}", self.port),
        }
    }
}

/// The ports in the tables below /proc/FOLDER/net. A kernel without IPv6 has fewer.
pub fn read(proc: &ProcRoot, folder: &str) -> Result<Vec<Port>, Errno> {
    let mut ports = Vec::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        match proc.read(&format!("{folder}/net/{protocol}")) {
            Ok(text) => ports.extend(parse(protocol, &String::from_utf8_lossy(&text))),
            Err(error) if error.errno() == Errno::NOENT && protocol != "tcp" => {}
            Err(error) => return Err(error.errno()),
        }
    }
    Ok(ports)
}

/// What of a table is open to others; what is no line of one is passed over.
fn parse(protocol: &str, text: &str) -> Vec<Port> {
    let lines = text.lines().skip(1);
    lines.filter_map(|line| port(protocol, line)).collect()
}

/// `SL: LOCAL REMOTE STATE TX:RX TR:WHEN RETRNSMT UID TIMEOUT INODE ...`.
fn port(protocol: &str, line: &str) -> Option<Port> {
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, local, _, state, _, _, _, uid, _, inode, ..] = &fields[..] else {
        return None;
    };
    let open = if protocol.starts_with("tcp") {
        LISTEN
    } else {
        UNCONNECTED
    };
    let (address, port) = local.split_once(':')?;
    (state == open).then_some(Port {
        protocol: protocol.to_owned(),
        address: address_of(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        uid: uid.parse().ok()?,
        inode: inode.parse().ok()?,
        pid: None,
        command: None,
    })
}

/// Words of 32 bits in hex, each as the machine stores it.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0; 16];
            for at in 0..4 {
                octets[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";

    #[test]
    fn only_sockets_that_listen_are_ports() {
        let text = format!(
            "{HEAD}\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 \
             0 4711 1 0000000000000000 100 0 0 10 0\n\
             1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000 \
             0 4712 1 0000000000000000\n"
        );
        let ports = parse("tcp", &text);
        assert_eq!(ports.len(), 1);
        assert_eq!(ports[0].place(), "127.0.0.1:8080");
        assert_eq!((ports[0].uid, ports[0].inode), (1000, 4711));
    }

    #[test]
    fn a_v6_address_is_read_word_by_word() {
        let text = format!(
            "{HEAD}\n 0: 00000000000000000000000001000000:0035 \
             00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 9 2 0 0\n"
        );
        let ports = parse("udp6", &text);
        assert_eq!(ports[0].place(), "[::1]:53");
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for line in [
            "",
            "0: 0100007F:1F90",
            "0: 01:1F90 00000000:0000 0A 0:0 0:0 0 0 0 1",
            "0: 0100007F:1FFFF 00000000:0000 0A 0:0 0:0 0 0 0 1",
            "0: 010\u{fffd}0F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 1",
        ] {
            assert_eq!(parse("tcp", &format!("{HEAD}\n{line}\n")), [], "{line:?}");
        }
    }
}
