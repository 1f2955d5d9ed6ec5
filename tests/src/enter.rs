//! `warren enter`: into namespaces, roots and control groups that are there.

mod groups;
mod reasons;
mod shell;
mod ways_out;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use warren_testkit::{
    Running, Test, eventually, program, run, scratch, staged, tests, warren,
};

const OWN_TESTS: &[Test] = tests! {
    Both:
        a_command_sees_the_targets_namespaces_as_with_nsenter,
        the_exit_code_is_the_commands,
        a_target_that_is_not_there_is_refused_by_name,
        a_plan_enters_nothing,
        a_process_is_told_from_its_successor_by_its_pidfd,
        a_namespace_is_entered_by_inode_and_by_path,
        what_is_the_callers_already_is_refused,
        signals_reach_the_command,
        the_command_has_a_terminal_of_the_targets_own,
        no_descriptor_but_the_standard_streams_is_left,
        environment_and_working_directory_can_be_the_targets,
        with_follow_the_command_has_the_targets_rights,
        another_root_is_entered_with_the_working_directory,
        a_folder_of_the_target_can_be_the_root,
        a_namespace_that_an_outer_user_namespace_owns_is_entered,
        the_next_children_of_a_process_can_be_joined;
    User:
        bubblewraps_nested_user_namespace_is_entered;
    Root:
        a_name_of_ip_netns_is_a_target,
        the_targets_control_groups_are_joined,
        a_container_is_found_by_the_start_of_its_id_and_two_are_told_apart,
        a_mount_namespace_whose_root_is_covered_is_entered_below;
};

pub const TESTS: &[&[Test]] = &[
    OWN_TESTS,
    shell::TESTS,
    reasons::TESTS,
    ways_out::TESTS,
    groups::TESTS,
];

/// The argument by which the test binary becomes a program that waits, and needs no
/// other file to do so.
pub const WAIT: &str = "--wait";

/// Says so, and ends with its input.
pub fn wait() -> ExitCode {
    let said = std::io::stdout().write_all(b"ready\n");
    let ended = said.and_then(|()| std::io::stdin().read_to_end(&mut Vec::new()));
    ExitCode::from(u8::from(ended.is_err()))
}

/// A process in namespaces of its own, and its number here.
struct Target {
    _running: Running,
    pid: String,
}

impl Target {
    /// Waits for `ready`, and for the process that is `depth` generations below.
    #[track_caller]
    fn start(command: &mut Command, depth: usize) -> Self {
        let mut running = Running::start(command);
        assert_eq!(running.line(), "ready");
        let started = running.pid().as_raw_nonzero().to_string();
        let mut pid = String::new();
        eventually("the target", || {
            pid = (0..depth).fold(started.clone(), |pid, _| child(&pid));
            !pid.is_empty()
        });
        Self {
            _running: running,
            pid,
        }
    }

    fn enter(&self, arguments: &[&str]) -> warren_testkit::Output {
        run(warren(["enter", &self.pid]).args(arguments))
    }

    fn namespace(&self, kind: &str) -> String {
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", self.pid));
        link.expect("the target lives").display().to_string()
    }

    fn mounts(&self) -> String {
        let path = format!("/proc/{}/mountinfo", self.pid);
        fs::read_to_string(path).expect("the target lives")
    }
}

fn child(pid: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default()
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A run that waits: its command, below the supervisor and the init.
fn target() -> Target {
    let mut command = warren(["run", "--hostname", "burrow", "--env", "BURROW=deep"]);
    command.args(["--workdir", "/usr/bin", "--", "sh", "-c"]);
    Target::start(command.arg("echo ready; sleep 1000; true"), 2)
}

/// A shell in namespaces that util-linux makes, root of a user namespace of its own.
fn unshared(options: &[&str], script: &str) -> Target {
    let mut command = program("unshare");
    command.args(["--user", "--map-root-user"]).args(options);
    // The shell goes on as the script's last program.
    Target::start(command.args(["sh", "-c", script]), 0)
}

const WAITS: &str = "echo ready; exec sleep 1000";

fn a_command_sees_the_targets_namespaces_as_with_nsenter() {
    let target = target();
    target.enter(&["--", "uname", "-n"]).says("burrow");
    let mut nsenter = program("nsenter");
    nsenter.args(["--user", "--uts", "--preserve-credentials", "--target"]);
    run(nsenter.arg(&target.pid).args(["uname", "-n"])).says("burrow");
    for kind in ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"] {
        let link = format!("/proc/self/ns/{kind}");
        target
            .enter(&["--", "readlink", &link])
            .says(&target.namespace(kind));
    }
}

