//! Filesystems, devices and programs that single features need.

use std::env;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use warren_namespaces::limits::KernelVersion;

use super::facts::Facts;
use super::{Check, Section, State};

pub fn section(facts: &Facts) -> Section {
    let checks = vec![
        overlay(facts),
        device(
            "fuse",
            "/dev/fuse",
            "filesystems in user space, where overlay is not to be had",
        ),
        device(
            "tun",
            "/dev/net/tun",
            "a network in user space for callers without privilege",
        ),
        nft(),
    ];
    Section {
        name: "features",
        checks,
    }
}

fn overlay(facts: &Facts) -> Check {
    let needed = KernelVersion {
        major: 5,
        minor: 11,
    };
    let why = "`--host-root=overlay` and images need it inside of a user namespace";
    let name = "overlay";
    if facts.kernel < needed {
        let found = "not inside of user namespaces";
        let fix = format!("it is allowed there since Linux {needed}");
        return Check::ok(name, found, why).but(State::Missing, fix);
    }
    let known = facts.words("filesystems");
    if known.iter().any(|word| word == name) {
        return Check::ok(name, "there, in user namespaces too", why);
    }
    if known.is_empty() {
        let found = "not to be seen: /proc/filesystems cannot be read";
        let fix = "mount the whole of procfs: mount -t proc proc /proc";
        return Check::ok(name, found, why).but(State::Missing, fix);
    }
    Check::ok(name, "the kernel has not loaded it", why)
        .but(State::Missing, "as root: modprobe overlay")
}

fn device(name: &'static str, path: &'static str, why: &'static str) -> Check {
    let access = Access::READ_OK | Access::WRITE_OK;
    match rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS) {
        Ok(()) => Check::ok(name, path, why),
        Err(Errno::NOENT) => Check::ok(name, format!("there is no {path}"), why)
            .but(State::Missing, format!("as root: modprobe {name}")),
        Err(errno) => Check::ok(
            name,
            format!("{path}: {}", warren_namespaces::errno_text(errno)),
            why,
        )
        .but(State::Missing, format!("as root: chmod 666 {path}")),
    }
}

fn nft() -> Check {
    let why = "shows the packet filter that a network of the host's needs; Warren \
               itself does not call it";
    match find("nft") {
        Some(path) => Check::ok("nft", path.to_string_lossy(), why),
        None => Check::ok("nft", "not in PATH", why)
            .but(State::Missing, "install the package nftables"),
    }
}

/// Where a program is: in PATH, or where administrators' programs are, which many
/// users do not have in theirs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    let access = rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS);
    access.is_ok() && path.is_file()
}
