//! Options and addresses of sockets that rustix has no types for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_void, socklen_t};

use crate::{BpfInstruction, Errno, Result, check};

/// A socket option whose value is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberOption {
    /// Sockets may have addresses that are not the machine's: ip(7), `IP_TRANSPARENT`.
    Transparent,
    /// The same for IPv6: `IPV6_TRANSPARENT`.
    Transparent6,
    /// Each datagram comes with the address that it was sent to: `IP_RECVORIGDSTADDR`.
    Destination,
    /// The same for IPv6: `IPV6_RECVORIGDSTADDR`.
    Destination6,
    /// What is sent has its own IPv6 header: `IPV6_HDRINCL`, Linux 4.5.
    OwnHeader6,
}

impl NumberOption {
    const fn place(self) -> (c_int, c_int) {
        // linux/in6.h; libc lacks it.
        const IPV6_HDRINCL: c_int = 36;
        match self {
            Self::Transparent => (libc::SOL_IP, libc::IP_TRANSPARENT),
            Self::Transparent6 => (libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
            Self::Destination => (libc::SOL_IP, libc::IP_RECVORIGDSTADDR),
            Self::Destination6 => (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR),
            Self::OwnHeader6 => (libc::SOL_IPV6, IPV6_HDRINCL),
        }
    }
}

/// Turns an option on: setsockopt(2).
///
/// # Errors
/// `EPERM` where it needs a capability over the socket's network namespace;
/// `ENOPROTOOPT` for a socket of another kind.
pub fn turn_on(socket: BorrowedFd<'_>, option: NumberOption) -> Result<()> {
    let (level, name) = option.place();
    set_option(socket, level, name, &1_i32)
}

fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> Result<()> {
    // SAFETY: the kernel reads `value`, which is live and as long as is said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast::<c_void>(),
            size_of::<T>() as socklen_t,
        )
    };
    check(result.into()).map(drop)
}

/// What a packet socket gets: a program of classic BPF, which sees a packet from its
/// network header on.
fn attach_filter(socket: BorrowedFd<'_>, filter: &[BpfInstruction]) -> Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?,
        // The kernel only reads it; BpfInstruction is laid out as its sock_filter.
        filter: filter.as_ptr().cast_mut().cast(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// A socket that gets a copy of each packet that comes in by the interface of this number
/// and that `filter` passes, without its link header: packet(7).
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW` over the network namespace; `ENODEV` for no interface;
/// `EINVAL` for no filter.
pub fn capture(interface: u32, filter: &[BpfInstruction]) -> Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // With protocol 0 it gets nothing before it is bound, when the filter is there.
    // SAFETY: three numbers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }.into())?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as c_int) };
    let borrowed = std::os::fd::AsFd::as_fd(&socket);
    attach_filter(borrowed, filter)?;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: interface as c_int,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads one sockaddr_ll, which lives on this stack.
    let result = unsafe {
        libc::bind(
            fd as c_int,
            (&raw const address).cast(),
            size_of_val(&address) as socklen_t,
        )
    };
    check(result.into()).map(|_| socket)
}

/// A datagram: how long it was, who sent it, and to whom.
pub type Received = (usize, SocketAddr, SocketAddr);

/// Takes a datagram from a socket that has [`NumberOption::Destination`] or its like,
/// without waiting: recvmsg(2). What is longer than the buffer is cut off.
///
/// # Errors
/// `EAGAIN` where there is none; `EBADMSG` for one without these addresses.
pub fn receive_with_destination(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<Received> {
    /// Room for one address of either family and its header, aligned as cmsghdr is.
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut from = [0_u8; size_of::<libc::sockaddr_in6>()];
    let mut control = Control([0; 64]);
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: an all-zero msghdr is valid: null pointers of length 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = from.as_mut_ptr().cast();
    message.msg_namelen = from.len() as socklen_t;
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: each pointer of `message` leads to a live buffer of the length beside it.
    let length =
        check(
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } as _,
        )?;
    let from = address(&from).ok_or(Errno::BADMSG)?;
    let written = (message.msg_controllen as usize).min(control.0.len());
    let to = destination(&control.0[..written]).ok_or(Errno::BADMSG)?;
    Ok((length as usize, from, to))
}

/// The address in the first control message that is one.
fn destination(mut control: &[u8]) -> Option<SocketAddr> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    while let Some(header) = control.first_chunk::<HEADER>() {
        let length = usize::from_ne_bytes(*header.first_chunk()?);
        let number =
            |at: usize| Some(i32::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        let body = control.get(HEADER..length)?;
        match (number(HEADER - 8)?, number(HEADER - 4)?) {
            (libc::SOL_IP, libc::IP_ORIGDSTADDR)
            | (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR) => return address(body),
            _ => control = control.get(length.next_multiple_of(8)..)?,
        }
    }
    None
}

/// A `sockaddr_in` or `sockaddr_in6`, by the family that it begins with.
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = c_int::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            Some(SocketAddrV6::new(ip, port, 0, 0).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_tells_whom_it_was_sent_to() {
        let receiver = UdpSocket::bind("0.0.0.0:0").expect("bind");
        turn_on(receiver.as_fd(), NumberOption::Destination).expect("an option of all");
        let port = receiver.local_addr().expect("it is bound").port();
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
        sender.send_to(b"word", ("127.0.0.9", port)).expect("send");
        let mut buffer = [0; 16];
        let received = receive_with_destination(receiver.as_fd(), &mut buffer);
        let from = sender.local_addr().expect("it is bound");
        let to = SocketAddr::from(([127, 0, 0, 9], port));
        assert_eq!(received, Ok((4, from, to)));
        let again = receive_with_destination(receiver.as_fd(), &mut buffer);
        assert_eq!(again, Err(Errno::AGAIN));
    }

    #[test]
    fn a_datagram_of_ipv6_does_too() {
        let receiver = UdpSocket::bind("[::]:0").expect("bind");
        turn_on(receiver.as_fd(), NumberOption::Destination6).expect("an option of all");
        let port = receiver.local_addr().expect("it is bound").port();
        let sender = UdpSocket::bind("[::1]:0").expect("bind");
        sender.send_to(b"word", ("::1", port)).expect("send");
        let (_, _, to) = receive_with_destination(receiver.as_fd(), &mut [0; 16])
            .expect("one is there");
        assert_eq!(to, SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }

    #[test]
    fn control_messages_that_lie_about_their_length_are_no_address() {
        let mut state = 1_u32;
        for _ in 0..10_000 {
            let mut bytes = [0_u8; 64];
            for byte in &mut bytes {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
            bytes[1..8].fill(0);
            let _ = destination(&bytes);
        }
        assert_eq!(destination(&[0; 64]), None);
    }
}
