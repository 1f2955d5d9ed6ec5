//! From the arguments of a call to the files and addresses that they name.

use std::path::PathBuf;

use rustix::net::{SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use warren_sys::{Errno, Result};

use crate::address::Address;
use crate::event::{Contact, Protocol};
use crate::memory;
use crate::paths::{Found, From, Paths};
use crate::shape::{self, File, Links, Shape, Talk, Wanted};
use crate::wants::{Use, Wants};

const AT_FDCWD: i32 = libc_constants::AT_FDCWD;

/// The few numbers of the kernel's that are needed here: linux/fcntl.h.
mod libc_constants {
    pub const AT_FDCWD: i32 = -100;
    pub const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
    pub const AT_SYMLINK_FOLLOW: u64 = 0x400;
}

/// A thread at the begin of a call.
#[derive(Debug)]
pub struct Caller<'a> {
    /// Its number.
    pub tid: i32,
    /// The arguments.
    pub arguments: &'a [u64; 6],
    /// Where its paths are looked up.
    pub paths: &'a mut Paths,
}

impl Caller<'_> {
    /// The files that the call names. What cannot be read is left out: the call itself
    /// fails then, or the program's memory is kept from everybody.
    pub fn uses(&mut self, shape: &Shape) -> Vec<Use> {
        let mut uses = Vec::new();
        for file in shape.files {
            if let Some((found, wants)) = self.file(file) {
                uses.extend(found.through.into_iter().map(|path| Use {
                    path,
                    existed: true,
                    wants: Wants::PASS,
                }));
                uses.push(Use {
                    path: found.path,
                    existed: found.exists,
                    wants,
                });
            }
        }
        uses
    }

    fn file(&mut self, file: &File) -> Option<(Found, Wants)> {
        let folder = file.folder.map(|argument| self.argument(argument) as i32);
        let Some(path) = file.path else {
            let found = self.paths.descriptor(self.tid, folder?)?;
            return Some((found, fixed(file.wants)));
        };
        let address = self.argument(path);
        let asked = self.asked(file).ok()?;
        // utimensat(2) takes none for the descriptor itself.
        let path = match address {
            0 => Vec::new(),
            address => memory::path(self.tid, address).ok()?,
        };
        if path.is_empty() {
            // AT_EMPTY_PATH: the descriptor itself, which was opened before.
            let found = self.paths.descriptor(self.tid, folder?)?;
            let new = asked.wants & (Wants::CHANGES | Wants::EXECUTE);
            return (!new.is_empty()).then_some((found, new));
        }
        let from = match folder {
            None | Some(AT_FDCWD) => From::Here,
            Some(fd) => From::Descriptor(fd),
        };
        let follow = asked.follow && self.follows(file.links);
        let mut found = self.paths.find(self.tid, from, &path, follow)?;
        if asked.nameless {
            found.path.push(NAMELESS);
            found.exists = false;
        }
        // What is there already is not created, but for what takes its place.
        let mut wants = asked.wants;
        if found.exists && wants.contains(Wants::CREATE) && asked.opens {
            wants -= Wants::CREATE;
        }
        Some((found, wants))
    }

    fn argument(&self, argument: u8) -> u64 {
        self.arguments
            .get(usize::from(argument))
            .copied()
            .unwrap_or(0)
    }

    fn follows(&self, links: Links) -> bool {
        use libc_constants::{AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW};
        match links {
            Links::Followed => true,
            Links::Kept => false,
            Links::UnlessTold(flags) => self.argument(flags) & AT_SYMLINK_NOFOLLOW == 0,
            Links::IfTold(flags) => self.argument(flags) & AT_SYMLINK_FOLLOW != 0,
        }
    }

    fn asked(&self, file: &File) -> Result<Asked> {
        Ok(match file.wants {
            Wanted::Always(wants) => Asked {
                opens: wants.contains(Wants::CREATE | Wants::WRITE),
                ..Asked::plain(wants)
            },
            Wanted::OpenFlags(flags) => opening(self.argument(flags)),
            Wanted::OpenHow(how) => {
                opening(memory::number(self.tid, self.argument(how))?)
            }
            Wanted::AccessMode(mode) => Asked::plain(access(self.argument(mode))),
        })
    }

    /// The address that the call names, if there is one.
    pub fn contact(&mut self, shape: &Shape) -> Option<Contact> {
        let (address, length, talk) = match shape.address? {
            shape::Address::At(address, length, talk) => {
                (self.argument(address), self.argument(length), talk)
            }
            // `msg_name` and `msg_namelen` are the first of both.
            shape::Address::Message(header) | shape::Address::Messages(header) => {
                let header = self.argument(header);
                let name = memory::number(self.tid, header).ok()?;
                let length = memory::number(self.tid, header.wrapping_add(8)).ok()?;
                (name, length & u64::from(u32::MAX), Talk::Reach)
            }
        };
        let address = self.address(address, length)?;
        let protocol = self.protocol(self.argument(0) as i32);
        Some(Contact::new(address, talk, protocol))
    }

    fn address(&mut self, at: u64, length: u64) -> Option<Address> {
        /// `struct sockaddr_storage`.
        const LONGEST: u64 = 128;
        if at == 0 {
            return None;
        }
        let mut bytes = vec![0; length.min(LONGEST) as usize];
        memory::exactly(self.tid, at, &mut bytes).ok()?;
        let Address::File(path) = Address::parse(&bytes)? else {
            return Address::parse(&bytes);
        };
        use std::os::unix::ffi::OsStrExt;
        let bytes = path.as_os_str().as_bytes();
        let found = self.paths.find(self.tid, From::Here, bytes, true)?;
        Some(Address::File(found.path))
    }

    /// The kind of a socket of the caller's, asked through a copy of it.
    fn protocol(&self, fd: i32) -> Protocol {
        match self.socket_type(fd) {
            Ok(SocketType::STREAM) => Protocol::Stream,
            Ok(SocketType::DGRAM) => Protocol::Datagram,
            _ => Protocol::Other,
        }
    }

    fn socket_type(&self, fd: i32) -> Result<SocketType> {
        let process = self.process().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let pidfd = pidfd_open(process, PidfdFlags::empty())?;
        let socket = pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty())?;
        sockopt::socket_type(socket)
    }

    /// The process that the thread is of.
    fn process(&self) -> Option<i32> {
        let status = self.paths.of_process(self.tid, "status").ok()?;
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
        line.trim().parse().ok()
    }
}

