//! `nsenter`: the same lines on util-linux's and on Warren's.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use warren_testkit::{Running, Test, eventually, run, tests, warren, without_call};

use crate::util_linux::{Newer, Targets, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        command_lines_are_understood_as_by_util_linux,
        user_namespaces_are_entered_as_with_util_linux,
        folders_are_as_with_util_linux,
        what_newer_versions_have,
        a_rootless_target_is_entered_whole,
        the_owner_of_a_namespace_is_entered,
        capabilities_are_kept_where_asked_for,
        the_targets_environment_is_the_programs,
        a_plan_enters_nothing,
        failures_say_why,
        it_is_a_command_of_warren_too;
    User:
        a_stranger_is_refused_with_a_reason;
    Root:
        namespaces_of_root_are_entered_as_with_util_linux,
        a_target_is_known_by_its_pidfd,
        a_thread_is_a_target,
        a_socket_leads_to_its_namespace,
        a_namespace_has_an_id,
        ids_follow_the_target,
        the_targets_cgroup_is_joined_and_standard_input_stays,
        a_killed_nsenter_leaves_no_child,
        signals_are_the_programs,
        a_stopped_program_stops_nsenter,
        without_pidfds_namespaces_are_entered_one_by_one,
        a_program_of_the_host_is_not_what_is_executed,
        a_root_without_the_program_has_a_hint;
};

/// How many lines are compared with the original.
pub const COMPARED: usize = LINES.len() + USER.len() + FOLDERS.len() + ROOT.len();

const _: () = assert!(COMPARED + crate::unshare::COMPARED >= 200);

const LINES: &[&str] = &[
    "nsenter -t 99999999 -n true",
    "nsenter -t 99999999 -r true",
    "nsenter -t 99999999 -w true",
    "nsenter -t 99999999 -a true",
    "nsenter --net=/nonexistent true",
    "nsenter -w/nonexistent pwd",
    "nsenter -r/nonexistent true",
    "nsenter -S foo true",
    "nsenter -G foo true",
    "nsenter --bogus",
    "nsenter --bogus=1 true",
    "nsenter --all=1 true",
    "nsenter -x",
    "nsenter -S",
    "nsenter -t",
    "nsenter --target",
    "nsenter -h -x > /dev/null",
    "nsenter -V | cut -d' ' -f1-3",
    "nsenter --user=/proc/self/ns/user true",
    "nsenter --net=/etc/passwd true",
    "nsenter -t $ROOT -U --preserve-credentials --wdns=/usr pwd",
    "nsenter -t $ROOT -U --preserve-credentials --wdns=usr pwd",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr pwd",
    "nsenter -t $ROOT -U --preserve-credentials --wd=/usr -- pwd",
    "nsenter -t $ROOT -U --preserve-credentials -Z -w/usr pwd",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr /etc/passwd",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr /etc",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr nosuch",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr sh -c 'exit 4'",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr sh -c 'kill -TERM $$'",
    "SHELL=/bin/pwd nsenter -t $ROOT -U --preserve-credentials -w/usr",
    "nsenter -t $ROOT -U --preserve-credentials -w/usr echo -t 5",
];

const USER: &[&str] = &[
    "nsenter -t $ROOT -U --preserve-credentials id -u",
    "nsenter -t $ROOT -U --preserve-credentials -S 0 id -u",
    "nsenter -t $ROOT -U --preserve-credentials -G 0 id -g",
    "nsenter --user=/proc/$ROOT/ns/user --preserve-credentials id -g",
    "nsenter -t $ROOT -U -u --preserve-credentials hostname",
    "nsenter -t $ROOT -U -n --preserve-credentials ip -o link",
    "nsenter -t $ROOT -U -i -u -n --preserve-credentials sh -c 'exit 7'",
    "nsenter -t $ROOT -U -m -p --preserve-credentials ps -e -o comm=",
    "nsenter -t $ROOT -U -p --preserve-credentials sh -c 'exit 7'",
    "nsenter -t $ROOT -U -p --preserve-credentials sh -c 'kill -TERM $$'",
    "nsenter -t $ROOT -U -p -F --preserve-credentials sh -c 'exit 3'",
    "nsenter -t $ROOT -U -m -p -r -w --preserve-credentials ls -d /proc/1",
    "nsenter -t $ROOT -U -m --preserve-credentials --wdns=/usr pwd",
    "nsenter -t $ROOT -U -m --preserve-credentials --wdns=usr pwd",
    "nsenter -t $ROOT -U -m --preserve-credentials -w/usr pwd",
    "nsenter -t $ROOT -U -C --preserve-credentials cat /proc/self/cgroup",
    "nsenter -t $ROOT -U -T --preserve-credentials true",
    "nsenter --user=/proc/$ROOT/ns/user --uts=/proc/$ROOT/ns/uts --preserve-credentials true",
    "echo in | nsenter -t $ROOT -U -p --preserve-credentials cat",
    "nsenter -t $ROOT -U --preserve-credentials cat /proc/self/uid_map",
    "nsenter -t $ROOT -U --preserve-credentials grep CapEff /proc/self/status",
    "nsenter -t $ROOT -U --preserve-credentials /nosuch",
];

