//! Another program in a container.

use std::fs;

use serde_json::{Value, json};
use warren_testkit::{Running, Test, eventually, program, run, scratch, tests, warren};

use super::{BOTH, Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        a_program_has_its_own_exit_code,
        it_is_confined_as_the_first_is,
        it_is_in_the_groups_of_the_container,
        it_is_in_the_namespaces_of_the_container,
        it_is_where_the_container_is_though_its_caller_is_elsewhere,
        a_missing_program_is_255_and_said,
        it_runs_in_a_container_that_waits_for_its_start,
        a_process_file_says_all_of_it,
        who_calls_is_its_parent,
        a_user_is_a_number_and_nothing_else,
        a_capability_that_is_added_is_not_inheritable,
        options_change_what_the_container_says,
        a_terminal_is_one_of_the_container;
    User:
        who_is_not_root_enters_what_has_a_score;
};

fn running(runtime: Runtime, change: impl FnOnce(&mut Value)) -> Bundle {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    bundle.set(change);
    runtime
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    bundle
}

fn end(runtime: Runtime) {
    runtime.run(&["delete", "--force", "web"]).succeeds();
    assert!(runtime.is_empty());
}

fn a_program_has_its_own_exit_code() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let words = ["exec", "web", "sh", "-c", "echo in; echo err >&2; exit 9"];
        runtime.run(&words).exits(9).has("in").complains("err");
        end(runtime);
    }
}

/// The lines of /proc/PID/status that say what a process may do.
fn confinement(text: &str) -> Vec<String> {
    let keys = [
        "Uid",
        "Gid",
        "Groups",
        "Cap",
        "NoNewPrivs",
        "Seccomp",
        "Umask",
    ];
    let is_meant = |line: &&str| keys.iter().any(|key| line.starts_with(key));
    text.lines().filter(is_meant).map(str::to_owned).collect()
}

fn it_is_confined_as_the_first_is() {
    for runtime in BOTH {
        running(runtime, |config| {
            config["process"]["user"] =
                json!({"uid": 5, "gid": 6, "additionalGids": [7, 8]});
            config["process"]["rlimits"] =
                json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]);
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
            });
        });
        let show = |pid: &str| {
            let output =
                runtime.run(&["exec", "web", "cat", &format!("/proc/{pid}/status")]);
            confinement(output.succeeds())
        };
        let (first, own) = (show("1"), show("self"));
        assert_eq!(first, own, "{runtime:?}");
        assert!(own.iter().any(|line| line == "NoNewPrivs:\t1"), "{own:?}");
        assert!(own.iter().any(|line| line == "Seccomp:\t2"), "{own:?}");
        let words = ["exec", "web", "mkdir", "/tmp/new"];
        runtime.run(&words).complains("Operation not permitted");
        let words = ["exec", "web", "sh", "-c", "ulimit -n; ulimit -Hn"];
        // Go's runtime raises the soft limit of runc 1.1 now and then, and it is inherited.
        if runtime == Runtime::Warren {
            assert_eq!(runtime.run(&words).succeeds(), "77\n88");
        }
        end(runtime);
    }
}

fn it_is_in_the_groups_of_the_container() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let pid = runtime.state_of("web")["pid"].clone();
        // With its caller as its parent: a process that nobody waits for would keep the
        // container's first one from its end.
        let words = [
            "exec",
            "--pid-file",
            "pid",
            "web",
            "sh",
            "-c",
            "echo; sleep 50; :",
        ];
        let mut inside = Running::start(&mut runtime.command(&words));
        inside.line();
        // The program may say its line before its number is written.
        let number = || fs::read_to_string("pid").unwrap_or_default();
        eventually("its number", || !number().is_empty());
        let other = number();
        let groups = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
        assert_eq!(groups(&pid.to_string()), groups(&other));
        assert_ne!(groups(&other), groups("self"));
        end(runtime);
        while inside.line_or_end().is_some() {}
        inside.ends();
        fs::remove_file("pid").expect("remove the file");
    }
}

