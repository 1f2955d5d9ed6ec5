//! What is told of a command, what it waits for, how it ends, and what ends with it.

use std::fs;

use rustix::process::Signal;
use warren_testkit::{Running, Test, eventually, run, tests};

use crate::util_linux::{Targets, ours};

pub const TESTS: &[Test] = tests! {
    Both:
        commands_end_as_with_bubblewrap,
        what_is_told_has_the_form_of_bubblewrap,
        what_is_told_is_true,
        information_ends_before_the_command_does,
        a_failure_before_the_exec_tells_of_no_exit_code,
        a_failing_prctl_is_fatal,
        a_command_waits_for_its_word,
        a_descriptor_is_held_as_long_as_the_command_runs,
        files_are_locked_as_long_as_the_command_runs,
        what_the_command_closes_nobody_holds,
        everything_dies_with_the_parent_if_asked_for,
        a_command_outlives_its_killed_monitor_if_not,
        namespaces_of_another_run_are_entered,
        somebody_else_writes_the_id_maps,
        filters_are_loaded_in_order,
        an_init_reaps_what_is_orphaned;
    Root:
        a_file_that_gives_privilege_is_refused,
        ambient_capabilities_of_a_user_are_refused;
};

const ENDS: &[&str] = &[
    "bwrap --ro-bind / / sh -c 'exit 7'",
    "bwrap --unshare-pid --ro-bind / / sh -c 'exit 7'",
    "bwrap --unshare-pid --as-pid-1 --ro-bind / / sh -c 'exit 7'",
    "bwrap --ro-bind / / sh -c 'kill -TERM $$'",
    "bwrap --ro-bind / / sh -c 'kill -KILL $$'",
    "bwrap --unshare-pid --ro-bind / / sh -c 'kill -TERM $$'",
    "bwrap --unshare-pid --ro-bind / / sh -c 'kill -SEGV $$'",
    "bwrap --unshare-pid --dev-bind / / sh -c 'sleep 0.5 & exit 3'",
    "bwrap --unshare-pid --dev-bind / / sh -c '(sleep 0.5; echo later) & echo now; exit 3'; echo $?",
    "bwrap --ro-bind / / --lock-file /etc/passwd sh -c 'exit 4'",
    "bwrap --ro-bind / / --sync-fd 5 sh -c 'kill -TERM $$' 5</dev/null",
    "echo in | bwrap --ro-bind / / cat",
    "bwrap --unshare-all --new-session --ro-bind / / sh -c 'exit 9'",
    "bwrap --die-with-parent --ro-bind / / sh -c 'exit 9'",
    "trap '' CHLD; bwrap --ro-bind / / sh -c 'exit 9'",
];

fn commands_end_as_with_bubblewrap() {
    Targets::default().same(ENDS);
}

/// Numbers differ from run to run.
const TOLD: &[&str] = &[
    "bwrap --ro-bind / / --info-fd 5 true 5>i; sed 's/[0-9]\\+/N/' i",
    "bwrap --unshare-all --ro-bind / / --info-fd 5 true 5>i; sed 's/[0-9]\\+/N/' i",
    "bwrap --ro-bind / / --json-status-fd 5 sh -c 'exit 4' 5>j; sed 's/[0-9]\\{2,\\}/N/g' j",
    "bwrap --unshare-all --ro-bind / / --json-status-fd 5 true 5>j; sed 's/[0-9]\\{2,\\}/N/g' j",
    "bwrap --unshare-pid --ro-bind / / --json-status-fd 5 sh -c 'kill $$' 5>j; tail -1 j",
    "bwrap --unshare-net --unshare-uts --ro-bind / / --json-status-fd 5 true 5>j; sed 's/[0-9]\\{2,\\}/N/g' j",
    "bwrap --unshare-user --unshare-ipc --ro-bind / / --info-fd 5 --json-status-fd 6 true 5>i 6>j; sed 's/[0-9]\\{2,\\}/N/g' i j",
];

fn what_is_told_has_the_form_of_bubblewrap() {
    Targets::default().same(TOLD);
}

fn what_is_told_is_true() {
    let line = "bwrap --unshare-all --ro-bind / / --proc /proc --json-status-fd 5 sh -c \
                'for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done' 5>j; cat j";
    let output = run(&mut ours(line));
    let text = output.succeeds();
    let (told, lines): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('{'));
    output.expect(
        "two objects and six links",
        told.len() == 2 && lines.len() == 6,
    );
    for line in lines {
        let (kind, id) = line.split_once(":[").expect("a link");
        let member = format!("\"{kind}-namespace\": {}", id.trim_end_matches(']'));
        output.expect(&member, told[0].contains(&member));
    }
}

fn information_ends_before_the_command_does() {
    // A reader that waits for the end gives the word afterwards.
    let line = "mkfifo i g; (cat i >told; echo >g) & \
                bwrap --ro-bind / / --info-fd 5 --block-fd 6 echo out 5>i 6<>g & wait; \
                grep -c child-pid told";
    run(&mut ours(line)).says("out\n1");
}