const FOLDERS: &[&str] = &[
    "nsenter -t $ROOT -U --preserve-credentials -w pwd",
    "nsenter -t $ROOT -U --preserve-credentials --wd=/usr pwd",
    "nsenter -t $ROOT -U -m -r --preserve-credentials pwd",
    "nsenter -t $ROOT -U -m --root=/usr --wdns=/bin --preserve-credentials /bin/ls -d /bin/true",
    "nsenter -t $ROOT -U -m --root=/usr --preserve-credentials /bin/ls -d /bin/true",
    "nsenter -t $ROOT -U -m --root=/usr --wdns=/nosuch --preserve-credentials /bin/true",
];

const ROOT: &[&str] = &[
    "nsenter -t $PIDS -n id -u",
    "nsenter -n/proc/self/ns/net true",
    "nsenter --net=/proc/self/ns/uts true",
    "nsenter -t $PIDS -n -S 5 id",
    "nsenter -t $PIDS -n -G 5 id",
    "nsenter -t $PIDS -n -S 5 -G 7 id",
    "nsenter -t $PIDS -a true",
    "nsenter -t $PIDS -a ps -e -o comm=",
    "nsenter -t $PIDS -p -m ps -e -o comm=",
    "nsenter -t $PIDS -p sh -c 'exit 4'",
    "nsenter -t $PIDS -p sh -c 'kill -TERM $$'",
    "nsenter -t $PIDS -p sh -c 'kill -KILL $$'",
    "nsenter -t $PIDS -p -m -r -w sh -c 'pwd; ls -d /proc/1'",
    "nsenter -t $PIDS -m -r pwd",
    "nsenter -t $PIDS -m -w/tmp pwd",
    "nsenter -t $PIDS -m --wdns=/usr pwd",
    "nsenter -t $PIDS -m --wdns=usr pwd",
    "nsenter -t $PIDS -m -r/usr --wdns=/bin /bin/pwd",
    "nsenter -t $PIDS --pid=/proc/$PIDS/ns/pid sh -c 'exit 5'",
    "nsenter -t $UTS -u hostname",
    "nsenter -t $UTS --uts hostname",
    "nsenter --uts=/proc/$UTS/ns/uts hostname",
    "nsenter -t $UTS -a hostname",
    "nsenter -t $UTS -u sh -c 'test $PPID = '$$ && echo child of the shell",
    "nsenter -t $UTS -C cat /proc/self/cgroup",
    "nsenter -t $UTS -T true",
    "nsenter -t $UTS -i true",
    "nsenter -t $ROOT -U id",
    "nsenter -t $ROOT -U -S 0 -G 0 id",
    "nsenter -t $ROOT -a id -u",
    "nsenter -t $ROOT -U --preserve-credentials id -u",
    "nsenter -t $ROOT --user=/proc/$ROOT/ns/user id -u",
    "nsenter -t $ROOT -U -n -u id -u",
    "nsenter -t $UTS -n nosuch",
    "nsenter -t $UTS -n /etc/passwd",
    "nsenter -t $UTS -n -- echo -n",
    "nsenter -t $UTS --mou --ip true",
    "nsenter -t $UTS -u -Z true",
];

/// A process that is root of namespaces of its own.
fn root() -> Targets {
    Targets::default().with("ROOT", &["-rmpiunCT", "--mount-proc"])
}