fn the_exit_code_is_the_commands() {
    let target = target();
    target.enter(&["--", "sh", "-c", "exit 7"]).exits(7);
    target.enter(&["--", "sh", "-c", "kill -9 $$"]).exits(137);
    target.enter(&["--", "no-such-command"]).exits(127);
}

fn a_target_that_is_not_there_is_refused_by_name() {
    // Above any pid_max: a namespace.
    run(&mut warren(["enter", "99999999", "--", "true"])).is_refused("99999999");
    run(&mut warren(["enter", "4194304", "--", "true"]))
        .is_refused("find process 4194304: No such process");
    run(&mut warren(["enter", "no-such-name", "--", "true"]))
        .is_refused("find no-such-name")
        .complains("warren ls");
    run(&mut warren(["enter", "/dev/null", "--", "true"]))
        .is_refused("open /dev/null: the file is no namespace");
}

fn a_plan_enters_nothing() {
    let target = target();
    let made = scratch().join("made");
    let path = made.display().to_string();
    target.enter(&["--plan", "--", "touch", &path]).succeeds();
    assert!(!made.exists());
}

fn a_process_is_told_from_its_successor_by_its_pidfd() {
    let target = target();
    let number = target.pid.parse().ok().and_then(Pid::from_raw);
    let pidfd = pidfd_open(number.expect("a pid"), PidfdFlags::empty());
    let stat = rustix::fs::fstat(pidfd.expect("it lives").as_fd()).expect("fstat");
    let named = |inode| format!("{}:{inode}", target.pid);
    let enter = |target: &str| run(&mut warren(["enter", target, "--", "uname", "-n"]));
    enter(&named(stat.st_ino)).says("burrow");
    enter(&named(stat.st_ino + 1)).is_refused("another has its number");
}

fn a_namespace_is_entered_by_inode_and_by_path() {
    let target = unshared(&["--uts"], &format!("hostname inner; {WAITS}"));
    let enter = |what: &str| run(&mut warren(["enter", what, "--", "uname", "-n"]));
    let uts = target.namespace("uts");
    enter(&uts).says("inner");
    enter(uts.trim_start_matches("uts:[").trim_end_matches(']')).says("inner");
    enter(&format!("/proc/{}/ns/uts", target.pid)).says("inner");
    let net = uts.replace("uts", "net");
    enter(&net).is_refused("it is of the kind uts");
}

fn what_is_the_callers_already_is_refused() {
    let own = std::process::id().to_string();
    run(&mut warren(["enter", &own, "--", "true"]))
        .is_refused("its namespaces are the caller's");
}

fn signals_reach_the_command() {
    let target = target();
    let script = "trap 'echo got it; exit 3' TERM; echo ready; \
                  while :; do sleep 0.1; done";
    let mut entered = Running::start(&mut warren([
        "enter",
        &target.pid,
        "--",
        "sh",
        "-c",
        script,
    ]));
    assert_eq!(entered.line(), "ready");
    entered.signal(Signal::TERM);
    assert_eq!(entered.line(), "got it");
    assert_eq!(entered.ends(), 3);
}

fn the_command_has_a_terminal_of_the_targets_own() {
    let target = target();
    let tty = target.enter(&["--tty", "--", "sh", "-c", "tty; test -t 2; echo $?"]);
    // The first of the devpts of the target, where no other program has one.
    tty.expect(
        "a terminal of the target's devpts",
        tty.succeeds().replace('\r', "") == "/dev/pts/0\n0",
    );
    // Without a devpts there, the caller's terminal is taken, which has no name inside.
    let without = unshared(&["--mount"], &format!("mount -t tmpfs none /dev; {WAITS}"));
    without
        .enter(&["-t", "--", "sh", "-c", "test -t 0"])
        .exits(0);
}

fn no_descriptor_but_the_standard_streams_is_left() {
    let target = target();
    let mut shell = program("sh");
    let script = "exec 9</dev/null; exec \"$@\"";
    shell.args(["-c", script, "sh"]).arg(staged("warren"));
    shell.args(["enter", &target.pid, "--", "ls", "/proc/self/fd"]);
    // The last is the list itself.
    run(&mut shell).says("0\n1\n2\n3");
}

fn environment_and_working_directory_can_be_the_targets() {
    let target = target();
    let print = ["--", "sh", "-c", "echo $BURROW $EXTRA; pwd"];
    let with = |options: &[&str]| target.enter(&[options, &print].concat());
    with(&[]).says("\n/");
    with(&["--target-env", "--env", "EXTRA=more", "--cwd"]).says("deep more\n/usr/bin");
    with(&["--workdir", "/etc"]).says("\n/etc");
    with(&["--workdir", "/no/such"]).is_refused("change to the directory /no/such");
    let empty = target.enter(&["--clear-env", "--env", "A=b", "--", "/usr/bin/env"]);
    empty.says("A=b");
}

