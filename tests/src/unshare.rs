//! `unshare`: the same lines on util-linux's and on Warren's.

use std::fs;

use rustix::process::Signal;
use warren_testkit::{Running, Test, eventually, run, tests, warren};

use crate::util_linux::{Newer, Targets, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        command_lines_are_understood_as_by_util_linux,
        user_namespaces_are_as_with_util_linux,
        programs_end_as_with_util_linux,
        what_newer_versions_have,
        the_process_stays_the_same,
        a_plan_makes_nothing,
        the_environment_is_cleared_or_cut,
        a_child_dies_with_its_killed_parent,
        a_child_dies_also_when_its_ids_changed,
        signals_are_forwarded_where_asked_for,
        signals_are_held_back_while_a_child_runs,
        an_init_reaps_and_ends_as_its_program,
        it_is_a_command_of_warren_too;
    Root:
        namespaces_of_root_are_as_with_util_linux,
        namespaces_are_bound_to_files_as_with_util_linux,
        ranges_of_ids_are_mapped,
        an_owner_makes_the_user_namespace,
        the_first_line_of_subuid_is_the_users_own,
        an_interpreter_is_registered_in_a_namespace,
        a_namespace_that_is_bound_is_there_when_the_program_starts;
};

/// How many lines are compared with the original.
pub const COMPARED: usize =
    LINES.len() + USER.len() + PROGRAMS.len() + ROOT.len() + FILES.len();

const LINES: &[&str] = &[
    "unshare -m=x true",
    "unshare --kill-child=FOO true",
    "unshare --kill-child=15 true",
    "unshare --propagation foo true",
    "unshare --setgroups foo true",
    "unshare --setgroups allow -r true",
    "unshare -S foo true",
    "unshare -G 1x true",
    "unshare -S '' true",
    "unshare -T --monotonic 5x true",
    "unshare -T --boottime= true",
    "unshare --bogus",
    "unshare --bogus=5 true",
    "unshare --fork=5 true",
    "unshare -x",
    "unshare -fx true",
    "unshare -S",
    "unshare --setuid",
    "unshare -w",
    "unshare --set",
    "unshare -h -x >/dev/null",
    "unshare -V | cut -d' ' -f1-3",
    "unshare -- ls -d /",
    "unshare echo -n --map-user",
    "unshare --setu=x true",
    "unshare --prop=x true",
    "unshare --map-use=7 id -u",
];

const USER: &[&str] = &[
    "unshare -r id",
    "unshare -c id -u",
    "unshare -c id -g",
    "unshare -U id -u",
    "unshare -r cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
    "unshare --map-user=5 cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
    "unshare --map-group=5 cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
    "unshare --map-user 5 id -u",
    "unshare --map-user=daemon id -u",
    "unshare --map-group=daemon id -g",
    "unshare -U --setgroups deny cat /proc/self/setgroups",
    "unshare -U --setgroups allow cat /proc/self/setgroups",
    "unshare --setgroups deny true",
    "unshare -r -S 0 id -u",
    "unshare -r -G 0 id -u",
    "unshare -U --map-user=5 --keep-caps sh -c 'grep Cap /proc/self/status'",
    "unshare -r --keep-caps sh -c 'grep Cap /proc/self/status'",
    "unshare -r sh -c 'grep Cap /proc/self/status'",
    "unshare --map-root-user --net ip -o link",
    "unshare -ru sh -c 'hostname burrow; hostname'",
    "unshare -rmpiunf --mount-proc sh -c 'id -u; echo $$'",
    "unshare -rpf --mount-proc ps -e -o pid=,comm=",
    "unshare -r --mount-proc true",
    "unshare -rm --mount-proc=/nonexistent true",
    "unshare -rm mount -t tmpfs none /mnt",
    "unshare -rm sh -c 'findmnt -no PROPAGATION /'",
    "unshare -rm --propagation unchanged true",
    "unshare -rm --propagation slave sh -c 'findmnt -no PROPAGATION /'",
    "unshare -rm --propagation shared sh -c 'findmnt -no PROPAGATION /'",
    "unshare -r -R / pwd",
    "unshare -r -R / -w /usr pwd",
    "unshare -r -R /usr -w /bin /bin/ls -d /bin/true",
    "unshare -r -R /nonexistent true",
    "unshare -r -R /etc/passwd true",
    "unshare -rT --monotonic 100000 -f cat /proc/self/timens_offsets",
    "unshare -rT --boottime -1 --monotonic 7 -f cat /proc/self/timens_offsets",
    "unshare -rT --monotonic -99999999999 true",
    "unshare -rC cat /proc/self/cgroup",
    "unshare -ri ipcs -q",
    "unshare -rp sh -c 'echo out'",
];

