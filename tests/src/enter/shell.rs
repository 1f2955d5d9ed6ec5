//! A shell where the target has none.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use warren_testkit::{Test, program, run, scratch, staged, tests, warren};

use super::{Target, WAIT};

pub const TESTS: &[Test] = tests! {
    Both:
        a_root_of_one_static_file_gets_a_shell_that_it_cannot_see,
        a_root_that_is_read_only_gets_one_too,
        a_root_like_distroless_keeps_its_own_files,
        one_static_program_is_executed_as_it_is,
        a_program_that_needs_a_loader_is_refused;
    Root:
        kdevtmpfs_gets_a_shell;
};

/// A folder with a program that waits, and nothing else.
fn root() -> PathBuf {
    let root = scratch().join("root");
    fs::create_dir(&root).expect("make the root");
    fs::copy(staged("warren-tests"), root.join("wait")).expect("copy the program");
    root
}

/// The program waits in the folder, in namespaces of its own; `mounts` is done before.
fn wait_in(mounts: &str) -> Target {
    let script = format!("{mounts} exec chroot root /wait {WAIT}");
    let mut command = program("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "--net",
        "--uts",
        "--ipc",
    ]);
    command.args(["--pid", "--fork", "sh", "-c", &script]);
    command.stdin(Stdio::piped());
    Target::start(&mut command, 1)
}

/// What a shell must be able to do there; the target's mounts stay as they were.
fn has_a_shell(target: &Target) {
    let before = target.mounts();
    let script = "ls / && ps -e -o pid=,comm= && ip -br link && cat <<X && sh -c 'echo ok'\n\
                  here\nX\n";
    let shell = target.enter(&["--shell", "--", "bash", "-c", script]);
    let said = shell.succeeds();
    shell
        .expect("the target's file", said.lines().any(|line| line == "wait"))
        .expect("the target's process", said.contains("1 wait"))
        .expect("ps under its name", said.contains(" ps"))
        .expect(
            "its interface alone",
            said.contains("lo ") && !said.contains("eth"),
        )
        .expect("a script's own text", said.contains("here\nok"));
    assert_eq!(target.mounts(), before, "the target's mounts have changed");
    let root = format!("/proc/{}/root/.warren", target.pid);
    assert!(!PathBuf::from(root).exists(), "the target can see it");
}

fn a_root_of_one_static_file_gets_a_shell_that_it_cannot_see() {
    root();
    let target = wait_in("");
    target
        .enter(&["--", "/bin/sh"])
        .exits(127)
        .complains("--shell brings the host's programs along");
    has_a_shell(&target);
    // Without a command it is an interactive one.
    let mut shell = warren(["enter", "--shell", &target.pid]);
    shell.stdin(fs::File::open("/dev/null").expect("/dev/null"));
    run(&mut shell).exits(0);
}

fn a_root_that_is_read_only_gets_one_too() {
    root();
    let target =
        wait_in("mount --bind root root && mount -o remount,bind,ro root root &&");
    let touch = target.enter(&["--shell", "--", "touch", "/new"]);
    touch.exits(1).complains("Read-only file system");
    has_a_shell(&target);
}

fn a_root_like_distroless_keeps_its_own_files() {
    let root = root();
    // Libraries and a loader that are no such thing: the host's programs must not take
    // them.
    for folder in [
        "usr/lib/x86_64-linux-gnu",
        "lib64",
        "etc",
        "proc",
        "bin",
        "tmp",
    ] {
        fs::create_dir_all(root.join(folder)).expect("make a folder");
    }
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).expect("a link");
    for file in [
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "lib64/ld-linux-x86-64.so.2",
        "bin/ls",
    ] {
        fs::write(root.join(file), "mine\n").expect("write a file");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:burrower:/:/x\n").expect("write");
    let target = wait_in("");
    has_a_shell(&target);
    let own = "cat /lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2 /bin/ls; \
               readlink /lib; ls -l /bin/ls | cut -d' ' -f3; grep -c burrower /etc/passwd; \
               echo new > /tmp/file";
    let shell = target.enter(&["--shell", "--", "sh", "-c", own]);
    shell.says("mine\nmine\nmine\nusr/lib\nroot\n1");
    let made = fs::read_to_string(root.join("tmp/file"));
    assert_eq!(made.expect("a file of the shell's"), "new\n");
}

fn one_static_program_is_executed_as_it_is() {
    root();
    let target = wait_in("");
    let option = format!("--shell={}", staged("warren").display());
    let version = target.enter(&[&option, "--", "warren", "--version"]);
    version.expect("its version", version.succeeds().starts_with("warren "));
}

fn a_program_that_needs_a_loader_is_refused() {
    root();
    let target = wait_in("");
    target
        .enter(&["--shell=/bin/ls"])
        .exits(126)
        .complains("it needs the loader")
        .complains("busybox-static");
    target.enter(&["--shell=/no/such"]).exits(127);
}

fn kdevtmpfs_gets_a_shell() {
    let mut all = fs::read_dir("/proc").expect("/proc");
    let pid = all.find_map(|entry| {
        let entry = entry.ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm == "kdevtmpfs\n").then(|| entry.file_name().into_string().ok())?
    });
    let pid = pid.expect("the kernel has kdevtmpfs (CONFIG_DEVTMPFS)");
    run(&mut warren(["enter", &pid, "--", "sh"]))
        .exits(127)
        .complains("--shell brings the host's programs along");
    let script = "test -c /null && ps -p 1 -o pid= && ip -br link show lo";
    let shell = run(&mut warren([
        "enter", "--shell", &pid, "--", "sh", "-c", script,
    ]));
    shell.expect("a working shell", shell.succeeds().contains("lo "));
}
