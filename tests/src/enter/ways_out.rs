//! The way out that a hint names, taken: each test is refused first, with the reason, and
//! then does what it was told.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

use warren::confine::seccomp::policy;
use warren::{Command, Stdio};
use warren_testkit::{
    ORDINARY_USER, Output, Test, program, run, scratch, staged, tests, warren,
    without_call,
};

use super::reasons::dead_pid_namespace;
use super::{Target, WAITS, child, target, unshared};

pub const TESTS: &[Test] = tests! {
    Both:
        a_filter_that_allows_user_namespaces_lets_them_through,
        outside_of_the_filter_a_target_is_entered,
        root_leaves_a_chroot_and_makes_user_namespaces,
        with_an_unmasked_proc_or_without_a_new_one_it_runs,
        a_pid_namespace_that_is_kept_outlives_what_ran_in_it,
        from_above_a_pid_namespace_can_be_entered,
        from_outside_what_an_outer_user_namespace_owns_can_be_entered,
        without_ones_own_user_namespace_the_rest_is_entered,
        the_sysctl_of_the_hint_raises_the_limit;
    User:
        without_a_range_of_ids_a_map_of_one_works;
    Root:
        root_enters_what_another_users_process_is_in,
        root_enters_what_another_users_user_namespace_owns;
};

/// A filter that looks at the flags of clone and unshare, as container engines have one,
/// with these exceptions from it.
fn under_filter(exceptions: &str) -> (i32, String) {
    const NO_USER_NAMESPACES: &str = "default allow\n\
        deny ENOSYS clone3\n\
        deny clone if arg0 & 0x10000000 != 0\n\
        deny unshare if arg0 & 0x10000000 != 0\n";
    let text = format!("{exceptions}{NO_USER_NAMESPACES}");
    let mut command = Command::new(staged("warren"));
    command.args(["unshare", "--user", "--map-root-user", "--", "true"]);
    command.stderr(Stdio::Piped);
    let spec = command.spec_mut();
    spec.syscalls = Some(policy::parse(&text).expect("a policy"));
    spec.no_new_privs = true;
    let output = command.output().expect("started");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), complaint)
}

fn a_filter_that_allows_user_namespaces_lets_them_through() {
    let (code, complaint) = under_filter("");
    assert_eq!(code, 1, "{complaint}");
    assert!(
        complaint.contains("it must allow clone and unshare with CLONE_NEWUSER"),
        "{complaint}"
    );
    let exceptions = "allow clone if arg0 & 0x10000000 != 0\n\
                      allow unshare if arg0 & 0x10000000 != 0\n";
    assert_eq!(under_filter(exceptions), (0, String::new()));
}

fn outside_of_the_filter_a_target_is_entered() {
    let target = target();
    let check = warren(["enter", &target.pid, "--check"]);
    run(&mut without_call("setns", &check))
        .exits(1)
        .has("hint: start from outside of the sandbox or container that has the filter");
    target.enter(&["--check"]).exits(0);
    target.enter(&["--", "true"]).exits(0);
}

fn root_leaves_a_chroot_and_makes_user_namespaces() {
    let (root, warren) = (scratch().join("root"), staged("warren"));
    fs::create_dir_all(root.join("proc")).expect("make the root");
    fs::copy(&warren, root.join("warren")).expect("copy the binary");
    let inside = |line: &str| {
        let script = format!(
            "mount --rbind /proc root/proc && exec chroot root /warren {line} \
             unshare --user -- {} --version",
            if line.is_empty() {
                "/warren".into()
            } else {
                warren.display().to_string()
            }
        );
        let mut unshare = program("unshare");
        let options = ["--user", "--map-root-user", "--mount", "sh", "-c"];
        run(unshare.args(options).arg(script))
    };
    let way_out = "nsenter --mount=/proc/self/ns/mnt";
    inside("")
        .exits(1)
        .complains(&format!("`warren {way_out} CMD` leaves a chroot"));
    inside(&format!("{way_out} {}", warren.display())).exits(0);
}