fn with_follow_the_command_has_the_targets_rights() {
    let target = target();
    let print = [
        "--",
        "grep",
        "-E",
        "^(CapEff|NoNewPrivs):",
        "/proc/self/status",
    ];
    let of = |options: &[&str]| {
        let output = target.enter(&[options, &print].concat());
        [
            output.field("CapEff:").to_owned(),
            output.field("NoNewPrivs:").to_owned(),
        ]
    };
    assert_eq!(of(&["--user", "follow"]), ["0000000000000000", "1"]);
    assert_ne!(of(&[])[0], "0000000000000000");
    target
        .enter(&["--user", "4294967294", "--", "true"])
        .is_refused("become uid 4294967294")
        .complains("has no such id");
}

fn another_root_is_entered_with_the_working_directory() {
    // /usr has what a merged system needs below /: bin, lib, lib64.
    let target = unshared(
        &[],
        "exec chroot /usr /bin/sh -c 'echo ready; exec sleep 1000'",
    );
    let inside = target.enter(&["--", "/bin/sh", "-c", "pwd; cd ..; cd ..; echo *"]);
    let mut names: Vec<_> = fs::read_dir("/usr")
        .expect("/usr")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    let mut lines = inside.succeeds().lines();
    assert_eq!(lines.next(), Some("/"), "{inside}");
    let mut found: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    found.sort_unstable();
    assert_eq!(found, names, "{inside}");
    // nsenter leaves the caller's working directory outside of that root.
    let mut nsenter = program("nsenter");
    nsenter.args([
        "--user",
        "--preserve-credentials",
        "--root",
        "--target",
        &target.pid,
    ]);
    let theirs = run(nsenter.args(["/bin/sh", "-c", "cd ..; cd ..; echo *"]));
    theirs.expect("nsenter to be outside", !theirs.stdout.starts_with("bin "));
}

fn a_folder_of_the_target_can_be_the_root() {
    let target = target();
    let script = "pwd; cd ..; test -e bin/sh && ! test -e proc";
    let root = ["--root", "/usr", "--", "/bin/sh", "-c", script];
    target.enter(&root).says("/");
    target
        .enter(&["--root", "/no/such", "--", "true"])
        .is_refused("make /no/such the root");
}

fn a_namespace_that_an_outer_user_namespace_owns_is_entered() {
    let inner = format!("exec unshare --user --map-root-user sh -c '{WAITS}'");
    let target = unshared(&["--net", "--uts"], &inner);
    let links = "readlink /proc/self/ns/net /proc/self/ns/user";
    let [net, user] = ["net", "user"].map(|kind| target.namespace(kind));
    target
        .enter(&["--", "sh", "-c", links])
        .says(&format!("{net}\n{user}"));
    target.enter(&["--check"]).exits(0);
}

fn the_next_children_of_a_process_can_be_joined() {
    let mut command = program("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--pid",
        "--kill-child",
        "sh",
        "-c",
        WAITS,
    ]);
    let mut running = Running::start(&mut command);
    assert_eq!(running.line(), "ready");
    // The parent is outside of the pid namespace that it has made.
    let parent = running.pid().as_raw_nonzero().to_string();
    let inside = fs::read_link(format!("/proc/{}/ns/pid", child(&parent)));
    let inside = inside.expect("its child lives").display().to_string();
    let link = "/proc/self/ns/pid";
    let words = ["enter", "--next-children", &parent, "--mount-proc", "--"];
    run(warren(words).args(["readlink", link])).says(&inside);
}

fn bubblewraps_nested_user_namespace_is_entered() {
    let mut command = program("bwrap");
    command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    command.args(["--unshare-user", "--unshare-net", "--unshare-pid"]);
    command.arg("--die-with-parent");
    command.args(["sh", "-c", "echo ready; sleep 1000; true"]);
    let target = Target::start(&mut command, 2);
    let links = "readlink /proc/self/ns/net /proc/self/ns/user";
    let [net, user] = ["net", "user"].map(|kind| target.namespace(kind));
    target
        .enter(&["--", "sh", "-c", links])
        .says(&format!("{net}\n{user}"));
}

fn a_name_of_ip_netns_is_a_target() {
    // ip(8) leaves its folder a mount, where that is the first name.
    let _folder = NetnsFolder::before_ip();
    let name = format!("warren-{}", std::process::id());
    run(program("ip").args(["netns", "add", &name])).succeeds();
    let links = run(&mut warren(["enter", &name, "--", "ip", "-br", "link"]));
    let mut exec = program("ip");
    let theirs = run(exec.args(["netns", "exec", &name, "ip", "-br", "link"]));
    run(program("ip").args(["netns", "del", &name])).succeeds();
    links.says(theirs.succeeds());
}

