//! A transient scope of systemd's manager: org.freedesktop.systemd1(5).
//!
//! The tree of v2 is systemd's where systemd runs. A scope with `Delegate=yes` is a part of it
//! that it leaves to who asked for it. Its private socket is asked first, which is there
//! without a message bus; else the bus.

pub mod message;

use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use warren_namespaces::ProcRoot;

use crate::limits::{CpuWeight, IoWeight, Limits, Most};
use crate::{Error, convert, of_process, systemd_runs};
use message::{Call, ERROR, Properties, REPLY, Received, SIGNAL, Value, Writer};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";

/// How long systemd may take for one thing; its own tools wait as long.
const PATIENCE: Timespec = Timespec {
    tv_sec: 25,
    tv_nsec: 0,
};

/// A scope: a unit of systemd for processes that others have started.
#[derive(Debug)]
pub struct Scope {
    name: String,
    pid: Option<u32>,
    /// Whether it is somebody else's to stop.
    is_found: bool,
}

impl Scope {
    /// The unit that has the group at this path of v2, if the caller's manager has it.
    pub(crate) fn of_group(below: &Path) -> Option<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let name = below.file_name()?.to_str()?;
        let is_unit = [".scope", ".service", ".slice"]
            .iter()
            .any(|it| name.ends_with(it));
        // A user's manager is a service itself, below which are its own.
        let text = below.to_string_lossy();
        let is_own = match uid {
            0 => !text.contains("/user@"),
            uid => text.contains(&format!("/user@{uid}.service/")),
        };
        (is_unit && is_own && systemd_runs()).then(|| Self {
            name: name.to_owned(),
            pid: None,
            is_found: true,
        })
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            pid: None,
            is_found: false,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Has systemd make one with the process `pid` in it.
    pub(crate) fn start(
        name: &str,
        slice: Option<&str>,
        pid: u32,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut properties: Properties = vec![
            ("Description", Value::Text("Warren".to_owned())),
            ("PIDs", Value::Numbers(vec![pid])),
            ("Delegate", Value::Bool(true)),
            ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
        ];
        if let Some(slice) = slice {
            properties.push(("Slice", Value::Text(slice.to_owned())));
        }
        properties.extend(properties_of(limits));
        let mut body = Writer::default();
        body.text(name);
        body.text("fail");
        body.properties(&properties);
        body.no_units();
        let mut manager = Manager::connect()?;
        manager.run_job(name, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)?;
        Ok(Self {
            name: name.to_owned(),
            pid: Some(pid),
            is_found: false,
        })
    }

    /// Where its group is: that of the process that was put in.
    pub(crate) fn control_group(&self) -> Result<PathBuf, Error> {
        let Some(pid) = self.pid else {
            return Err(Error::told(
                "find the scope: it has no process",
                Errno::SRCH,
            ));
        };
        let memberships = of_process(&ProcRoot::open()?, pid)?;
        let v2 = memberships.into_iter().find(|it| it.controllers.is_empty());
        v2.map(|it| it.path).ok_or_else(|| {
            Error::new("find", format!("the group of {}", self.name), Errno::NOENT)
        })
    }

    /// Tells systemd of changed limits, so that it does not put the old ones back.
    pub(crate) fn set(&self, limits: &Limits) -> Result<(), Error> {
        let properties = properties_of(limits);
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&self.name);
        body.bool(true);
        body.properties(&properties);
        Manager::connect()?
            .call("SetUnitProperties", "sba(sv)", body)
            .map(drop)
    }

    /// Ends it; one that is gone already, as it is with its last process, is fine.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        if self.is_found {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&self.name);
        body.text("replace");
        let mut manager = Manager::connect()?;
        match manager.run_job(&self.name, "StopUnit", "ss", body) {
            Err(error) if error.errno() != Errno::NOENT => Err(error),
            _ => Ok(()),
        }
    }
}

