//! The caller's terminal.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use warren_namespaces::errno_text;
use warren_sys::{Errno, Push, push};

use super::super::outside::Outside;
use super::super::probe::{Finding, Probe, is_refusal};
use super::processes::Stat;

const FILTER: &str = "the filter of every run refuses it; no option of `warren run` opens \
                      it";

pub const PROBES: &[Probe] = &[
    Probe {
        name: "TIOCSTI",
        about: "terminal",
        tries: "types a character into its terminal, as the caller's shell would read it",
        hint: FILTER,
        cve: Some("CVE-2017-5226"),
        run: |_| pushed(Push::Sti),
    },
    Probe {
        name: "TIOCSTI, high bits",
        about: "terminal",
        tries: "the same with bits in the request that the kernel drops and a filter may \
                compare",
        hint: FILTER,
        cve: Some("CVE-2019-10063"),
        run: |_| pushed(Push::StiHigh),
    },
    Probe {
        name: "TIOCLINUX",
        about: "terminal",
        tries: "pastes into a virtual console",
        hint: FILTER,
        cve: Some("CVE-2023-28100"),
        run: |_| pushed(Push::Linux),
    },
    Probe {
        name: "TIOCLINUX, high bits",
        about: "terminal",
        tries: "the same with bits in the request that the kernel drops",
        hint: FILTER,
        cve: Some("CVE-2019-10063"),
        run: |_| pushed(Push::LinuxHigh),
    },
    Probe {
        name: "caller's terminal",
        about: "terminal",
        tries: "reads and writes the terminal that the caller works at",
        hint: "a run that is started at a terminal keeps it: --tty gives one of its own",
        cve: None,
        run: terminal,
    },
];

fn pushed(how: Push) -> Finding {
    let terminal = match own_terminal() {
        Ok(terminal) => terminal,
        Err(errno) => {
            return Finding::unknown(format!("no terminal: {}", errno_text(errno)));
        }
    };
    match push(terminal.as_fd(), how) {
        Ok(()) => Finding::open("the terminal took it for input"),
        Err(errno) if is_refusal(errno) => Finding::holds(errno_text(errno)),
        Err(Errno::IO) => {
            Finding::holds("the kernel has it off (dev.tty.legacy_tiocsti = 0)")
        }
        Err(errno) => {
            Finding::open(format!("the terminal was asked: {}", errno_text(errno)))
        }
    }
}

/// A new terminal as the controlling one of the caller, which is no leader of a group;
/// where there is no /dev/ptmx, some file on which an ioctl can be tried.
fn own_terminal() -> Result<OwnedFd, Errno> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let Ok(master) = rustix::pty::openpt(flags) else {
        return rustix::fs::open("/", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    };
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty())?;
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(&terminal)?;
    // Without it the terminal is hung up. The process ends soon.
    std::mem::forget(master);
    Ok(terminal)
}

fn terminal(_: &Outside) -> Finding {
    let mut found = Vec::new();
    if Stat::own().is_some_and(|stat| stat.terminal != 0) {
        found.push("the controlling terminal");
    }
    let streams = [
        (
            rustix::termios::isatty(rustix::stdio::stdin()),
            "standard input",
        ),
        (
            rustix::termios::isatty(rustix::stdio::stdout()),
            "standard output",
        ),
        (
            rustix::termios::isatty(rustix::stdio::stderr()),
            "standard error",
        ),
    ];
    let terminals = streams.iter().filter(|(is_one, _)| *is_one);
    found.extend(terminals.map(|(_, name)| name));
    Finding::none_of(&found, "none")
}
