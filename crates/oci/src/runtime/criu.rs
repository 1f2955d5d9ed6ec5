//! criu, which writes processes down and brings them back: how it is asked.
//!
//! It is executed as `criu swrk FD` and spoken to over that descriptor, a `SOCK_SEQPACKET`
//! socket: one message of Protocol Buffers a packet (rpc.proto). While it works it asks back
//! at the stages that its manual page calls actions, and goes on when it has an answer.

mod request;
mod wire;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::io::FdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendFlags, SocketFlags, SocketType,
};
use warren_sys::Errno;

use super::error::{Error, words};
use super::images::read_log;
pub use request::{CgroupMode, PageServer};
pub(super) use request::{Features, Options, Request};
use wire::{Value, last};

/// The oldest one that is asked: it knows external network namespaces.
const OLDEST: (u64, u64) = (3, 11);
/// The longest answer.
const LONGEST: usize = 64 << 10;

/// A criu that waits for what it is to do.
#[derive(Debug)]
pub(super) struct Criu {
    process: Child,
    socket: OwnedFd,
}

/// What it asks at a stage of its work.
#[derive(Debug)]
pub(super) struct Notice<'a> {
    /// The stage, as criu(8) names it.
    pub stage: &'a str,
    /// The process that is written down or brought back, as the caller counts.
    pub pid: Option<u32>,
    /// The other end of a terminal.
    pub terminal: Option<OwnedFd>,
}

/// What it said in the end.
#[derive(Debug, Default)]
struct Answer {
    kind: u64,
    success: bool,
    /// The process that was brought back.
    pid: Option<u32>,
    stage: Option<String>,
    errno: i32,
    message: String,
    version: Option<(u64, u64)>,
    features: Features,
    fd: Option<OwnedFd>,
}

