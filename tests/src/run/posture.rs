//! What a contained program cannot do unless told.

use std::fs;

use warren_testkit::{Running, Test, eventually, program, run, tests, warren};

use super::{inside, inside_bubblewrap, shell};

pub const TESTS: &[Test] = tests! {
    Both:
        no_new_privileges_and_a_filter_are_on,
        every_capability_set_is_empty,
        no_inherited_fd_is_open,
        the_environment_is_the_five_names,
        a_nested_user_namespace_is_refused,
        init_reaps_an_orphan,
        dangerous_files_of_proc_are_masked,
        sysctls_are_read_only,
        mounting_is_refused,
        another_processes_memory_is_out_of_reach,
        characters_cannot_be_pushed_into_a_terminal;
    Root:
        the_hosts_root_inside_commands_no_kernel,
        init_is_smaller_than_300_kib;
};

fn no_new_privileges_and_a_filter_are_on() {
    let output = inside("cat /proc/self/status");
    output.expect("NoNewPrivs 1", output.field("NoNewPrivs:") == "1");
    output.expect("Seccomp 2", output.field("Seccomp:") == "2");
}

fn every_capability_set_is_empty() {
    let output = inside("cat /proc/self/status");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        output.expect(&format!("{set} 0"), output.field(set) == "0000000000000000");
    }
}

fn no_inherited_fd_is_open() {
    let warren = warren_testkit::staged("warren");
    let script = format!(
        "exec 3</etc/passwd 7</etc/passwd 9>&1; {} run -- sh -c 'ls /proc/$$/fd; true'",
        warren.display()
    );
    run(program("sh").args(["-c", &script])).says("0\n1\n2");
}

fn the_environment_is_the_five_names() {
    let mut command = warren(["run", "--", "env"]);
    command
        .env("SECRET", "secret")
        .env("LD_PRELOAD", "")
        .env("SSH_AUTH_SOCK", "/x");
    let output = run(&mut command);
    let names = output
        .succeeds()
        .lines()
        .filter_map(|line| line.split_once('='));
    let mut names: Vec<&str> = names.map(|(name, _)| name).collect();
    names.sort_unstable();
    output.expect(
        "five variables",
        names == ["HOME", "LANG", "PATH", "TERM", "USER"],
    );
}

fn a_nested_user_namespace_is_refused() {
    inside("unshare --user true && echo made").lacks("made");
    inside("unshare --user --map-root-user true && echo made").lacks("made");
    // The test itself is right: bubblewrap lets it pass unless told.
    inside_bubblewrap("unshare --user true && echo made").says("made");
}

fn init_reaps_an_orphan() {
    let script = "(sh -c 'exec sleep 0.3' & echo $! >/tmp/orphan)
        grep PPid /proc/$(cat /tmp/orphan)/status
        sleep 1
        ls -d /proc/$(cat /tmp/orphan) 2>/dev/null
        grep -l 'State:.*Z' /proc/[0-9]*/status
        echo done";
    inside(script).says("PPid:\t1\ndone");
}

fn dangerous_files_of_proc_are_masked() {
    let script =
        "for f in kcore keys timer_list sysrq-trigger latency_stats sched_debug; do
        [ -e /proc/$f ] || continue
        [ \"$(head -c 1 /proc/$f 2>/dev/null | wc -c)\" = 0 ] || echo $f can be read
        [ -w /proc/$f ] && [ ! -c /proc/$f ] && echo $f can be written
        done; echo done";
    inside(script).says("done");
}

/// Their modes let the host's root in without any capability.
fn the_hosts_root_inside_commands_no_kernel() {
    for map in ["single", "0:0:65536"] {
        let script = "for f in timer_list latency_stats kcore; do
            head -c 1 /proc/$f 2>/dev/null; done
            grep -E ' /proc/(irq|sysrq-trigger) ' /proc/self/mountinfo | grep -c ' ro,'";
        let output = super::inside_with(&["--map", map], script);
        let there = |name: &&str| fs::metadata(format!("/proc/{name}")).is_ok();
        let number = ["irq", "sysrq-trigger"].into_iter().filter(there).count();
        output.expect("read-only", output.stdout.trim() == number.to_string());
    }
}

fn sysctls_are_read_only() {
    inside("echo x >/proc/sys/kernel/domainname").complains("Read-only file system");
}

fn mounting_is_refused() {
    inside("mount -t tmpfs none /tmp && echo mounted").lacks("mounted");
    inside("umount /proc && echo gone; umount /tmp && echo gone").lacks("gone");
}

fn another_processes_memory_is_out_of_reach() {
    inside(
        "head -c 1 /proc/1/mem || readlink /proc/1/exe || ls /proc/1/fd || echo closed",
    )
    .says("closed");
}

fn characters_cannot_be_pushed_into_a_terminal() {
    // TIOCSTI and TIOCLINUX: the filter refuses them whatever the fd is.
    for request in ["0x5412", "0x541C"] {
        let script = format!(
            "$c = \"x\"; ioctl(STDIN, {request}, $c) and print \"pushed\"; print $!+0"
        );
        run(&mut warren(["run", "--", "perl", "-e", &script])).says("1");
    }
}

fn init_is_smaller_than_300_kib() {
    let mut running = Running::start(&mut shell(&[], "echo ready; sleep 1000"));
    running.line();
    let supervisor = running.pid().as_raw_nonzero().get();
    let children = || {
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        fs::read_to_string(path).unwrap_or_default()
    };
    eventually("init to be the supervisor's child", || {
        !children().is_empty()
    });
    let init = children();
    let rollup = format!("/proc/{}/smaps_rollup", init.trim());
    let rollup = fs::read_to_string(rollup).expect("read init's memory map");
    let private: u64 = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    assert!(
        private > 0 && private < 300,
        "init has {private} KiB of its own\n{rollup}"
    );
}