const PROGRAMS: &[&str] = &[
    "unshare nosuchprog",
    "unshare /etc/passwd",
    "unshare /etc",
    "unshare ''",
    "unshare ./nosuch",
    "unshare -f nosuchprog",
    "unshare -f /etc",
    "unshare sh -c 'exit 9'",
    "unshare -f sh -c 'exit 9'",
    "unshare sh -c 'kill -TERM $$'",
    "unshare -f sh -c 'kill -TERM $$'",
    "unshare -f sh -c 'kill -USR1 $$'",
    "unshare --kill-child=TERM sh -c 'exit 3'",
    "unshare --kill-child sh -c 'echo out'",
    "unshare -f sh -c 'echo out; echo err >&2; exit 5'",
    "echo in | unshare -f cat",
    "echo in | unshare cat",
    "unshare -w /usr pwd",
    "SHELL=/bin/pwd unshare",
    "SHELL=/bin/pwd unshare -f",
    "SHELL=/no/such unshare",
    "printf 'echo script $1\\n' > s; chmod +x s; unshare ./s a",
    "printf 'echo script $1\\n' > s; chmod +x s; PATH=:$PATH unshare s b",
    "printf 'echo script $1\\n' > s; chmod -x s; unshare ./s a",
    "x=$(command -v unshare); PATH= $x true",
    "unshare sh -c 'test $PPID = '$$ && echo child of the shell",
    "unshare -f sh -c 'test $PPID = '$$ || echo grandchild",
    "sh -c 'echo $$; exec unshare sh -c \"echo \\$\\$\"' | uniq | wc -l",
    "unshare sh -c 'umask; ulimit -n'",
    "unshare sh -c 'ls /proc/self/fd | wc -l' 7</dev/null",
    "umask 027; unshare -f sh -c umask",
];

const ROOT: &[&str] = &[
    "unshare -m sh -c 'findmnt -no PROPAGATION /'",
    "unshare -m --propagation unchanged true",
    "unshare --propagation slave true",
    "unshare -u sh -c 'hostname burrow; hostname'",
    "unshare -n ip -o link",
    "unshare -p true",
    "unshare -pf sh -c 'echo $$'",
    "unshare -pf --mount-proc ps -e -o pid=,comm=",
    "unshare --mount-p=/proc -pf ps -e -o comm=",
    "unshare --mount-proc=/nonexistent true",
    "unshare -pf --kill-child sh -c 'echo $$'",
    "echo hi | unshare -fp cat",
    "unshare -C cat /proc/self/cgroup",
    "unshare -S 5 -G 6 id",
    "unshare -G 6 id",
    "unshare -S 5 id",
    "unshare --setuid=5 id -u",
    "unshare --setgid=5 id -g",
    "unshare -R / -w /usr pwd",
    "unshare -R /etc/passwd true",
    "unshare -T --monotonic 100000 -f cat /proc/self/timens_offsets",
    "unshare -m sh -c 'umount -l /proc; unshare -n true && unshare -f -u echo without'",
    "unshare -m sh -c 'umount -l /proc; unshare -r true'",
];