fn it_is_in_the_namespaces_of_the_container() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let script = "for kind in mnt pid net ipc uts cgroup; do \
            readlink /proc/1/ns/$kind; readlink /proc/self/ns/$kind; done";
        let mut words = vec!["exec", "web", "sh", "-c", script];
        let output = runtime.run(&words);
        // CAP_SYS_PTRACE is not there, but it is the same user with the same capabilities.
        let lines: Vec<&str> = output.succeeds().lines().collect();
        assert_eq!(lines.len(), 12, "{lines:?}");
        assert!(lines.chunks(2).all(|pair| pair[0] == pair[1]), "{lines:?}");
        words.truncate(4);
        words.push("ls /proc/self/fd | grep -c .");
        // 0 to 2, and the folder that ls(1) reads.
        assert_eq!(runtime.run(&words).succeeds(), "4");
        end(runtime);
    }
}

/// What is not listed is the maker's, who need not be the one that calls now; runc stays
/// where its caller is then.
fn it_is_where_the_container_is_though_its_caller_is_elsewhere() {
    let own = ["net", "ipc"].map(|kind| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"));
        link.expect("a link").display().to_string()
    });
    running(Runtime::Warren, |config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        let is_ours = |one: &Value| one["type"] == "network" || one["type"] == "ipc";
        namespaces.expect("a list").retain(|one| !is_ours(one));
    });
    let script = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc";
    let command = Runtime::Warren.command(&["exec", "web", "sh", "-c", script]);
    let mut elsewhere = program("unshare");
    elsewhere
        .args(["--net", "--ipc"])
        .arg(command.get_program());
    run(elsewhere.args(command.get_args())).says(&own.join("\n"));
    end(Runtime::Warren);
}

fn a_missing_program_is_255_and_said() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let output = runtime.run(&["exec", "web", "nowhere"]);
        output
            .exits(255)
            .complains("executable file not found in $PATH");
        let output = runtime.run(&["exec", "web", "/nowhere"]);
        output.exits(255).complains("no such file or directory");
        end(runtime);
    }
}

fn it_runs_in_a_container_that_waits_for_its_start() {
    let runtime = Runtime::Warren;
    let bundle = Bundle::new(&["sleep", "100"]);
    runtime
        .run(&["create", "-b", bundle.path(), "web"])
        .succeeds();
    assert_eq!(runtime.run(&["exec", "web", "echo", "in"]).succeeds(), "in");
    // Nothing of who made it can be read from what waits there.
    let output = runtime.run(&["exec", "web", "cat", "/proc/1/cmdline", "/proc/1/comm"]);
    output.exits(0).lacks(bundle.path()).has("warren-init");
    let output = runtime.run(&["exec", "web", "ls", "-l", "/proc/1/fd"]);
    output.complains("ermission denied").lacks(" -> ");
    assert_eq!(runtime.status("web"), "created");
    runtime.run(&["start", "web"]).succeeds();
    assert_eq!(runtime.status("web"), "running");
    end(runtime);
}

fn a_process_file_says_all_of_it() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let process = json!({
            "args": ["sh", "-c", "echo $WORD; id -u; pwd; grep CapEff /proc/self/status"],
            "env": ["PATH=/bin", "WORD=burrow"],
            "user": {"uid": 3, "gid": 4},
            "cwd": "/tmp",
            "noNewPrivileges": true,
        });
        fs::write("process.json", process.to_string()).expect("write the file");
        let output = runtime.run(&["exec", "--process", "process.json", "web"]);
        assert_eq!(
            output.succeeds(),
            "burrow\n3\n/tmp\nCapEff:\t0000000000000000"
        );
        end(runtime);
    }
}