fn a_failure_before_the_exec_tells_of_no_exit_code() {
    for command in ["/", "nosuch", "--chdir /nope true"] {
        let line = format!("bwrap --ro-bind / / --json-status-fd 5 {command} 5>j; cat j");
        let output = run(&mut ours(&line));
        output.has("child-pid").lacks("exit-code");
    }
}

fn a_failing_prctl_is_fatal() {
    // As bubblewrap's own tests have it, and for each: how many there are depends on who
    // calls. A name is for people alone, and asking for a capability that the kernel does
    // not know is how the last one is found.
    let mut failed = 0;
    for nth in 1.. {
        let line = format!(
            "strace -o trace -f -e trace=prctl -e fault=prctl:when={nth} \
             bwrap --unshare-pid --ro-bind / / --json-status-fd 5 echo out 5>j; \
             cat j; grep INJECTED trace || echo none"
        );
        let output = run(&mut ours(&line));
        output.has("child-pid");
        match output.stdout.lines().last() {
            Some("none") => break,
            Some(call) if call.contains("PR_SET_NAME") || call.contains("CAP_???") => {}
            _ => {
                output.lacks("exit-code").lacks("out");
                failed += 1;
            }
        }
    }
    assert!(failed > 0);
}

fn a_command_waits_for_its_word() {
    let line = "mkfifo g; exec 6<>g; bwrap --ro-bind / / --block-fd 6 echo after & \
                sleep 0.5; echo before; echo >&6; wait";
    Targets::default().same_each(&[line]);
    run(&mut ours(line)).says("before\nafter");
}

fn a_descriptor_is_held_as_long_as_the_command_runs() {
    // The reader's end comes with the init's, after the command's.
    let line = "mkfifo s; (cat s; echo ended) & exec 5>s; \
                bwrap --unshare-pid --ro-bind / / --sync-fd 5 sh -c 'echo running; sleep 0.3; echo done' & \
                exec 5>&-; wait";
    run(&mut ours(line)).says("running\ndone\nended");
}

/// Says whether `file` can be locked for writing.
const TRY_LOCK: &str = "import fcntl,sys\n\
    try: fcntl.lockf(open(sys.argv[1],'a'), fcntl.LOCK_EX|fcntl.LOCK_NB); print('free')\n\
    except OSError: print('locked')";

fn files_are_locked_as_long_as_the_command_runs() {
    for pid in ["", "--unshare-pid"] {
        let line = format!(
            "touch l m; bwrap {pid} --bind / / --lock-file $PWD/l --lock-file $PWD/m \
             sh -c 'echo x >go; while test -e go; do sleep 0.05; done' & \
             until test -e go; do sleep 0.05; done; \
             python3 -c \"{TRY_LOCK}\" l; python3 -c \"{TRY_LOCK}\" m; rm go; wait; \
             python3 -c \"{TRY_LOCK}\" l"
        );
        run(&mut ours(&line)).says("locked\nlocked\nfree");
    }
}

fn what_the_command_closes_nobody_holds() {
    // Neither the monitor nor the init keeps the writer's end of a pipe open.
    let line = "mkfifo p; (cat p; echo ended) & exec 7>p; \
                bwrap --unshare-pid --ro-bind / / sh -c 'exec 7>&-; sleep 0.5; echo done' & \
                exec 7>&-; wait";
    run(&mut ours(line)).says("ended\ndone");
}

fn everything_dies_with_the_parent_if_asked_for() {
    for options in [
        "",
        "--unshare-pid",
        "--lock-file /etc/passwd",
        "--unshare-user --dev /dev",
    ] {
        let line = format!(
            "bwrap --die-with-parent {options} --bind / / --json-status-fd 5 \
             sh -c 'echo $$; echo ready >&2; exec sleep 1000' 5>$$.j & \
             until test -s $$.j; do sleep 0.05; done; cat $$.j; wait"
        );
        let mut running = Running::start(&mut ours(&line));
        let told = loop {
            let line = running.line();
            if line.contains("child-pid") {
                break line;
            }
        };
        let child = pid_of(&told);
        running.signal(Signal::KILL);
        // A zombie has no arguments.
        let arguments = format!("/proc/{child}/cmdline");
        eventually("the end of the child", || {
            fs::read(&arguments).map_or(true, |text| text.is_empty())
        });
        running.ends();
    }
}

fn pid_of(told: &str) -> String {
    let after = told.split("\"child-pid\": ").nth(1).expect("a pid");
    after.chars().take_while(char::is_ascii_digit).collect()
}

fn a_command_outlives_its_killed_monitor_if_not() {
    let line = "bwrap --bind / / --json-status-fd 5 sh -c 'sleep 0.5; echo x >alive' 5>j & \
                m=$!; until test -s j; do sleep 0.05; done; sleep 0.1; kill -KILL $m; \
                wait $m 2>/dev/null; until test -e alive; do sleep 0.05; done; echo alive";
    Targets::default().same(&[line]);
    run(&mut ours("rm -f alive j")).succeeds();
    run(&mut ours(line)).has("alive");
}

