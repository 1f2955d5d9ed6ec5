//! One system call that was made.

use warren_sys::Errno;

use crate::address::Address;
use crate::shape::Talk;
use crate::wants::Use;

/// A system call, after it returned.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name; with an architecture in front if that is not this program's.
    pub name: Name,
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The files that it named.
    pub uses: Vec<Use>,
    /// The address that it named.
    pub contact: Option<Contact>,
    /// What it returned, or its errno.
    pub result: Result<i64, Errno>,
}

/// The name of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A call of this architecture that the table has.
    Native(&'static str),
    /// Any other.
    Foreign(String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native(name) => f.write_str(name),
            Self::Foreign(name) => f.write_str(name),
        }
    }
}

/// An address, and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Where.
    pub address: Address,
    /// Whether it was taken or reached.
    pub binds: bool,
    /// What kind of socket.
    pub protocol: Protocol,
}

/// A kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A stream: TCP, of the internet.
    Stream,
    /// Single messages: UDP, of the internet.
    Datagram,
    /// Another, or one that could not be asked.
    Other,
}

impl Contact {
    /// An address of a call that does this with it.
    #[must_use]
    pub fn new(address: Address, talk: Talk, protocol: Protocol) -> Self {
        Self {
            address,
            binds: talk == Talk::Bind,
            protocol,
        }
    }
}