/// What stands for the name of a file that has none yet: `O_TMPFILE`.
const NAMELESS: &str = "#";

/// What a call asks of a path.
struct Asked {
    wants: Wants,
    follow: bool,
    /// Whether the file may be there already.
    opens: bool,
    /// Whether the path is the folder of a file without a name.
    nameless: bool,
}

impl Asked {
    fn plain(wants: Wants) -> Self {
        Self {
            wants,
            follow: true,
            opens: false,
            nameless: false,
        }
    }
}

fn fixed(wants: Wanted) -> Wants {
    match wants {
        Wanted::Always(wants) => wants,
        _ => Wants::LOOK,
    }
}

/// What the flags of open(2) ask for.
fn opening(flags: u64) -> Asked {
    use rustix::fs::OFlags;
    let flags = OFlags::from_bits_retain(flags as u32);
    let nameless = flags.contains(OFlags::TMPFILE);
    let mut wants = match flags & OFlags::RWMODE {
        _ if flags.contains(OFlags::PATH) => Wants::LOOK,
        OFlags::WRONLY => Wants::WRITE,
        OFlags::RDWR => Wants::READ | Wants::WRITE,
        _ => Wants::READ,
    };
    if flags.contains(OFlags::TRUNC) {
        wants |= Wants::WRITE;
    }
    if nameless || flags.contains(OFlags::CREATE) {
        wants |= Wants::CREATE;
    }
    let kept =
        flags.contains(OFlags::NOFOLLOW) || flags.contains(OFlags::CREATE | OFlags::EXCL);
    Asked {
        wants,
        follow: !kept,
        opens: true,
        nameless,
    }
}

/// What the mode of access(2) asks for.
fn access(mode: u64) -> Wants {
    use rustix::fs::Access;
    let mode = Access::from_bits_retain(mode as u32);
    let pairs = [
        (Access::READ_OK, Wants::READ),
        (Access::WRITE_OK, Wants::WRITE),
        (Access::EXEC_OK, Wants::EXECUTE),
    ];
    pairs
        .into_iter()
        .filter(|(asked, _)| mode.contains(*asked))
        .fold(Wants::LOOK, |wants, (_, more)| wants | more)
}

/// The files that a process has mapped: its program, and the loader of that, which no
/// call names.
pub fn mapped(paths: &Paths, tid: i32) -> Vec<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let maps = paths.of_process(tid, "maps").unwrap_or_default();
    let file = |line: &[u8]| {
        let start = line.iter().position(|byte| *byte == b'/')?;
        Some(PathBuf::from(OsStr::from_bytes(&line[start..])))
    };
    let mut files: Vec<_> = maps.split(|byte| *byte == b'\n').filter_map(file).collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;

    use super::*;

    #[test]
    fn flags_say_what_is_wanted() {
        let wants = |flags: OFlags| opening(flags.bits().into()).wants;
        assert_eq!(wants(OFlags::RDONLY), Wants::READ);
        assert_eq!(wants(OFlags::RDWR), Wants::READ | Wants::WRITE);
        assert_eq!(wants(OFlags::TRUNC), Wants::READ | Wants::WRITE);
        let new = OFlags::WRONLY | OFlags::CREATE;
        assert_eq!(wants(new), Wants::WRITE | Wants::CREATE);
        assert_eq!(wants(OFlags::PATH | OFlags::DIRECTORY), Wants::LOOK);
        let nameless = opening(u64::from((OFlags::TMPFILE | OFlags::RDWR).bits()));
        assert!(nameless.nameless && nameless.wants.contains(Wants::CREATE));
        // O_TMPFILE has the bit of O_DIRECTORY in it.
        let folder = opening(u64::from(OFlags::DIRECTORY.bits()));
        assert!(!folder.nameless);
    }

    #[test]
    fn the_mode_of_access_says_what_is_wanted() {
        assert_eq!(access(0), Wants::LOOK);
        assert_eq!(access(6), Wants::LOOK | Wants::READ | Wants::WRITE);
        assert_eq!(access(1), Wants::LOOK | Wants::EXECUTE);
    }
}