const FILES: &[&str] = &[
    "touch f; unshare --uts=f true; findmnt -no FSTYPE f; umount f",
    "touch f; unshare --net=f ip -o link; findmnt -no FSTYPE f; umount f",
    "touch f; unshare -m --ipc=f true; findmnt -no FSTYPE f; umount f",
    "touch f; unshare -mpf --pid=f true; findmnt -no FSTYPE f; umount f",
    "touch f; unshare -p --pid=f true; findmnt -no FSTYPE f",
    "touch f; unshare -T --time=f true; findmnt -no FSTYPE f; umount f",
    "touch f; unshare -m --cgroup=f true; findmnt -no FSTYPE f; umount f",
    "touch f; unshare -m --user=f true; findmnt -no FSTYPE f; umount f",
    "unshare --uts=/nonexistent true",
    "unshare --mount=/nonexistent true",
    "mkdir -p d; unshare --uts=d true; findmnt -no FSTYPE d",
    "touch f; unshare --uts=f hostname burrow; nsenter --uts=f hostname; umount f",
];

fn command_lines_are_understood_as_by_util_linux() {
    Targets::default().same(LINES);
}

fn user_namespaces_are_as_with_util_linux() {
    Targets::default().same(USER);
}

fn programs_end_as_with_util_linux() {
    Targets::default().same(PROGRAMS);
}

fn namespaces_of_root_are_as_with_util_linux() {
    Targets::default().same(ROOT);
}

fn namespaces_are_bound_to_files_as_with_util_linux() {
    Targets::default().same(FILES);
}

const NEWER: &[Newer] = &[
    Newer(
        "unshare --map-user foo true",
        1,
        "",
        "unshare: failed to parse uid 'foo'",
    ),
    Newer(
        "unshare --map-user= id -u",
        1,
        "",
        "unshare: failed to parse uid ''",
    ),
    Newer(
        "unshare --map-group=nosuch id -g",
        1,
        "",
        "unshare: failed to parse gid 'nosuch'",
    ),
    Newer(
        "unshare -r -S 5 id -u",
        1,
        "",
        "unshare: setuid() failed: Invalid argument",
    ),
    Newer(
        "unshare -r -S 4294967295 id -u",
        1,
        "",
        "unshare: setuid() failed: Invalid argument",
    ),
    Newer(
        "unshare -S -1 true",
        1,
        "",
        "unshare: failed to parse uid: '-1': Numerical result out of range",
    ),
    Newer(
        "unshare -w /nonexistent true",
        1,
        "",
        "unshare: cannot change directory to /nonexistent: No such file or directory",
    ),
    Newer(
        "unshare -w /etc/passwd true",
        1,
        "",
        "unshare: cannot change directory to /etc/passwd: Not a directory",
    ),
    Newer(
        "unshare --monotonic 5 true",
        1,
        "",
        "unshare: options --monotonic and --boottime require unsharing of a time \
         namespace (-T)",
    ),
    Newer(
        "unshare --map-users=100000,0 true",
        1,
        "",
        "unshare: invalid mapping '100000,0'",
    ),
    Newer(
        "unshare --map-groups=x true",
        1,
        "",
        "unshare: invalid mapping 'x'",
    ),
    Newer(
        "unshare -S 4294967296 id -u",
        1,
        "",
        "unshare: failed to parse uid: '4294967296': Numerical result out of range",
    ),
    Newer(
        "unshare --owner 5 true",
        1,
        "",
        "unshare: failed to parse owner",
    ),
    Newer("unshare -f sh -c 'kill -KILL $$'", 137, "", "Killed"),
    Newer(
        "unshare -l",
        1,
        "",
        "unshare: option requires an argument -- 'l'",
    ),
    Newer(
        "unshare --mount-binfmt true",
        1,
        "",
        "unshare: mount /proc failed: Operation not permitted",
    ),
    Newer(
        "unshare -r --mount-binfmt -pf test -w /proc/sys/fs/binfmt_misc/register",
        0,
        "",
        "",
    ),
];

fn what_newer_versions_have() {
    Targets::default().newer(NEWER);
}

/// unshare(1) is no parent of its program but the program itself.
fn the_process_stays_the_same() {
    let line = "echo $$; exec unshare -r sh -c 'echo $$; ps -o sid= $$; echo $PPID'";
    let output = run(&mut ours(line));
    let lines: Vec<&str> = output.succeeds().lines().map(str::trim).collect();
    assert_eq!(lines[0], lines[1], "{output}");
    assert_eq!(lines[3], std::process::id().to_string(), "{output}");
}

