//! A netlink socket: batches that are answered as one, and lists.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use warren_namespaces::netlink;

use crate::error::{Error, Result};
use crate::wire::{self, Batch};

const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// For links, addresses, routes and queues.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn route() -> Result<Self> {
        Self::open(None).map_err(|errno| Error::new("open a netlink socket", errno))
    }

    /// For nftables.
    ///
    /// # Errors
    /// What socket(2) says: `EPROTONOSUPPORT` where the kernel has no netfilter.
    pub fn netfilter() -> Result<Self> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
            .map_err(|errno| Error::new("open a netlink socket for nftables", errno))
    }

    fn open(protocol: Option<Protocol>) -> std::result::Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::RAW;
        rustix::net::socket_with(AddressFamily::NETLINK, kind, flags, protocol).map(Self)
    }

    /// Sends a batch whose last message is acknowledged, and hears how it went.
    ///
    /// # Errors
    /// The first message that was refused, by what it does.
    pub fn send(&self, mut batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        batch.acknowledge();
        self.exchange(&batch, batch.doing().len() - 1)
    }

    /// Sends it; `last` is the number of the message that is answered last.
    pub(crate) fn exchange(&self, batch: &Batch, last: usize) -> Result<()> {
        let doing =
            |number: usize| batch.doing().get(number).cloned().unwrap_or_default();
        self.transmit(batch)
            .map_err(|errno| Error::new(doing(last), errno))?;
        let mut first = None;
        loop {
            let datagram = self
                .receive()
                .map_err(|errno| Error::new(doing(last), errno))?;
            for message in wire::messages(&datagram) {
                if message.kind != ERROR {
                    continue;
                }
                let number = message.sequence as usize;
                let code = wire::u32_at(message.body, 0).unwrap_or_default() as i32;
                if code != 0 && first.is_none() {
                    let errno = Errno::from_raw_os_error(-code);
                    first = Some(Error::new(doing(number), errno));
                }
                if number == last {
                    return first.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// The bodies of all messages that answer the one of a batch.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn list(&self, batch: &Batch) -> std::result::Result<Vec<Vec<u8>>, Errno> {
        self.transmit(batch)?;
        let mut list = Vec::new();
        loop {
            let datagram = self.receive()?;
            for message in wire::messages(&datagram) {
                match message.kind {
                    DONE => return Ok(list),
                    ERROR => {
                        let code =
                            wire::u32_at(message.body, 0).unwrap_or_default() as i32;
                        return match code {
                            0 => Ok(list),
                            code => Err(Errno::from_raw_os_error(-code)),
                        };
                    }
                    _ => list.push(message.body.to_vec()),
                }
            }
        }
    }

    fn transmit(&self, batch: &Batch) -> std::result::Result<(), Errno> {
        rustix::net::send(&self.0, batch.as_bytes(), SendFlags::empty()).map(drop)
    }

    fn receive(&self) -> std::result::Result<Vec<u8>, Errno> {
        netlink::receive(self.0.as_fd())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Tells that something has changed since it was asked last.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Of links.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn of_links() -> Result<Self> {
        const LINKS: u32 = 1;
        let failed = |errno| Error::new("ask to hear of links", errno);
        let Socket(socket) = Socket::open(None).map_err(failed)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, LINKS)).map_err(failed)?;
        Ok(Self(socket))
    }

    /// Whether there is something new.
    #[must_use]
    pub fn any(&self) -> bool {
        let mut any = false;
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        loop {
            match rustix::net::recv(&self.0, &mut [0; 16][..], flags) {
                Err(Errno::AGAIN) => return any,
                // It may also have been too much: ENOBUFS.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => any = true,
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
