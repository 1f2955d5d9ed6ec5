//! Settings that shut namespaces off: the error names the setting and the way out, and
//! so does `warren doctor`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use warren_testkit::{
    ORDINARY_USER, Output, Running, Test, program, run, scratch, staged, tests, warren,
};

pub const TESTS: &[Test] = tests! {
    Both:
        a_limit_of_a_kind_is_named_with_its_value,
        doctor_names_a_limit_of_none;
    Machine:
        without_unprivileged_user_namespaces_the_sysctl_is_named,
        under_an_apparmor_profile_that_forbids_them_it_is_named,
        under_an_apparmor_profile_a_check_names_it,
        a_machine_without_user_namespaces_is_told_of_to_root_too;
};

/// What a script says in a user namespace whose own limits `limits` it sets first: they
/// are nobody else's.
fn limited(limits: &[(&str, u32)], arguments: &str) -> Output {
    let set = limits.iter().map(|(name, value)| {
        format!("echo {value} >/proc/sys/user/max_{name}_namespaces && ")
    });
    let script = set.collect::<String>()
        + &format!("exec {} {arguments}", staged("warren").display());
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c", &script]);
    run(&mut unshare)
}

fn a_limit_of_a_kind_is_named_with_its_value() {
    limited(&[("user", 1)], "run -- true").succeeds();
    for kind in ["user", "net", "pid", "time"] {
        let name = format!("user.max_{kind}_namespaces");
        limited(&[(kind, 0)], "run -- true")
            .is_refused("No space left on device")
            .complains(&format!("{name} = 0; as root: sysctl {name}="));
    }
    // A kind that is not made has no limit to reach.
    limited(&[("net", 0)], "run --share net -- true").succeeds();
}

fn doctor_names_a_limit_of_none() {
    limited(&[("user", 0)], "doctor")
        .exits(1)
        .has("user.max_user_namespaces");
}

/// A sysctl of the whole machine with another value, until dropped.
struct Setting {
    path: String,
    before: String,
}

impl Setting {
    fn of(name: &str, value: &str) -> Self {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let before = fs::read_to_string(&path).expect("read the setting");
        fs::write(&path, value).expect("write the setting");
        Self { path, before }
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).expect("write the setting back");
    }
}

/// A command of an ordinary user, though this tier is root's.
fn ordinary(arguments: &[&str]) -> Command {
    let mut command = warren(arguments);
    command.uid(ORDINARY_USER).gid(ORDINARY_USER);
    command
}

/// Shuts a gate that lets root through; an ordinary user must read its name and way out.
fn is_named(name: &str, shut: &str, open: &str) {
    run(&mut ordinary(&["run", "--", "true"])).succeeds();
    {
        let _shut = Setting::of(name, shut);
        let way_out = format!("sysctl -w {name}={open}");
        let refused = run(&mut ordinary(&["run", "--", "true"]));
        refused
            .is_refused("clone a process")
            .complains(name)
            .complains(&way_out);
        let doctor = run(&mut ordinary(&["doctor"]));
        doctor.exits(1).has(name).has(&way_out);
        run(&mut warren(["run", "--", "true"])).succeeds();
        let mut sysctl = program("sysctl");
        run(sysctl.args(way_out.split(' ').skip(1))).succeeds();
        run(&mut ordinary(&["run", "--", "true"])).succeeds();
    }
}

fn without_unprivileged_user_namespaces_the_sysctl_is_named() {
    is_named("kernel.unprivileged_userns_clone", "0", "1");
}

/// An AppArmor profile of the binary under test, until dropped.
struct Profile(PathBuf);

impl Profile {
    /// One with what a run needs but for `userns` and `ptrace`, and with `more`.
    fn load(more: &str) -> Self {
        Self::load_with("", more)
    }

    fn load_with(flags: &str, more: &str) -> Self {
        let path = scratch().join("profile");
        let warren = staged("warren");
        let text = format!(
            "abi <abi/4.0>,\nprofile warren-shut {} {flags} {{\n  file, capability, network,\n  \
             mount, umount, pivot_root,\n  signal, unix,\n  {more}\n}}\n",
            warren.display()
        );
        fs::write(&path, text).expect("write the profile");
        let profile = Self(path);
        profile.parse("--replace");
        profile
    }

    fn parse(&self, what: &str) {
        let mut parser = program("apparmor_parser");
        run(parser.args(["--skip-cache", what]).arg(&self.0)).succeeds();
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parse("--remove");
    }
}

fn under_an_apparmor_profile_that_forbids_them_it_is_named() {
    let profile = Profile::load("ptrace,");
    for mut command in [
        ordinary(&["run", "--", "true"]),
        warren(["run", "--", "true"]),
    ] {
        let refused = run(&mut command);
        refused
            .is_refused("clone a process")
            .complains("Permission denied");
        refused
            .complains("AppArmor profile warren-shut")
            .complains("`userns,`");
    }
    run(&mut ordinary(&["doctor"])).exits(1).has("warren-shut");
    drop(profile);
    // The way out: the same profile with the rule.
    let _open = Profile::load("ptrace, userns,");
    run(&mut ordinary(&["unshare", "--user", "--", "true"])).succeeds();
}

fn under_an_apparmor_profile_a_check_names_it() {
    let mut unshare = program("unshare");
    unshare.args(["--uts", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut target = Running::start(&mut unshare);
    assert_eq!(target.line(), "ready");
    let pid = target.pid().as_raw_nonzero().to_string();
    let check = || run(&mut warren(["enter", &pid, "--check"]));
    check().exits(0).lacks("AppArmor");
    let shut = Profile::load("");
    check()
        .exits(1)
        .has("the AppArmor profile warren-shut (enforce) confines the caller")
        .has("hint: give the profile the rule `ptrace read,` and the flag attach_disconnected");
    run(&mut warren(["enter", &pid, "--", "true"]))
        .is_refused("open the namespaces of process")
        .complains("the AppArmor profile warren-shut (enforce) confines the caller");
    drop(shut);
    let _open = Profile::load_with("flags=(attach_disconnected)", "ptrace read,");
    check()
        .exits(0)
        .has("note: the AppArmor profile warren-shut (enforce) confines the caller");
    run(&mut warren(["enter", &pid, "--", "true"])).exits(0);
}

fn a_machine_without_user_namespaces_is_told_of_to_root_too() {
    let name = "user.max_user_namespaces";
    let _none = Setting::of(name, "0");
    for mut command in [
        ordinary(&["run", "--", "true"]),
        warren(["run", "--", "true"]),
    ] {
        let refused = run(&mut command);
        refused
            .is_refused("clone a process")
            .complains(&format!("{name} = 0"));
    }
    run(&mut ordinary(&["doctor"])).exits(1).has(name);
    run(&mut warren(["doctor"])).exits(1).has(name);
    run(&mut warren(["run", "--share", "user", "--", "true"])).succeeds();
}