fn namespaces_of_another_run_are_entered() {
    let enter = |options: &str, kinds: &str| {
        let line = format!(
            "mkfifo g; bwrap --unshare-user --unshare-pid --bind / / --info-fd 5 \
             sh -c 'readlink {kinds} >there; cat g >taken' 5>i & \
             until test -s there; do sleep 0.05; done; \
             p=$(sed -n 's/.*child-pid\": \\([0-9]*\\).*/\\1/p' i); \
             bwrap --bind / / {options} sh -c 'readlink {kinds} >here; cat /proc/self/uid_map | wc -l' \
             8</proc/$p/ns/user 9</proc/$p/ns/pid; echo >g; wait; cmp there here && echo same; rm g i there here taken"
        );
        run(&mut ours(&line)).says("1\nsame");
        Targets::default().same(&[&line]);
    };
    enter("--userns 8", "/proc/self/ns/user");
    enter("--userns 8 --pidns 9", "/proc/self/ns/pid");
}

fn somebody_else_writes_the_id_maps() {
    // Who is root can write any map; an ordinary user its own id.
    let line = "mkfifo g i; exec 6<>g; \
                bwrap --unshare-user --bind / / --info-fd 5 --userns-block-fd 6 \
                cat /proc/self/uid_map 5>i & \
                p=$(sed -n 's/.*child-pid\": \\([0-9]*\\).*/\\1/p' i); \
                echo deny >/proc/$p/setgroups; \
                echo 5 $(id -u) 1 >/proc/$p/uid_map; echo 5 $(id -g) 1 >/proc/$p/gid_map; \
                echo >&6; wait";
    let output = run(&mut ours(line));
    let words: Vec<&str> = output.succeeds().split_whitespace().collect();
    let own = rustix::process::getuid().as_raw().to_string();
    assert_eq!(words, ["5", own.as_str(), "1"]);
}

/// `allow`, but mkdir(2) and mkdirat(2) answer this errno.
fn filter(errno: u32) -> Vec<u8> {
    // load the number; two comparisons; allow; errno
    let instructions: [(u16, u8, u8, u32); 5] = [
        (0x20, 0, 0, 0),
        (0x15, 2, 0, 83),
        (0x15, 1, 0, 258),
        (0x06, 0, 0, 0x7fff_0000),
        (0x06, 0, 0, 0x0005_0000 | errno),
    ];
    instructions
        .iter()
        .flat_map(|(code, jt, jf, k)| {
            let mut bytes = code.to_ne_bytes().to_vec();
            bytes.extend([*jt, *jf]);
            bytes.extend(k.to_ne_bytes());
            bytes
        })
        .collect()
}

fn filters_are_loaded_in_order() {
    fs::write("one", filter(1)).expect("a file");
    fs::write("two", filter(12)).expect("a file");
    Targets::default().same(&[
        "bwrap --bind / / --seccomp 5 mkdir d 5<one",
        "bwrap --bind / / --seccomp 5 --seccomp 6 mkdir d 5<one 6<two 2>&1 | tail -1",
        "bwrap --bind / / --add-seccomp-fd 5 mkdir d 5<two",
        "bwrap --bind / / --add-seccomp-fd 5 --add-seccomp-fd 6 mkdir d 5<one 6<two",
        "bwrap --bind / / --add-seccomp-fd 5 --add-seccomp-fd 6 mkdir d 5<two 6<one",
        "bwrap --bind / / --seccomp 5 grep Seccomp: /proc/self/status 5<one",
    ]);
}

fn an_init_reaps_what_is_orphaned() {
    let line = "bwrap --unshare-pid --ro-bind / / --proc /proc sh -c \
                '(true & exec true) ; sleep 0.3; set -- /proc/[0-9]*; echo $#'";
    Targets::default().same(&[line]);
}

fn a_file_that_gives_privilege_is_refused() {
    // In /var/tmp: the scratch folder may be on a mount without set-user-id bits.
    let line = "d=$(mktemp -d /var/tmp/warren-XXXXXX); chmod 755 $d; \
                cp $(readlink -f $(command -v bwrap)) $d/bwrap; chmod 4755 $d/bwrap; \
                setpriv --reuid 61234 --regid 61234 --clear-groups $d/bwrap --ro-bind / / echo in; \
                echo $?; rm -r $d";
    let output = run(&mut ours(line));
    output.says("1");
    output.complains("bwrap: Unexpected setuid or setgid, which is not supported");
}

fn ambient_capabilities_of_a_user_are_refused() {
    Targets::default().same(&[
        "setpriv --reuid 61234 --regid 61234 --clear-groups --inh-caps +net_admin \
         --ambient-caps +net_admin bwrap --ro-bind / / echo in",
    ]);
}