/// What systemd itself has a word for: `systemctl show` tells these, and it puts them back
/// when it reloads its units.
#[must_use]
pub fn properties_of(limits: &Limits) -> Properties {
    let most = |most: Most| Value::U64(most.limit().unwrap_or(u64::MAX));
    let mut properties = Properties::new();
    let mut add = |name, value: Option<Value>| {
        properties.extend(value.map(|value| (name, value)));
    };
    let memory = &limits.memory;
    add("MemoryMax", memory.max.map(most));
    add("MemoryHigh", memory.high.map(most));
    add("MemoryLow", memory.low.map(most));
    add("MemoryMin", memory.min.map(most));
    add("MemorySwapMax", memory.swap.map(most));
    add("TasksMax", limits.pids.map(most));
    add("CPUQuotaPerSecUSec", per_second(limits).map(most));
    add("CPUQuotaPeriodUSec", limits.cpu.period_us.map(Value::U64));
    add(
        "CPUWeight",
        limits.cpu.weight.map(|weight| {
            Value::U64(match weight {
                CpuWeight::Weight(weight) => weight,
                CpuWeight::Shares(shares) => convert::shares_to_weight(shares),
            })
        }),
    );
    add(
        "IOWeight",
        limits.io.weight.map(|weight| {
            Value::U64(match weight {
                IoWeight::Weight(weight) => weight,
                IoWeight::Blkio(weight) => convert::blkio_to_weight(weight),
            })
        }),
    );
    let set = |list: &Option<String>| list.as_deref().and_then(bit_set).map(Value::Bytes);
    add("AllowedCPUs", set(&limits.cpuset.cpus));
    add("AllowedMemoryNodes", set(&limits.cpuset.mems));
    properties
}

/// Microseconds of CPU time in a second.
fn per_second(limits: &Limits) -> Option<Most> {
    const DEFAULT_PERIOD: u64 = 100_000;
    let period = limits.cpu.period_us.unwrap_or(DEFAULT_PERIOD).max(1);
    Some(match limits.cpu.quota_us? {
        Most::Max => Most::Max,
        Most::Of(quota) => Most::Of(quota.saturating_mul(1_000_000) / period),
    })
}

/// `0-2,5` as a mask, the lowest first.
fn bit_set(list: &str) -> Option<Vec<u8>> {
    /// The most that any kernel is built for.
    const MOST: usize = 8192;
    let mut mask = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        for number in first..=last {
            mask.resize(mask.len().max(number / 8 + 1), 0);
            mask[number / 8] |= 1u8 << (number % 8);
        }
    }
    Some(mask)
}

/// A connection to systemd's manager: root's, or the caller's own.
struct Manager {
    socket: OwnedFd,
    serial: u32,
    /// What was read behind the last message.
    signals: Vec<Received>,
}