fn who_calls_is_its_parent() {
    let script = r"
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.run(sys.argv[1:], check=True)
pid = int(open('pid').read())
status = open(f'/proc/{pid}/status').read()
print('PPid:\t%d\n' % os.getpid() in status)
print(os.waitpid(pid, 0)[1] >> 8)
";
    for runtime in BOTH {
        running(runtime, |_| {});
        let words = [
            "exec",
            "-d",
            "--pid-file",
            "pid",
            "web",
            "sh",
            "-c",
            "sleep 0.3; exit 6",
        ];
        let command = runtime.command(&words);
        let mut python = program("python3");
        python.args(["-c", script]).arg(command.get_program());
        python.args(command.get_args());
        // The subreaper gets it, as a shim does.
        assert_eq!(run(&mut python).succeeds(), "True\n6");
        end(runtime);
    }
}

fn a_user_is_a_number_and_nothing_else() {
    let runtime = Runtime::Warren;
    let bundle = running(runtime, |_| {});
    fs::write(
        bundle.root().join("etc/passwd"),
        "1000:x:0:0::/:/bin/sh\nroot:x:0:0::/:\n",
    )
    .expect("write passwd");
    let words = ["exec", "--user", "1000:100", "web", "id"];
    runtime.run(&words).has("uid=1000").has("gid=100");
    for user in [
        "root",
        "1000:",
        "+1",
        "1 ",
        " 1",
        "-1",
        "4294967295",
        "4294967296",
        ":1",
        "1:2:3",
    ] {
        let words = ["exec", "--user", user, "web", "id"];
        runtime
            .run(&words)
            .exits(255)
            .complains("expected a numeric id");
    }
    end(runtime);
}

fn a_capability_that_is_added_is_not_inheritable() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let words = [
            "exec",
            "--cap",
            "CAP_SYS_ADMIN",
            "web",
            "grep",
            "Cap",
            "/proc/self/status",
        ];
        let output = runtime.run(&words);
        output
            .has("CapInh:\t0000000000000000")
            .has("CapEff:\t0000000020200420");
        end(runtime);
    }
}

fn options_change_what_the_container_says() {
    for runtime in BOTH {
        running(runtime, |_| {});
        let script = "echo $A $B; pwd; id -G";
        let words = [
            "exec", "-e", "A=1", "-e", "B=2", "--cwd", "/tmp", "-g", "9", "web", "sh",
            "-c", script,
        ];
        assert_eq!(runtime.run(&words).succeeds(), "1 2\n/tmp\n0 9");
        end(runtime);
    }
}

fn a_terminal_is_one_of_the_container() {
    let runtime = Runtime::Warren;
    running(runtime, |_| {});
    let words = ["exec", "-t", "web", "sh", "-c", "tty; exit 4"];
    runtime.run(&words).exits(4).has("/dev/pts/0");
    let words = ["exec", "-d", "-t", "web", "sh"];
    runtime.run(&words).exits(255).complains("console socket");
    eventually("nothing more", || {
        let output = runtime.run(&["ps", "-f", "json", "web"]);
        output.succeeds().matches(',').count() == 0
    });
    end(runtime);
    assert!(scratch().exists());
}

/// It is hidden from who lives there, and then its files in /proc are root's.
fn who_is_not_root_enters_what_has_a_score() {
    let runtime = Runtime::Warren;
    let bundle = Bundle::new(&["true"]);
    let folder = scratch().join("rootless");
    fs::create_dir(&folder).expect("make a folder");
    let path = folder.to_str().expect("a scratch folder is text");
    run(&mut warren(["oci", "spec", "--rootless", "--bundle", path])).succeeds();
    let file = folder.join("config.json");
    let text = fs::read_to_string(&file).expect("it was written");
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    config["root"]["path"] = json!(bundle.root());
    let process = &mut config["process"];
    process["terminal"] = json!(false);
    process["oomScoreAdj"] = json!(100);
    process["args"] = json!(["sleep", "100"]);
    fs::write(&file, config.to_string()).expect("write it");
    runtime.run(&["run", "-d", "-b", path, "web"]).succeeds();
    let words = ["exec", "web", "cat", "/proc/self/oom_score_adj"];
    runtime.run(&words).says("100");
    end(runtime);
}
