//! End-to-end tests of the `warren` binary and library: one file per command.
//!
//! Each test is a function that fails by panicking; `tests!` says which tiers it belongs
//! to, and the harness runs it in a process of its own (docs/testing.md).

mod binary;
mod bwrap;
mod diff;
mod discovery;
mod doctor;
mod enter;
mod explain;
mod gates;
mod keep;
mod learn;
mod library;
mod limits;
mod ls;
mod lsns;
mod map;
mod mount;
mod net;
mod net_user;
mod nsenter;
mod oci;
mod posture;
mod profile;
mod readme;
mod run;
mod show;
mod top;
mod unshare;
mod util_linux;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use warren_testkit::harness::{Needed, Suite};

/// What the tests call besides a Debian system's essential packages. Engines, busybox and nft
/// are asked for by the suites that call them, which the virtual machine does not run.
const NEEDED: &[Needed] = &[
    Needed {
        program: "bwrap",
        package: "bubblewrap",
    },
    Needed {
        program: "crun",
        package: "crun",
    },
    Needed {
        program: "ip",
        package: "iproute2",
    },
    Needed {
        program: "nsenter",
        package: "util-linux",
    },
    Needed {
        program: "ps",
        package: "procps",
    },
    Needed {
        program: "python3",
        package: "python3",
    },
    Needed {
        program: "runc",
        package: "runc",
    },
    Needed {
        program: "strace",
        package: "strace",
    },
    Needed {
        program: "systemd-analyze",
        package: "systemd",
    },
    Needed {
        program: "tmux",
        package: "tmux",
    },
    Needed {
        program: "vi",
        package: "vim-tiny",
    },
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(enter::WAIT) {
        return enter::wait();
    }
    let mut tests = run::TESTS.to_vec();
    tests.extend(enter::TESTS);
    tests.extend([watch::TESTS, top::TESTS, map::TESTS]);
    tests.extend(bwrap::TESTS);
    tests.extend(keep::TESTS);
    tests.extend([net::TESTS]);
    tests.extend(profile::TESTS);
    tests.extend(limits::TESTS);
    tests.extend(lsns::TESTS);
    tests.extend(oci::TESTS);
    tests.extend([net_user::TESTS]);
    tests.extend([mount::TESTS, nsenter::TESTS, unshare::TESTS, ls::TESTS]);
    tests.extend([
        discovery::TESTS,
        doctor::TESTS,
        gates::TESTS,
        library::TESTS,
    ]);
    tests.extend([show::TESTS, diff::TESTS, explain::TESTS]);
    tests.extend([learn::TESTS, posture::TESTS, binary::TESTS, readme::TESTS]);
    Suite {
        tests,
        needed: NEEDED,
        golden: golden_folder(),
    }
    .main()
}

/// Beside this file; in the virtual machine, where `WARREN_TEST_GOLDEN` says.
fn golden_folder() -> PathBuf {
    let told = std::env::var_os("WARREN_TEST_GOLDEN").map(PathBuf::from);
    told.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"))
}