fn a_plan_makes_nothing() {
    run(&mut ours("unshare --user --plan -- touch made")).succeeds();
    assert!(!warren_testkit::scratch().join("made").exists());
}

fn the_environment_is_cleared_or_cut() {
    run(&mut ours("A=1 B=2 C=3 unshare --clear-env env")).says("");
    run(&mut ours(
        "A=1 B=2 C=3 unshare --whitelist-env B,A,X env | sort",
    ))
    .says("A=1\nB=2");
    run(&mut ours("A=1 unshare --clear-env --whitelist-env A env")).says("A=1");
}

/// The number of the process that a shell below has said.
fn said(running: &mut Running) -> String {
    running.line()
}

#[track_caller]
fn is_gone(pid: &str) {
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    eventually("the end of the child", || {
        let state = state();
        state.is_empty() || state.contains(") Z ")
    });
}

fn a_child_dies_with_its_killed_parent() {
    let line = "exec unshare --kill-child sh -c 'echo $$; exec sleep 1000'";
    let mut running = Running::start(&mut ours(line));
    let child = said(&mut running);
    running.signal(Signal::KILL);
    running.ends();
    is_gone(&child);
}

/// The kernel clears the signal of a parent's death when ids change.
fn a_child_dies_also_when_its_ids_changed() {
    let line = "exec unshare -r --kill-child -S 0 sh -c 'echo $$; exec sleep 1000'";
    let mut running = Running::start(&mut ours(line));
    let child = said(&mut running);
    running.signal(Signal::KILL);
    running.ends();
    is_gone(&child);
}

fn signals_are_forwarded_where_asked_for() {
    for options in ["--forward-signals", "--forward-signals --kill-child"] {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let line = format!("exec unshare {options} sh -c 'echo $$; exec sleep 1000'");
            let mut running = Running::start(&mut ours(&line));
            let child = said(&mut running);
            running.signal(signal);
            assert_eq!(running.ends(), code, "{options}");
            is_gone(&child);
        }
    }
    let trapped = "exec unshare --forward-signals sh -c \
                   'trap \"echo got; exit 5\" TERM; echo ready; while :; do sleep 0.1; done'";
    let mut running = Running::start(&mut ours(trapped));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::TERM);
    assert_eq!(running.line(), "got");
    assert_eq!(running.ends(), 5);
}

fn signals_are_held_back_while_a_child_runs() {
    let line = "exec unshare -f sh -c 'echo ready; read x; exit 4'";
    let mut command = ours(line);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut running = Running::start(command.stdin(reader));
    drop(command);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::TERM);
    running.signal(Signal::INT);
    drop(writer);
    assert_eq!(running.ends(), 4);
}

fn an_init_reaps_and_ends_as_its_program() {
    let init = "unshare -rpf --add-init --mount-proc";
    let tree = run(&mut ours(&format!("{init} ps -e -o pid=,args=")));
    let lines: Vec<&str> = tree.succeeds().lines().map(str::trim).collect();
    assert_eq!(lines, ["1 warren-init", "2 ps -e -o pid=,args="], "{tree}");
    run(&mut ours(&format!("{init} sh -c 'exit 6'"))).exits(6);
    run(&mut ours(&format!("{init} sh -c 'kill -TERM $$'"))).exits(143);
    let orphan =
        format!("{init} sh -c '(sleep 0.2 &) ; sleep 0.5; ps -e -o stat= | grep -c Z'");
    run(&mut ours(&orphan)).exits(1).expect("no zombie", true);
}

fn it_is_a_command_of_warren_too() {
    run(&mut warren(["unshare", "-r", "id", "-u"])).says("0");
    run(&mut warren(["unshare", "--bogus"]))
        .exits(1)
        .complains("unshare: unrecognized option '--bogus'\nTry 'unshare --help'");
}