fn all() -> Targets {
    root().with("PIDS", &["-mp", "--mount-proc"]).with(
        "UTS",
        &["-uni", "sh", "-c", "hostname burrow; exec \"$@\"", "-"],
    )
}

fn command_lines_are_understood_as_by_util_linux() {
    root().same(LINES);
}

fn user_namespaces_are_entered_as_with_util_linux() {
    root().same(USER);
}

fn folders_are_as_with_util_linux() {
    root().same(FOLDERS);
}

fn namespaces_of_root_are_entered_as_with_util_linux() {
    all().same(ROOT);
}

const NEWER: &[Newer] = &[
    Newer(
        "nsenter -a true",
        1,
        "",
        "nsenter: stat of /proc/PID/ns/user failed: No such file or directory",
    ),
    Newer(
        "nsenter -t x -n true",
        1,
        "",
        "nsenter: invalid PID argument",
    ),
    Newer(
        "nsenter -t '' -n true",
        1,
        "",
        "nsenter: invalid PID argument",
    ),
    Newer("nsenter -W /usr pwd", 0, "/usr", ""),
    Newer(
        "nsenter -W /nonexistent pwd",
        1,
        "",
        "nsenter: cannot open current working directory: No such file or directory",
    ),
    Newer(
        "nsenter -t $ROOT -U --preserve-credentials -S 5 id -u",
        1,
        "",
        "nsenter: setuid() failed: Invalid argument",
    ),
    Newer(
        "nsenter --root=/etc/passwd true",
        1,
        "",
        "nsenter: change directory by root file descriptor failed: Not a directory",
    ),
    Newer("nsenter true", 1, "", "nsenter: no namespace specified"),
    Newer(
        "nsenter -t $ROOT true",
        1,
        "",
        "nsenter: no namespace specified",
    ),
    Newer("nsenter -n true", 1, "", "nsenter: no target PID specified"),
    Newer("nsenter -U true", 1, "", "nsenter: no target PID specified"),
    Newer(
        "nsenter -w true",
        1,
        "",
        "nsenter: neither filename nor target pid supplied for cwd",
    ),
    Newer(
        "nsenter -e true",
        1,
        "",
        "nsenter: neither filename nor target pid supplied for environ",
    ),
    Newer(
        "nsenter -N 3 true",
        1,
        "",
        "nsenter: no target PID specified",
    ),
    Newer(
        "nsenter -t 0 -n true",
        1,
        "",
        "nsenter: invalid PID argument",
    ),
    Newer(
        "nsenter -t -5 -n true",
        1,
        "",
        "nsenter: invalid PID argument",
    ),
    Newer(
        "nsenter -t $ROOT -t $ROOT -n true",
        1,
        "",
        "nsenter: option --target may be given only once",
    ),
    Newer(
        "nsenter -w/ -W /tmp true",
        1,
        "",
        "nsenter: options --wd and --wdns cannot be combined",
    ),
    Newer("nsenter -w=/usr pwd", 0, "/usr", ""),
    Newer("nsenter -W=/usr pwd", 0, "/usr", ""),
    Newer(
        "nsenter --net=:x true",
        1,
        "",
        "nsenter: failed to parse nsid: x",
    ),
    Newer(
        "nsenter -t $ROOT:1 -U true",
        1,
        "",
        "nsenter: failed to obtain a valid file descriptor for PID PID: No such process",
    ),
];

fn what_newer_versions_have() {
    let targets = root();
    let (last, others) = NEWER.split_last().expect("there are some");
    targets.newer(others);
    let Newer(line, code, _, complaint) = last;
    let complaint = complaint.replace("PID PID", &format!("PID {}", targets.pid("ROOT")));
    targets.ours(line).exits(*code).complains(&complaint);
}

/// The original is refused: not all namespaces of the target belong to its user
/// namespace, since it shares some with the caller.
fn a_rootless_target_is_entered_whole() {
    let targets = Targets::default().with("ROOT", &["-rn"]);
    let line =
        "nsenter -t $ROOT -a --preserve-credentials sh -c 'id -u; ip -o link | wc -l'";
    targets.ours(line).says("0\n1");
}

