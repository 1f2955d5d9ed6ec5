//! An ordinary user with a part of v2's tree: handed to a service of systemd's, or to the
//! user's own manager.

use std::fs;
use std::process::Command;

use warren_testkit::{Output, Test, program, run, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    Machine:
        a_user_limits_below_what_was_delegated,
        a_users_own_manager_makes_a_scope,
        beside_processes_no_controller_is_handed_down,
        groups_can_be_made_inside_of_what_is_handed_over;
};

/// The user of the guest who has a range of ids.
const USER: u32 = 1000;

/// Runs words as the user, in a service whose group is the user's own. They are in a group
/// below it, so that it is free to hand controllers down.
fn delegated(subgroup: bool, words: &[&str]) -> Output {
    let unit = format!("warren-test-{}.service", std::process::id());
    let mut systemd = program("systemd-run");
    systemd.args(["--quiet", "--collect", "--wait", "--pipe", "--unit", &unit]);
    systemd.args(["--uid=1000", "--gid=1000", "--property=Delegate=yes"]);
    if subgroup {
        systemd.arg("--property=DelegateSubgroup=payload");
    }
    systemd
        .arg("--working-directory=/")
        .arg(staged("warren"))
        .arg("run");
    if subgroup {
        systemd.args(["--cgroup", &format!("/system.slice/{unit}")]);
    }
    run(systemd.args(words))
}

fn a_user_limits_below_what_was_delegated() {
    let python = |options: &[&str], script: &str| {
        let words = [options, &["--", "python3", "-c", script]].concat();
        delegated(true, &words)
    };
    python(&["--memory", "64M"], "bytearray(200 << 20)")
        .exits(137)
        .complains("warren: killed: out of memory (memory.max 64M)");
    python(&["--pids", "2"], "import os; os.fork()").exits(1);
    python(&["--pids", "9", "--cpus", "0.5"], "print('had it')").says("had it");
    // A program for devices is root's alone.
    python(&["--device-deny", "all"], "")
        .exits(125)
        .complains("limit devices: a program for it needs CAP_BPF");
}

/// The user's manager, started for the test and stopped after it.
struct Manager;

/// What pam_systemd(8) does at a login is done by hand: the guest has none.
const DROP_IN: &str = "/run/systemd/system/user@1000.service.d";

impl Manager {
    fn start() -> Self {
        let text = "[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/1000\n";
        fs::create_dir_all(DROP_IN).expect("a folder");
        fs::write(format!("{DROP_IN}/warren-test.conf"), text).expect("a file");
        let manager = Self;
        run(program("systemctl").arg("daemon-reload")).succeeds();
        let unit = format!("user@{USER}.service");
        run(program("systemctl").args(["start", &unit])).succeeds();
        manager
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let unit = format!("user@{USER}.service");
        run(program("systemctl").args(["stop", &unit]));
        let _ = fs::remove_dir_all(DROP_IN);
        run(program("systemctl").arg("daemon-reload"));
    }
}

fn as_user(words: &[&str]) -> Command {
    let mut runuser = program("runuser");
    runuser
        .args(["-u", "burrow", "--"])
        .arg(staged("warren"))
        .args(words);
    runuser.current_dir("/");
    runuser
}

fn a_users_own_manager_makes_a_scope() {
    let manager = Manager::start();
    let limits = ["run", "--memory", "64M", "--pids", "20", "--"];
    run(as_user(&limits).args(["python3", "-c", "bytearray(200 << 20)"]))
        .exits(137)
        .complains("warren: killed: out of memory (memory.max 64M)");
    run(as_user(&limits).args(["cat", "/proc/self/cgroup"])).says("0::/");
    drop(manager);
}

fn beside_processes_no_controller_is_handed_down() {
    let unit = format!("warren-test-{}.service", std::process::id());
    let group = format!("/system.slice/{unit}");
    let words = ["--cgroup", &group, "--pids", "5", "--", "true"];
    delegated(false, &words)
        .exits(125)
        .complains("has processes, beside which v2 hands down no controller")
        .complains("hint: name a group without processes of its own: --cgroup PATH");
}

fn groups_can_be_made_inside_of_what_is_handed_over() {
    // The processes first go below, where they are not beside those to be made.
    let script = "cd /sys/fs/cgroup && mkdir own inner && echo $$ >own/cgroup.procs &&
        echo 1 >own/cgroup.procs && echo +pids >cgroup.subtree_control &&
        echo 3 >inner/pids.max && cat inner/pids.max; echo 9 >pids.max";
    for way in [&[][..], &["--cgroup", "/"]] {
        let mut command = warren(["run", "--delegate", "--pids", "50"]);
        let output = run(command.args(way).args(["--", "sh", "-c", script]));
        // What limits the whole stays with who made it.
        output.complains("cannot create pids.max: Permission denied");
        assert_eq!(output.stdout.trim(), "3", "{output}");
    }
}