impl Criu {
    /// Starts it, with descriptors that it inherits besides the standard ones.
    pub fn start(program: &Path, inherits: &[&OwnedFd]) -> Result<Self, Error> {
        let failed = |errno| Error::errno("make a socket for criu", errno);
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let flags = SocketFlags::CLOEXEC;
        let pair = rustix::net::socketpair(family, kind, flags, None);
        let (socket, theirs) = pair.map_err(failed)?;
        let given = inherits.iter().copied().chain([&theirs]);
        given
            .clone()
            .try_for_each(|fd| pass_on(fd, true))
            .map_err(failed)?;
        let started = Command::new(program)
            .arg("swrk")
            .arg(theirs.as_raw_fd().to_string())
            .spawn();
        for fd in given {
            let _ = pass_on(fd, false);
        }
        let process = started.map_err(|error| not_started(program, &error))?;
        let criu = Self { process, socket };
        criu.check_version()?;
        Ok(criu)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What an old one does not know it passes over, and would do something else.
    fn check_version(&self) -> Result<(), Error> {
        let answer = self.ask(&Request::version())?;
        match answer.version {
            Some(version) if version >= OLDEST => Ok(()),
            Some((major, minor)) => Err(Error::new(format!(
                "criu {major}.{minor} is too old: {}.{} or newer is needed",
                OLDEST.0, OLDEST.1
            ))),
            None => Err(Error::new("criu does not tell its version")),
        }
    }

    /// Fails where this machine or this criu lacks what is wanted.
    pub fn check_features(&self, wanted: Features) -> Result<(), Error> {
        let has = self.ask(&Request::features(wanted))?.features;
        let lacks = |wanted: bool, has: bool, name, why: &str| {
            let error = Error::new(format!("CRIU is missing features: {name}"));
            (wanted && !has).then(|| error.hint(why))
        };
        let memory = lacks(
            wanted.memory_tracking,
            has.memory_tracking,
            "mem_track",
            "this kernel does not track which pages were written \
             (CONFIG_MEM_SOFT_DIRTY): there is no --pre-dump, and no --parent-path",
        );
        let lazy = lacks(
            wanted.lazy_pages,
            has.lazy_pages,
            "lazy_pages",
            "this kernel cannot fill pages in later (CONFIG_USERFAULTFD)",
        );
        memory.or(lazy).map_or(Ok(()), Err)
    }

    /// Has it do something, with an answer to each of its questions; one that fails ends its
    /// work, which it undoes. Gives the process that was brought back.
    pub fn carry_out(
        mut self,
        request: &Request,
        log: &Path,
        heed: &mut dyn FnMut(Notice<'_>) -> Result<(), Error>,
    ) -> Result<Option<u32>, Error> {
        self.send(request)?;
        let mut refused = None;
        let answer = loop {
            let mut answer = self.receive()?;
            let Some(stage) = answer.stage.take() else {
                break answer;
            };
            let notice = Notice {
                stage: &stage,
                pid: answer.pid,
                terminal: answer.fd.take(),
            };
            let heeded = heed(notice);
            self.send(&Request::heeded(heeded.is_ok()))?;
            refused = refused.or(heeded.err());
        };
        drop(self.socket);
        // What it has started for the work ends with it.
        let _ = self.process.wait();
        match refused {
            // Its process may have gone meanwhile, of which criu knows why.
            Some(error) => Err(with_reason(error, reason(log))),
            None if answer.success => Ok(answer.pid),
            None => Err(failed(&answer, log)),
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, Error> {
        self.send(request)?;
        self.receive()
    }

    fn send(&self, request: &Request) -> Result<(), Error> {
        let sent = rustix::net::send(&self.socket, request.bytes(), SendFlags::NOSIGNAL);
        sent.map(drop)
            .map_err(|errno| Error::errno("ask criu", errno))
    }

    fn receive(&self) -> Result<Answer, Error> {
        let failed = |errno| Error::errno("hear from criu", errno);
        let mut bytes = vec![0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut into = [io::IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            rustix::net::recvmsg(&self.socket, &mut into, &mut control, flags)
        });
        let received = received.map_err(failed)?;
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(failed(Errno::MSGSIZE));
        }
        let fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fd = fds.flatten().next();
        if received.bytes == 0 {
            return Err(Error::new("hear from criu: it has ended without an answer"));
        }
        let answer = Answer::read(&bytes[..received.bytes]);
        let answer = answer.ok_or_else(|| failed(Errno::BADMSG))?;
        Ok(Answer { fd, ..answer })
    }
}

impl Answer {
    /// A `criu_resp`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let fields = wire::read(bytes)?;
        let number = |field| last(&fields, field).and_then(Value::number);
        let within = |field| {
            let bytes = last(&fields, field).and_then(Value::bytes);
            bytes.map(wire::read).unwrap_or_else(|| Some(Vec::new()))
        };
        let (restored, notice) = (within(4)?, within(5)?);
        let (features, version) = (within(8)?, within(10)?);
        let of = |fields: &[(u32, Value<'_>)], field| {
            last(fields, field).and_then(Value::number)
        };
        let text = |value: Value<'_>| {
            let bytes = value.bytes().unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let pid = of(&restored, 1).or(of(&notice, 2));
        Some(Self {
            kind: number(1)?,
            success: number(2)? != 0,
            pid: pid.and_then(|pid| u32::try_from(pid).ok()),
            stage: last(&notice, 1).map(text),
            errno: number(7).unwrap_or(0) as i32,
            message: last(&fields, 9).map(text).unwrap_or_default(),
            version: of(&version, 1).zip(of(&version, 2)),
            features: Features {
                memory_tracking: of(&features, 1) == Some(1),
                lazy_pages: of(&features, 2) == Some(1),
            },
            fd: None,
        })
    }
}

/// Sets whether what is executed next inherits a descriptor.
fn pass_on(fd: &OwnedFd, inherited: bool) -> Result<(), Errno> {
    let flags = match inherited {
        true => FdFlags::empty(),
        false => FdFlags::CLOEXEC,
    };
    rustix::io::fcntl_setfd(fd.as_fd(), flags)
}

fn not_started(program: &Path, error: &io::Error) -> Error {
    let name = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(format!("{name}: executable file not found in $PATH"))
                .hint("checkpoint and restore need criu: install it, or say --criu FILE")
        }
        _ => Error::io(format!("execute {name}"), error),
    }
}

/// In runc's words, and with the line of the log that says why.
fn failed(answer: &Answer, log: &Path) -> Error {
    let kind = request::name(answer.kind);
    let error = Error::new(format!(
        "criu failed: type {kind} errno {}\nlog file: {}",
        answer.errno,
        log.display()
    ));
    // What it answers is the first error of all, which may have been no obstacle.
    let said = Some(answer.message.trim().to_owned());
    let said = said.filter(|said| !said.is_empty());
    let error = with_reason(error, reason(log).or(said));
    match answer.errno {
        0 => error,
        errno => error.hint(words(Errno::from_raw_os_error(errno))),
    }
}

fn with_reason(error: Error, reason: Option<String>) -> Error {
    match reason {
        Some(line) => error.hint(format!("criu: {line}")),
        None => error,
    }
}

/// The first error in a log that is not about criu's own limits.
fn reason(log: &Path) -> Option<String> {
    const MOST: u64 = 1 << 20;
    let text = read_log(log, MOST)?;
    let lines = text.lines().filter(|line| line.contains("Error ("));
    let mut lines = lines.filter(|line| !line.contains("RLIMIT_NOFILE"));
    lines.next().map(str::to_owned)
}

/// Where criu is: what was named, or what is looked for.
pub(super) fn program(named: Option<&PathBuf>) -> PathBuf {
    named.cloned().unwrap_or_else(|| PathBuf::from("criu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        // As criu 4.1.1 sent them.
        let answer = Answer::read(b"\x08\x0a\x10\x01R\x06\x08\x04\x10\x01 \x01");
        let answer = answer.expect("a version");
        assert_eq!((answer.kind, answer.success), (10, true));
        assert_eq!(answer.version, Some((4, 1)));
        let answer = Answer::read(b"\x08\x06\x10\x01*\r\n\x0bpre-restore");
        let answer = answer.expect("a notice");
        assert_eq!(answer.stage.as_deref(), Some("pre-restore"));
        let answer = Answer::read(b"\x08\x09\x10\x01B\x06\x08\x01\x10\x00\x18\x00");
        let features = answer.expect("features").features;
        assert!(features.memory_tracking && !features.lazy_pages);
        assert!(Answer::read(b"\x08\x06").is_none());
        assert!(Answer::read(b"\x08\x06\x10\x01*\x02\n\x0b").is_none());
    }

    #[test]
    fn a_failure_names_the_log() {
        let answer = Answer {
            kind: 1,
            errno: 56,
            ..Answer::default()
        };
        let error = failed(&answer, Path::new("/nowhere/dump.log"));
        assert_eq!(
            error.to_string(),
            "criu failed: type DUMP errno 56\nlog file: /nowhere/dump.log"
        );
    }
}