fn the_owner_of_a_namespace_is_entered() {
    let targets = Targets::default().with("ROOT", &["-rn"]);
    let line = "nsenter -t $ROOT -n --user-parent --preserve-credentials \
                readlink /proc/self/ns/user";
    let user = fs::read_link(format!("/proc/{}/ns/user", targets.pid("ROOT")));
    targets
        .ours(line)
        .says(&user.expect("a link").to_string_lossy());
}

fn capabilities_are_kept_where_asked_for() {
    let targets = Targets::default().with("ROOT", &["-rn"]);
    let ambient = "--preserve-credentials grep CapAmb /proc/self/status";
    targets
        .ours(&format!("nsenter -t $ROOT -U {ambient}"))
        .expect("no ambient ones", true)
        .has("0000000000000000");
    targets
        .ours(&format!("nsenter -t $ROOT -U --keep-caps {ambient}"))
        .lacks("0000000000000000");
}

fn the_targets_environment_is_the_programs() {
    let targets = Targets::default().with("ROOT", &["-rn", "env", "BURROW=deep"]);
    let line = "nsenter -t $ROOT -U --preserve-credentials -e sh -c 'echo $BURROW'";
    targets.ours(line).says("deep");
    let line = "nsenter -t $ROOT -U --preserve-credentials sh -c 'echo \"<$BURROW>\"'";
    targets.ours(line).says("<>");
    let shell = Targets::default().with("ROOT", &["-rn", "env", "SHELL=/bin/pwd"]);
    shell
        .ours("nsenter -t $ROOT -U --preserve-credentials -e -w/usr")
        .says("/usr");
}

fn a_plan_enters_nothing() {
    let targets = root();
    targets
        .ours("nsenter -t $ROOT -a --plan touch made")
        .succeeds();
    assert!(!warren_testkit::scratch().join("made").exists());
}

fn failures_say_why() {
    let targets = root();
    for (line, first, hint) in [
        (
            "nsenter --user=/proc/self/ns/user true",
            "nsenter: reassociate to namespace 'ns/user' failed: Invalid argument",
            "hint: the process is in that user namespace already",
        ),
        (
            "nsenter --net=/etc/passwd true",
            "nsenter: reassociate to namespace 'ns/net' failed: ",
            "hint: ",
        ),
        (
            "nsenter -t 99999999 -n true",
            "nsenter: cannot open /proc/99999999/ns/net: No such file or directory",
            "hint: there is no such process, or no longer",
        ),
        (
            "nsenter -t $ROOT -U -m --preserve-credentials --root=/usr nosuch",
            "nsenter: failed to execute nosuch: No such file or directory",
            "`warren enter --shell ",
        ),
    ] {
        let output = targets.ours(line);
        output.complains(first);
        output.complains(hint);
    }
    // Its map was written without privilege.
    let rootless = "setgroups=$(nsenter -t $ROOT -U --preserve-credentials cat /proc/self/setgroups); \
                    test $setgroups = deny";
    targets.ours(rootless).succeeds();
}

fn it_is_a_command_of_warren_too() {
    run(&mut warren(["nsenter", "-w/usr", "pwd"])).says("/usr");
    run(&mut warren(["nsenter", "--bogus"]))
        .exits(1)
        .complains("nsenter: unrecognized option '--bogus'\nTry 'nsenter --help'");
}

/// Started by root, or by nobody whom we know: its first process.
fn a_stranger_is_refused_with_a_reason() {
    let output = run(&mut ours("nsenter -t 1 -n true"));
    output.exits(1).complains("reassociate to namespaces failed: Operation not permitted\nhint: it takes CAP_SYS_ADMIN");
    let root = run(&mut ours("nsenter -t 1 -r true"));
    root.exits(1)
        .complains("cannot open /proc/1/root: Permission denied\nhint: ");
    let targets = root_of_oneself();
    targets
        .ours("nsenter -t $ROOT -U true")
        .exits(1)
        .complains("nsenter: setgroups failed: Operation not permitted\nhint: ")
        .complains("--preserve-credentials");
}

fn root_of_oneself() -> Targets {
    Targets::default().with("ROOT", &["-r"])
}