impl Manager {
    fn connect() -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let (private, bus) = if uid == 0 {
            (
                "/run/systemd/private".to_owned(),
                "/run/dbus/system_bus_socket".to_owned(),
            )
        } else {
            let folder = format!("/run/user/{uid}");
            (format!("{folder}/systemd/private"), format!("{folder}/bus"))
        };
        let wrap = |path: &str, errno| {
            let who = if uid == 0 {
                "systemd"
            } else {
                "the user's systemd"
            };
            Error::new("ask", format!("{who} at {path}"), errno)
        };
        match Self::open(&private, uid) {
            Ok(manager) => Ok(manager),
            Err(_) => {
                let mut manager =
                    Self::open(&bus, uid).map_err(|errno| wrap(&bus, errno))?;
                manager.greet()?;
                Ok(manager)
            }
        }
    }

    fn open(path: &str, uid: u32) -> Result<Self, Errno> {
        let kind = SocketType::STREAM;
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        let mut manager = Self {
            socket,
            serial: 0,
            signals: Vec::new(),
        };
        manager.authenticate(uid)?;
        Ok(manager)
    }

    /// SASL, EXTERNAL: the kernel has told who is calling, and the number in letters must be
    /// the same.
    ///
    /// BEGIN goes along, as with systemd's own tools, and before the answer nothing else: what
    /// comes to systemd in one piece with it would lie there until more comes.
    fn authenticate(&mut self, uid: u32) -> Result<(), Errno> {
        let letters: String = uid
            .to_string()
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.send(format!("\0AUTH EXTERNAL {letters}\r\nBEGIN\r\n").as_bytes())?;
        let line = self.receive_line()?;
        if line.starts_with(b"OK ") {
            Ok(())
        } else {
            Err(Errno::ACCESS)
        }
    }

    /// Takes a line and nothing behind it: signals may follow at once.
    fn receive_line(&mut self) -> Result<Vec<u8>, Errno> {
        let mut line = [0; 512];
        loop {
            self.await_bytes()?;
            let flags = RecvFlags::PEEK;
            let (count, _) = rustix::net::recv(&self.socket, &mut line, flags)?;
            let end = line[..count].windows(2).position(|two| two == b"\r\n");
            if let Some(end) = end {
                self.receive_exactly(&mut line[..end + 2])?;
                return Ok(line[..end].to_vec());
            }
            if count == line.len() || count == 0 {
                return Err(Errno::PROTO);
            }
            // What was peeked at wakes up at once.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// What a bus wants to hear before it passes anything on.
    fn greet(&mut self) -> Result<(), Error> {
        const BUS: &str = "org.freedesktop.DBus";
        let hello = Call {
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member: "Hello",
            signature: "",
        };
        self.call_of(&hello, Writer::default())?;
        let mut rule = Writer::default();
        rule.text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
        let add_match = Call {
            member: "AddMatch",
            signature: "s",
            ..hello
        };
        self.call_of(&add_match, rule)?;
        self.call("Subscribe", "", Writer::default()).map(drop)
    }

    /// Calls a method that answers with a job, and waits until that is done.
    fn run_job(
        &mut self,
        unit: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<(), Error> {
        let reply = self.call(member, signature, body)?;
        let job = reply.texts.into_iter().next().unwrap_or_default();
        let wrap = |errno| Error::new("hear of", format!("{unit} from systemd"), errno);
        let mut early = std::mem::take(&mut self.signals);
        loop {
            let signal = match early.pop() {
                Some(signal) => signal,
                None => self.receive().map_err(wrap)?,
            };
            let [removed, _, result] = signal.texts.as_slice() else {
                continue;
            };
            if signal.member != "JobRemoved" || *removed != job {
                continue;
            }
            return match result.as_str() {
                "done" | "skipped" => Ok(()),
                result => {
                    let words = format!("{member} {unit}: systemd says '{result}'");
                    Err(Error::told(words, Errno::CANCELED))
                }
            };
        }
    }

    fn call(
        &mut self,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Received, Error> {
        let call = Call {
            destination: SYSTEMD,
            path: OBJECT,
            interface: MANAGER,
            member,
            signature,
        };
        self.call_of(&call, body)
    }

    fn call_of(&mut self, call: &Call<'_>, body: Writer) -> Result<Received, Error> {
        self.serial += 1;
        let message = call.message(self.serial, &body.into_bytes());
        let wrap =
            |errno| Error::new("ask", format!("systemd for {}", call.member), errno);
        self.send(&message).map_err(wrap)?;
        loop {
            let received = self.receive().map_err(wrap)?;
            match received.kind {
                SIGNAL => self.signals.push(received),
                REPLY if received.reply_to == Some(self.serial) => return Ok(received),
                ERROR if received.reply_to == Some(self.serial) => {
                    return Err(refusal(call.member, received));
                }
                _ => {}
            }
        }
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let sent = rustix::io::retry_on_intr(|| {
                rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL)
            })?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Received, Errno> {
        let mut head = [0; 16];
        self.receive_exactly(&mut head)?;
        let length = message::length(head).ok_or(Errno::PROTO)?;
        let mut bytes = head.to_vec();
        bytes.resize(length, 0);
        self.receive_exactly(&mut bytes[16..])?;
        message::parse(&bytes).ok_or(Errno::PROTO)
    }

    fn receive_exactly(&mut self, mut bytes: &mut [u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            self.await_bytes()?;
            let flags = RecvFlags::empty();
            let (count, _) = rustix::net::recv(&self.socket, &mut *bytes, flags)?;
            if count == 0 {
                return Err(Errno::CONNRESET);
            }
            bytes = &mut bytes[count..];
        }
        Ok(())
    }

    fn await_bytes(&self) -> Result<(), Errno> {
        let mut wanted = [PollFd::new(&self.socket, PollFlags::IN)];
        let poll = || rustix::event::poll(&mut wanted, Some(&PATIENCE));
        match rustix::io::retry_on_intr(poll)? {
            0 => Err(Errno::TIMEDOUT),
            _ => Ok(()),
        }
    }
}

/// What systemd answered, with the errno that its name stands for.
fn refusal(member: &str, received: Received) -> Error {
    let errno = match received.error.rsplit('.').next().unwrap_or_default() {
        "NoSuchUnit" => Errno::NOENT,
        "AccessDenied" | "InteractiveAuthorizationRequired" => Errno::ACCESS,
        "UnitExists" => Errno::EXIST,
        "InvalidArgs" | "PropertyReadOnly" | "UnknownProperty" => Errno::INVAL,
        _ => Errno::IO,
    };
    let words = received.texts.into_iter().next().unwrap_or(received.error);
    Error::told(format!("{member}: systemd says '{words}'"), errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_told_by_the_second() {
        let mut limits = Limits::default();
        limits.cpu.quota_us = Some(Most::Of(25_000));
        limits.cpu.period_us = Some(50_000);
        let found = properties_of(&limits);
        let expected = [
            ("CPUQuotaPerSecUSec", Value::U64(500_000)),
            ("CPUQuotaPeriodUSec", Value::U64(50_000)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_list_of_cpus_is_a_mask() {
        assert_eq!(bit_set("0-2,9"), Some(vec![0b111, 0b10]));
        assert_eq!(bit_set("x"), None);
        assert_eq!(bit_set("0-99999999"), None);
    }
}
