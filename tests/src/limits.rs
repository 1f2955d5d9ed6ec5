//! Limits: workloads that meet each, in every way that this machine can have them.
//!
//! On a hybrid machine that is v1; on one with v2 and systemd a scope, and beside it a group
//! that Warren makes itself (`--cgroup /`).

mod cpu;
mod delegated;
mod devices;
mod disk;
mod io;
mod left_over;
mod memory;
mod pids;
mod refused;
mod shown;
mod systemd;
mod unified;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use warren_testkit::{Test, warren};

pub const TESTS: &[&[Test]] = &[
    cpu::TESTS,
    memory::TESTS,
    pids::TESTS,
    io::TESTS,
    devices::TESTS,
    disk::TESTS,
    shown::TESTS,
    refused::TESTS,
    left_over::TESTS,
    delegated::TESTS,
    systemd::TESTS,
    unified::TESTS,
];

/// Whether everything is in the one tree of v2.
pub fn is_v2() -> bool {
    fs::exists("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|there| there)
}

/// The options for each way to have a group here.
fn ways() -> &'static [&'static [&'static str]] {
    if is_v2() {
        &[&[], &["--cgroup", "/"]]
    } else {
        &[&[]]
    }
}

/// Lets the ids of a run, which are nobody's on the host, write it.
fn open_to_all(path: &Path) {
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(path, mode).expect("one's own");
}

/// `warren run` with the options of a way and of the test, up to the command.
fn limited(way: &[&str], options: &[&str]) -> Command {
    let mut command = warren(["run"]);
    command.args(way).args(options).arg("--");
    command
}

/// The process that Warren has made, the init.
pub fn init_of(warren: rustix::process::Pid) -> String {
    let pid = warren.as_raw_nonzero();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).expect("it lives");
    text.split_whitespace().next().expect("a child").to_owned()
}

/// All groups of a process, as paths below where they are mounted here.
fn folders_of(pid: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
    let folder = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?.trim_start_matches("name=");
        let path = fields.next()?;
        let mount = match (controllers, is_v2()) {
            ("", true) => "/sys/fs/cgroup".to_owned(),
            ("", false) => "/sys/fs/cgroup/unified".to_owned(),
            (controllers, _) => format!("/sys/fs/cgroup/{controllers}"),
        };
        Some(format!("{mount}{path}"))
    };
    text.lines().filter_map(folder).collect()
}