fn a_target_is_known_by_its_pidfd() {
    let targets = Targets::default().with("UTS", &["-u"]);
    let pid: i32 = targets.pid("UTS").parse().expect("a number");
    let pid = Pid::from_raw(pid).expect("a pid");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd");
    let inode = rustix::fs::fstat(&pidfd).expect("a descriptor").st_ino;
    targets
        .ours(&format!("nsenter -t $UTS:{inode} -u echo in"))
        .says("in");
    targets
        .ours(&format!("nsenter -t $UTS:{} -u echo in", inode + 1))
        .exits(1)
        .complains("failed to obtain a valid file descriptor for PID");
}

/// There is no pidfd of one.
fn a_thread_is_a_target() {
    let (say, hear) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let own = rustix::thread::gettid().as_raw_nonzero();
        say.send(own).expect("somebody hears");
        // Until the other end is dropped.
        let _ = stopped.recv();
    });
    let number = hear.recv().expect("a number");
    run(&mut ours(&format!("nsenter -t {number} -n echo in"))).says("in");
    drop(stop);
    thread.join().expect("it ends");
}

/// A socket of this process's network namespace, in a process of another.
fn a_socket_leads_to_its_namespace() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("no close");
    let number = socket.as_raw_fd();
    let targets = Targets::default().with("NET", &["-n"]);
    let own = fs::read_link("/proc/self/ns/net").expect("a link");
    let outside =
        format!("unshare -n nsenter -t $NET -N {number} readlink /proc/self/ns/net");
    targets.ours(&outside).says(&own.to_string_lossy());
    targets
        .ours("nsenter -t $NET -N 0 true")
        .exits(1)
        .complains("nsenter: cannot open the network namespace of socket 0: ");
}

/// What the kernel has only since 6.18; before, there is no number to begin with.
fn a_namespace_has_an_id() {
    let targets = Targets::default().with("NET", &["-n"]);
    let pid = targets.pid("NET");
    let file = fs::File::open(format!("/proc/{pid}/ns/net")).expect("a namespace");
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).expect("a link");
    let line = |id: u64| format!("nsenter --net=:{id} readlink /proc/self/ns/net");
    let net = warren::namespaces::NsFd::from_fd(file.into()).expect("a namespace");
    match net.unique_id() {
        Ok(id) => {
            targets.ours(&line(id)).says(&link.to_string_lossy());
        }
        Err(errno) => assert_eq!(errno, rustix::io::Errno::NOTTY),
    }
    targets.ours(&line(u64::MAX)).exits(1).complains(&format!(
        "nsenter: cannot open namespace of id {}: ",
        u64::MAX
    ));
}

fn ids_follow_the_target() {
    let targets = Targets::default().with("NET", &["-n", "-S", "61234", "-G", "61234"]);
    targets
        .ours("nsenter -t $NET -n -S follow -G follow id")
        .says("uid=61234 gid=61234 groups=61234");
    // The original's --kill-child does not survive the change of ids.
    let pid = targets.pid("NET").parse().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a pid"), Signal::KILL).expect("it runs");
}

/// The original loses standard input by it, and takes no other layout than v2.
fn the_targets_cgroup_is_joined_and_standard_input_stays() {
    let mount = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let of_kind = |kind: &str| {
        let line = mount
            .lines()
            .find(|line| line.contains(&format!(" - {kind} ")))?;
        line.split(' ').nth(4).map(std::path::PathBuf::from)
    };
    let root = of_kind("cgroup2")
        .or_else(|| of_kind("cgroup"))
        .expect("a cgroup mount");
    let folder = root.join(format!("warren-a:b-{}", std::process::id()));
    fs::create_dir(&folder).expect("a cgroup whose name has a colon");
    let targets = Targets::default().with("UTS", &["-u"]);
    fs::write(folder.join("cgroup.procs"), targets.pid("UTS")).expect("moved");
    let name = folder
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let output = targets
        .ours("echo in | nsenter -t $UTS -u -c sh -c 'cat; cat /proc/self/cgroup'");
    drop(targets);
    let mut removed = fs::remove_dir(&folder);
    eventually("an empty cgroup", || {
        removed = removed
            .as_ref()
            .map_or_else(|_| fs::remove_dir(&folder), |()| Ok(()));
        removed.is_ok()
    });
    output.has("in\n").has(&name);
}