/// What a script says where every procfs has a folder covered, since one that is whole
/// anywhere is enough for the kernel.
fn under_masks(script: &str) -> Output {
    let masked = format!(
        "sed -n 's/^[^/]*[^ ]* \\([^ ]*\\) .* - proc .*/\\1/p' /proc/self/mountinfo | \
         while read proc; do mount -t tmpfs none $proc/fs || exit; done
         warren() {{ {} \"$@\"; }}
         {script}",
        staged("warren").display()
    );
    let mut unshare = program("unshare");
    let options = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    run(unshare.args(options).arg(masked))
}

fn with_an_unmasked_proc_or_without_a_new_one_it_runs() {
    let refused =
        under_masks("warren unshare --map-root-user --pid --fork --mount-proc true");
    refused
        .exits(1)
        .complains("with an unmasked /proc, or leave --mount-proc away");
    under_masks("warren unshare --map-root-user --pid --fork true").exits(0);
    let refused = under_masks("warren run --map single -- true");
    refused
        .is_refused("mount a procfs at /proc")
        .complains("with an unmasked /proc, or share the pid namespace (--share pid)");
    under_masks("warren run --map single --share pid -- true").exits(0);
    under_masks("umount /proc/fs && warren run --map single -- true").exits(0);
}

/// `warren` with an ordinary user's store in the scratch folder.
fn with_store(words: &[&str]) -> Process {
    let mut command = warren(words);
    command.env("XDG_RUNTIME_DIR", scratch());
    command
}

/// The kept namespaces of a name that nothing else has, let go when the test ends.
struct Kept(String);

impl Kept {
    fn new(options: &[&str]) -> Self {
        let name = format!("way-out-{}", std::process::id());
        run(&mut with_store(&[&["keep", &name], options].concat())).says("");
        Self(name)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        run(&mut with_store(&["rm", &self.0])).says("");
    }
}

fn a_pid_namespace_that_is_kept_outlives_what_ran_in_it() {
    let (target, namespace) = dead_pid_namespace();
    let file = format!("/proc/{}/fd/{}", std::process::id(), raw(&namespace));
    let nsenter = ["nsenter", "--preserve-credentials", "-U", "-t", &target.pid];
    for refused in [
        run(&mut warren(["enter", &file, "--", "true"])),
        run(warren(nsenter).args([&format!("--pid={file}"), "true"])),
    ] {
        refused.complains("hint: that pid namespace is dead: its init has ended");
        refused.complains(
            "hint: make a new one: `warren keep` holds one alive with an init",
        );
    }
    let kept = Kept::new(&["--kinds", "user,pid"]);
    for _ in 0..2 {
        let words = [
            "enter",
            &kept.0,
            "--",
            "sh",
            "-c",
            "test $$ -ne 1 && exit 7",
        ];
        run(&mut with_store(&words)).exits(7);
    }
}

fn raw(fd: &impl AsFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_fd().as_raw_fd()
}

fn from_above_a_pid_namespace_can_be_entered() {
    let below = "unshare --pid --fork sh -c 'echo ready; exec sleep 1000'";
    let target = unshared(&["--pid", "--fork", "--kill-child"], below);
    let upper = child(&target.pid);
    let lower = child(&child(&upper));
    // Looked at from the lower one, the upper one is where nobody gets to.
    let file = File::open(format!("/proc/{upper}/ns/pid")).expect("it lives");
    let mut inside = program("nsenter");
    inside.args([
        "--user",
        "--preserve-credentials",
        "--pid",
        "--target",
        &lower,
    ]);
    inside.arg(staged("warren"));
    run(inside
        .args(["enter", "/proc/self/fd/0", "--check"])
        .stdin(file))
    .exits(1)
    .has("hint: enter from that pid namespace or one above it: nobody leaves upwards");
    let link = fs::read_link(format!("/proc/{upper}/ns/pid")).expect("it lives");
    let words = ["enter", &upper, "--", "readlink", "/proc/self/ns/pid"];
    run(&mut warren(words)).says(&link.display().to_string());
}

fn from_outside_what_an_outer_user_namespace_owns_can_be_entered() {
    let target = unshared(&["--uts"], WAITS);
    let file = File::open(format!("/proc/{}/ns/uts", target.pid)).expect("it lives");
    let mut inside = program("nsenter");
    inside.args(["--user", "--preserve-credentials", "--target", &target.pid]);
    inside.args(["unshare", "--user", "--map-root-user"]);
    inside.arg(staged("warren"));
    run(inside
        .args(["enter", "/proc/self/fd/0", "--check"])
        .stdin(file))
    .exits(1)
    .has("hint: enter from outside: from where that user namespace was made");
    target
        .enter(&["--kinds", "user,uts", "--", "true"])
        .exits(0);
}

fn without_ones_own_user_namespace_the_rest_is_entered() {
    // The target is in the same user namespace as who enters, and in another uts.
    let enter = |line: &str| {
        let script = format!(
            "unshare --uts sh -c 'echo >ready; exec sleep 1000' & T=$!
             until test -e ready; do sleep 0.01; done
             {} {line}; code=$?; rm ready; kill $T; exit $code",
            staged("warren").display()
        );
        let mut unshare = program("unshare");
        run(unshare.args(["--user", "--map-root-user", "sh", "-c", &script]))
    };
    enter("nsenter -t $T -U -u true")
        .exits(1)
        .complains("hint: the process is in that user namespace already: leave -U away, or use --all");
    enter("nsenter -t $T -u true").exits(0);
    enter("nsenter -t $T --all true").exits(0);
    // What is asked for beside others is passed over, and alone it is refused.
    enter("enter --kinds user $T --check")
        .exits(1)
        .has("hint: leave it out: the caller is in it already");
    enter("enter --kinds user,uts $T --check").exits(0);
    enter("enter --kinds user,uts $T -- true").exits(0);
}

fn the_sysctl_of_the_hint_raises_the_limit() {
    let warren = staged("warren").display().to_string();
    for kind in ["user", "net", "time"] {
        // The command is taken from the hint itself.
        let script = format!(
            "echo 0 >/proc/sys/user/max_{kind}_namespaces
             {warren} run --map single -- true 2>said && exit 1
             command=$(sed -n 's/.*; as root: //p' said) && echo \"$command\" && $command && \
             exec {warren} run --map single -- true"
        );
        let mut unshare = program("unshare");
        unshare.args(["--user", "--map-root-user", "sh", "-c", &script]);
        let path = std::env::var("PATH").unwrap_or_default();
        run(unshare.env("PATH", format!("{path}:/usr/sbin:/sbin")))
            .exits(0)
            .has(&format!("sysctl user.max_{kind}_namespaces=10000"));
    }
}

fn without_a_range_of_ids_a_map_of_one_works() {
    // A user of this machine may have a range; nobody can use it under no_new_privs.
    let maps = |options: &[&str]| {
        let mut command = program("setpriv");
        command.arg("--no-new-privs").arg(staged("warren"));
        run(command.args(options))
    };
    maps(&["run", "--map", "0:100000:10", "--", "true"])
        .is_refused("write the id maps")
        .complains("hint: one id alone needs no helper: --map single");
    maps(&["run", "--map", "single", "--", "true"]).exits(0);
    maps(&["unshare", "--map-users=0:100000:10", "true"])
        .exits(1)
        .complains("one id alone needs neither: --map-user, --map-group");
    maps(&["unshare", "--map-user=0", "--map-group=0", "true"]).exits(0);
}

/// The same command as an ordinary user.
fn ordinary(mut command: Process) -> Process {
    command.uid(ORDINARY_USER).gid(ORDINARY_USER);
    command
}

fn root_enters_what_another_users_process_is_in() {
    let mut unshare = program("unshare");
    let target = Target::start(unshare.args(["--uts", "sh", "-c", WAITS]), 0);
    let refused = run(&mut ordinary(warren(["enter", &target.pid, "--check"])));
    refused
        .exits(1)
        .has("it belongs to uid 0")
        .has("hint: be root (CAP_SYS_PTRACE)");
    target.enter(&["--", "true"]).exits(0);
}

fn root_enters_what_another_users_user_namespace_owns() {
    let target = unshared(&["--net"], WAITS);
    let open = || -> OwnedFd {
        let path = format!("/proc/{}/ns/net", target.pid);
        File::open(path).expect("it lives").into()
    };
    let words = ["enter", "/proc/self/fd/0", "--check"];
    let refused = run(ordinary(warren(words)).stdin(open()));
    refused
        .exits(1)
        .has("which owns it")
        .has("hint: be root, or the user who made that user namespace");
    run(warren(words).stdin(open())).exits(0);
    let maker = Target::start(
        ordinary(program("unshare"))
            .args(["--user", "--map-root-user", "--net"])
            .args(["sh", "-c", WAITS]),
        0,
    );
    let words = ["enter", &maker.pid, "--kinds", "user,net", "--", "true"];
    run(&mut ordinary(warren(words))).exits(0);
}
