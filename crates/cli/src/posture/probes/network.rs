//! Who can be reached.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use warren_namespaces::{Kind, io_error_text};

use super::super::outside::Outside;
use super::super::probe::{Finding, Probe};
use super::inherited::is_callers;

const SHARED: &str =
    "--share net, or `mode = \"host\"` in the [network] of a profile, does";
const FILTER: &str = "the filter of every run refuses it; no option of `warren run` opens \
                      it";

/// linux/socket.h.
const AF_ALG: u16 = 38;
const AF_VSOCK: u16 = 40;
/// linux/net.h.
const SOCK_RAW: SocketType = SocketType::RAW;

pub const PROBES: &[Probe] = &[
    Probe {
        name: "loopback of the host",
        about: "network",
        tries: "connects to a port on 127.0.0.1 of the host",
        hint: "--share net, or `mode = \"host\"` in the [network] of a profile, does; \
               --connect-port names the ports that may be used",
        cve: None,
        run: loopback,
    },
    Probe {
        name: "abstract sockets",
        about: "network",
        tries: "connects to an abstract unix socket of the host, where X11, D-Bus and \
                others listen",
        hint: "--share net does; --landlock closes it again",
        cve: None,
        run: abstract_socket,
    },
    Probe {
        name: "network of the host",
        about: "network",
        tries: "sees the host's interfaces, addresses and routes, and talks to all that \
                they lead to",
        hint: SHARED,
        cve: None,
        run: |outside| match is_callers(outside, Kind::Net) {
            Some(true) => Finding::open("it is the caller's"),
            Some(false) => Finding::holds("an own one"),
            None => Finding::unknown("/proc/self/ns/net is not there"),
        },
    },
    Probe {
        name: "netlink",
        about: "network",
        tries: "asks the host's kernel for its routes and firewall",
        hint: SHARED,
        cve: None,
        run: |outside| on_the_host(outside, AddressFamily::NETLINK, SOCK_RAW, None),
    },
    Probe {
        name: "packet sockets",
        about: "network",
        tries: "reads what passes the host's interfaces",
        hint: "root with --share net,user and --cap-add NET_RAW does",
        cve: None,
        run: |outside| on_the_host(outside, AddressFamily::PACKET, SOCK_RAW, None),
    },
    Probe {
        name: "raw sockets",
        about: "network",
        tries: "forges packets on the host's network",
        hint: "root with --share net,user and --cap-add NET_RAW does",
        cve: None,
        run: |outside| {
            let protocol = Some(rustix::net::ipproto::ICMP);
            on_the_host(outside, AddressFamily::INET, SOCK_RAW, protocol)
        },
    },
    Probe {
        name: "AF_VSOCK",
        about: "network",
        tries: "talks to the hypervisor's host, past every network namespace",
        hint: FILTER,
        cve: None,
        run: |_| family(AF_VSOCK, SocketType::STREAM),
    },
    Probe {
        name: "AF_ALG",
        about: "network",
        tries: "reaches the kernel's crypto",
        hint: FILTER,
        cve: None,
        run: |_| family(AF_ALG, SocketType::SEQPACKET),
    },
];

fn loopback(outside: &Outside) -> Finding {
    let Some(port) = outside.port else {
        return Finding::unknown("nobody could listen outside");
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
        Ok(_) => Finding::open("connected"),
        Err(error) => Finding::holds(io_error_text(&error)),
    }
}

fn abstract_socket(outside: &Outside) -> Finding {
    let Some(name) = &outside.abstract_name else {
        return Finding::unknown("nobody could listen outside");
    };
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name);
    let result = address.and_then(|address| UnixStream::connect_addr(&address));
    Finding::of_file(&result, "connected")
}

/// A socket that is of use in the network namespace of the caller; in its own one it
/// tells of nobody else.
fn on_the_host(
    outside: &Outside,
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Finding {
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, protocol);
    match (socket, is_callers(outside, Kind::Net)) {
        (Ok(_), Some(false)) => Finding::holds("in its own network alone"),
        (socket, _) => Finding::of_call(socket, "in the host's network"),
    }
}

fn family(number: u16, kind: SocketType) -> Finding {
    let family = AddressFamily::from_raw(number);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None);
    Finding::of_call(socket, "made")
}