fn inside(targets: &Targets, line: &str) -> (Running, u32) {
    let line = format!("T={}; {line}", targets.pid("PIDS"));
    let mut running = Running::start(&mut ours(&line));
    assert_eq!(running.line(), "ready");
    let parent = running.pid().as_raw_nonzero();
    let file = format!("/proc/{parent}/task/{parent}/children");
    let child = fs::read_to_string(file).expect("a child");
    let child = child.trim().parse().expect("one child");
    (running, child)
}

#[track_caller]
fn is_gone(pid: u32) {
    eventually("the end of the child", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

fn a_killed_nsenter_leaves_no_child() {
    let targets = Targets::default().with("PIDS", &["-p"]);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::KILL, 137)] {
        let line = "exec nsenter -t $T -p sh -c 'echo ready; exec sleep 1000'";
        let (running, child) = inside(&targets, line);
        running.signal(signal);
        assert_eq!(running.ends(), code);
        is_gone(child);
    }
}

fn signals_are_the_programs() {
    let targets = Targets::default().with("PIDS", &["-p"]);
    let line = "exec nsenter -t $T -p sh -c 'trap \"echo got; exit 5\" USR1; echo ready; \
                while :; do sleep 0.1; done'";
    let (mut running, _) = inside(&targets, line);
    running.signal(Signal::USR1);
    assert_eq!(running.line(), "got");
    assert_eq!(running.ends(), 5);
}

fn a_stopped_program_stops_nsenter() {
    let targets = Targets::default().with("PIDS", &["-p"]);
    let line = "exec nsenter -t $T -p sh -c 'echo ready; kill -STOP $$; exit 3'";
    let (running, _) = inside(&targets, line);
    let own = running.pid().as_raw_nonzero();
    eventually("a stop", || {
        let stat = fs::read_to_string(format!("/proc/{own}/stat")).unwrap_or_default();
        stat.contains(") T ")
    });
    running.signal(Signal::CONT);
    assert_eq!(running.ends(), 3);
}

/// KERNEL(5.3): pidfd_open(2).
fn without_pidfds_namespaces_are_entered_one_by_one() {
    let targets = Targets::default()
        .with("ROOT", &["-rmpiunCT", "--mount-proc"])
        .with(
            "UTS",
            &["-u", "sh", "-c", "hostname burrow; exec \"$@\"", "-"],
        );
    let (root, uts) = (targets.pid("ROOT"), targets.pid("UTS"));
    let words = |more: &[&str]| {
        let mut command = warren(["nsenter"]);
        command.args(more);
        run(&mut without_call("pidfd_open", &command))
    };
    words(&["-t", uts, "-u", "hostname"]).says("burrow");
    words(&["-t", root, "-a", "-F", "id", "-u"]).says("0");
    words(&["-t", "99999999", "-u", "true"]).exits(1).complains(
        "nsenter: cannot open /proc/99999999/ns/uts: No such file or directory",
    );
    words(&["-t", uts, "-U", "true"]).exits(1).complains(
        "nsenter: reassociate to namespace 'ns/user' failed: Invalid argument",
    );
}

/// CVE-2024-21626: what is executed is the target's, and its first line may name what the
/// caller still has open.
fn a_program_of_the_host_is_not_what_is_executed() {
    let targets = Targets::default().with("MOUNTS", &["-m"]);
    let script = warren_testkit::scratch().join("script");
    for number in 3..20 {
        for up in ["..", "../..", "../../.."] {
            let host = format!("#!/proc/self/fd/{number}/{up}/bin/echo reached\n");
            fs::write(&script, &host).expect("write a script");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&script, mode).expect("chmod");
            let target = targets.pid("MOUNTS");
            for more in [&["-m"][..], &["-m", "-r", "-w"]] {
                let mut command = warren(["nsenter", "-t", target]);
                let output = run(command.args(more).arg(&script));
                assert_ne!(output.code(), 0, "{host} {more:?}");
            }
        }
    }
}

fn a_root_without_the_program_has_a_hint() {
    let targets = Targets::default().with("PIDS", &["-mp"]);
    let folder = warren_testkit::scratch().join("empty");
    fs::create_dir(&folder).expect("a folder");
    targets
        .ours("SHELL=/bin/bash nsenter -t $PIDS -m --root=empty")
        .exits(127)
        .complains(
            "nsenter: failed to execute /bin/bash: No such file or directory\nhint: ",
        )
        .complains(&format!("`warren enter --shell {}`", targets.pid("PIDS")));
}