/// /run/netns, unmounted again when dropped if it was no mount before.
pub struct NetnsFolder {
    was_mounted: bool,
}

impl NetnsFolder {
    pub fn before_ip() -> Self {
        Self {
            was_mounted: Self::is_mounted(),
        }
    }

    fn is_mounted() -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("one's own");
        mounts.contains(" /run/netns ")
    }
}

impl Drop for NetnsFolder {
    fn drop(&mut self) {
        if !self.was_mounted && Self::is_mounted() {
            run(program("umount").arg("/run/netns")).succeeds();
        }
    }
}

/// Control groups of the test's own, in version 2 and in one hierarchy of version 1, as
/// far as there are.
struct Groups(Vec<String>);

impl Groups {
    fn make(name: &str) -> Self {
        let places = [
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/unified",
            "/sys/fs/cgroup/pids",
        ];
        let is_group = |place: &&&str| Path::new(place).join("cgroup.procs").exists();
        let folders: Vec<String> = places
            .iter()
            .filter(is_group)
            .map(|place| format!("{place}/{name}"))
            .collect();
        for folder in &folders {
            fs::create_dir(folder).expect("make a control group");
        }
        Self(folders)
    }

    fn add(&self, pid: &str) {
        for folder in &self.0 {
            fs::write(format!("{folder}/cgroup.procs"), pid).expect("move the target");
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for folder in &self.0 {
            // As soon as the processes in it have gone.
            eventually("an empty control group", || fs::remove_dir(folder).is_ok());
        }
    }
}

fn the_targets_control_groups_are_joined() {
    // Only the first two colons of a line of /proc/PID/cgroup divide.
    let groups = Groups::make(&format!("warren-test-{}:a", std::process::id()));
    let target = unshared(&["--uts"], WAITS);
    groups.add(&target.pid);
    let of = |path: &str| fs::read_to_string(path).expect("control groups");
    let theirs = of(&format!("/proc/{}/cgroup", target.pid));
    let print = ["--", "cat", "/proc/self/cgroup"];
    let with = |option: &str| target.enter(&[&[option][..], &print].concat());
    assert!(theirs.contains("warren-test-"), "{theirs}");
    target.enter(&print).says(theirs.trim_end());
    with("--cgroup").says(theirs.trim_end());
    with("--no-cgroup").says(of("/proc/self/cgroup").trim_end());
    with("--kinds=uts").says(of("/proc/self/cgroup").trim_end());
    drop(target);
    drop(groups);
}

fn a_container_is_found_by_the_start_of_its_id_and_two_are_told_apart() {
    let id = |last: char| format!("{:08x}{}{last}", std::process::id(), "e".repeat(55));
    let [one, other] = ['1', '2'].map(id);
    let group = |id: &str| Groups::make(&format!("docker-{id}.scope"));
    let groups = [group(&one), group(&other)];
    let targets = ["one", "other"]
        .map(|name| unshared(&["--uts"], &format!("hostname {name}; {WAITS}")));
    groups
        .iter()
        .zip(&targets)
        .for_each(|(group, target)| group.add(&target.pid));
    let enter = |name: &str| run(&mut warren(["enter", name, "--", "uname", "-n"]));
    enter(&one).says("one");
    enter(&other).says("other");
    enter(&one[..12])
        .is_refused("2 things are called so")
        .complains(&format!(
            "it may be docker {one} (process {})",
            targets[0].pid
        ))
        .complains(&format!(
            "it may be docker {other} (process {})",
            targets[1].pid
        ));
    drop(targets);
    drop(groups);
}

/// After pivot_root(".", ".") alone the old root lies over the new one, and a process is
/// below where setns(2) leads.
fn a_mount_namespace_whose_root_is_covered_is_entered_below() {
    let script = "mkdir below && mount -t tmpfs none below && cd below && \
                  mkdir usr bin lib lib64 proc && mount --rbind /usr usr && \
                  mount --rbind /bin bin && mount --rbind /lib lib && \
                  mount --rbind /lib64 lib64 && touch here && \
                  pivot_root . . && echo ready && read x";
    let mut command = program("unshare");
    command.args(["--mount", "sh", "-c", script]);
    command.stdin(std::process::Stdio::piped());
    let target = Target::start(&mut command, 0);
    target
        .enter(&["--", "/bin/sh", "-c", "test -e /here"])
        .exits(0);
}