fn ranges_of_ids_are_mapped() {
    let map = |options: &str| {
        let line = format!("unshare {options} cat /proc/self/uid_map /proc/self/gid_map");
        let output = run(&mut ours(&line));
        let words = output.succeeds().split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(map("--map-users=0:100000:10"), "0 100000 10");
    assert_eq!(map("--map-users=100000,0,10"), "0 100000 10");
    assert_eq!(
        map("--map-users=0:100000:10 --map-users=50:200000:5 --map-groups=0:300000:7"),
        "0 100000 10 50 200000 5 0 300000 7"
    );
    assert_eq!(
        map("--map-users=0:100000:1000 --map-user=0"),
        "0 0 1 1 100000 999"
    );
    assert_eq!(
        map("--map-users=1000:1000:5 --map-user=1002"),
        "1002 0 1 1000 1000 2 1003 1002 2"
    );
    let whole = map("--map-users=all --map-groups=all");
    assert!(whole.starts_with("0 0 "), "{whole}");
    let many: String = (0..300)
        .map(|n| format!(" --map-users={n}:{}:1", 2_000_000_000 + n))
        .collect();
    run(&mut ours(&format!("unshare {many} true")))
        .exits(1)
        .complains("unshare: too large for kernel 4k limit");
}

fn an_owner_makes_the_user_namespace() {
    let line = "unshare -U --owner 61234:61234 -r sh -c 'id -u; cat /proc/self/uid_map /proc/self/setgroups'";
    let output = run(&mut ours(line));
    let words: Vec<&str> = output.succeeds().split_whitespace().collect();
    assert_eq!(words, ["0", "0", "61234", "1", "deny"], "{output}");
    run(&mut ours("unshare --owner 61234:61234 true")).succeeds();
    let pinned = "touch f; unshare --owner 61234:61234 -U --uts=f true; findmnt -no FSTYPE f; umount f";
    run(&mut ours(pinned)).says("nsfs");
}

/// In a mount namespace with an /etc/subuid of its own.
fn with_subuid(subuid: &str, line: &str) -> String {
    format!(
        "unshare -m sh -c 'printf \"{subuid}\" > s; \
         for file in subuid subgid; do test -e /etc/$file || exit 9; mount --bind s /etc/$file; done; {line}'"
    )
}

fn the_first_line_of_subuid_is_the_users_own() {
    let subuid = "daniel:100000:65536\\nroot:500000:65536\\nroot:700000:65536\\n";
    let map = |options: &str| {
        let line = with_subuid(
            subuid,
            &format!("unshare {options} cat /proc/self/uid_map /proc/self/gid_map"),
        );
        let output = run(&mut ours(&line));
        output
            .succeeds()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let auto = "0 500000 65536";
    assert_eq!(map("--map-auto"), format!("{auto} {auto}"));
    assert_eq!(map("--map-users=auto"), auto);
    let same = "500000 500000 65536";
    assert_eq!(map("--map-subids"), format!("{same} {same}"));
    assert_eq!(
        map("-r --map-auto"),
        "0 0 1 1 500000 65535 0 0 1 1 500000 65535"
    );
    let none = with_subuid("daniel:100000:65536\\n", "unshare --map-auto true");
    run(&mut ours(&none))
        .exits(1)
        .complains("unshare: no line matching user \"root\" in /etc/subuid\nhint: ");
}

fn an_interpreter_is_registered_in_a_namespace() {
    let line = "printf FOOhi > foo; chmod +x foo; \
                unshare -r --load-interp ':foo:M::FOO::/bin/cat:' -pf ./foo";
    run(&mut ours(line)).says("FOOhi");
    let with_f = "printf FOOhi > foo; chmod +x foo; \
                  unshare -r -l ':foo:M::FOO::/bin/cat:F' -R / -w $PWD -pf ./foo";
    run(&mut ours(with_f)).says("FOOhi");
}

/// The original's program may be there before.
fn a_namespace_that_is_bound_is_there_when_the_program_starts() {
    let line = "touch f; unshare -pf --pid=f findmnt -no FSTYPE f; umount f";
    for _ in 0..20 {
        run(&mut ours(line)).says("nsfs");
    }
}
