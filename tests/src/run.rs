//! `warren run`.

pub mod audit;
mod changes;
mod escapes;
mod exit_codes;
mod files;
mod from;
mod hide;
mod inside;
mod landlock;
mod leftovers;
mod nested;
mod older_kernels;
mod options;
mod plan;
mod posture;
mod print;
mod profiles;
mod results;
mod roots;
mod terminal;
mod watched;

use std::process::Command;

use warren_testkit::{Output, Test, program, run, warren};

/// All of this command's tests, by file.
pub const TESTS: [&[Test]; 21] = [
    inside::TESTS,
    roots::TESTS,
    exit_codes::TESTS,
    options::TESTS,
    posture::TESTS,
    escapes::TESTS,
    nested::TESTS,
    terminal::TESTS,
    leftovers::TESTS,
    older_kernels::TESTS,
    plan::TESTS,
    print::TESTS,
    from::TESTS,
    profiles::TESTS,
    landlock::TESTS,
    files::TESTS,
    hide::TESTS,
    watched::TESTS,
    audit::TESTS,
    results::TESTS,
    changes::TESTS,
];

/// `warren run OPTIONS -- sh -c SCRIPT`, not started yet.
fn shell(options: &[&str], script: &str) -> Command {
    let mut command = warren(["run"]);
    command.args(options).args(["--", "sh", "-c", script]);
    command
}

/// What a shell script says inside a run without options.
#[track_caller]
fn inside(script: &str) -> Output {
    inside_with(&[], script)
}

/// What a shell script says inside a run with these options.
#[track_caller]
fn inside_with(options: &[&str], script: &str) -> Output {
    run(&mut shell(options, script))
}

/// What a shell script says under bubblewrap, with the nearest to our defaults.
#[track_caller]
fn inside_bubblewrap(script: &str) -> Output {
    let mut bwrap = program("bwrap");
    bwrap.args(["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev"]);
    bwrap.args([
        "--proc", "/proc", "--tmpfs", "/tmp", "--", "sh", "-c", script,
    ]);
    run(&mut bwrap)
}
