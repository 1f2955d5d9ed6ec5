//! From `create` to `delete`.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use warren_testkit::{Running, Test, eventually, program, run, scratch, staged, tests};

use super::{BOTH, Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        a_container_is_created_started_and_deleted,
        a_run_has_the_exit_code_of_its_program,
        it_is_in_its_group_born_there_or_moved,
        a_program_that_is_missing_fails_at_create,
        what_cannot_be_done_is_said_in_words_that_engines_know,
        options_stand_before_or_after_the_name,
        a_bundle_can_have_another_config,
        the_last_line_of_the_log_has_the_message,
        a_pid_file_has_the_number_alone,
        a_name_is_taken_once,
        a_signal_has_a_name_or_a_number,
        a_list_has_every_container,
        a_name_leads_nowhere,
        descriptors_are_handed_on_if_asked_for,
        a_descriptor_of_the_runtime_itself_is_not_handed_on,
        a_program_says_that_it_is_ready,
        a_paused_container_stands_still,
        events_have_what_is_used,
        debug_tells_what_is_done,
        what_contradicts_the_machine_is_said_in_runcs_words,
        processes_are_listed_as_ps_does,
        the_same_binary_is_runc_by_name,
        a_bundle_that_is_wrong_is_refused_with_the_path_in_it,
        a_terminal_goes_to_the_socket_that_asks_for_it,
        an_interface_comes_back_from_a_joined_namespace;
};

/// clone3(2) puts a process into its group on v2; clone(2) cannot, and it is moved then, as
/// always on v1.
fn it_is_in_its_group_born_there_or_moved() {
    let mut bundle = Bundle::new(&["sleep", "100"]);
    // In a namespace of its own the group would be the root of all that is to be seen.
    bundle.set(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        namespaces
            .expect("a list")
            .retain(|one| one["type"] != "cgroup");
    });
    let [born, moved] = [None, Some("clone3")].map(|call| {
        let words = ["run", "-d", "-b", bundle.path(), "web"];
        Runtime::Warren.run_without(call, &words).succeeds();
        let pid = Runtime::Warren.state_of("web")["pid"].clone();
        let file = format!("/proc/{pid}/cgroup");
        let of_first = fs::read_to_string(file).expect("it lives");
        let exec = ["exec", "web", "cat", "/proc/self/cgroup"];
        let of_second = Runtime::Warren.run_without(call, &exec);
        assert_eq!(of_second.succeeds().trim(), of_first.trim());
        Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
        of_first
    });
    assert_eq!(born, moved);
    let own = format!("/warren-oci-{}-", std::process::id());
    assert!(born.lines().all(|line| line.contains(&own)), "{born}");
}

fn an_interface_comes_back_from_a_joined_namespace() {
    let mut bundle = Bundle::new(&["cat", "/proc/net/dev"]);
    bundle.set(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        for one in namespaces.expect("a list") {
            if one["type"] == "network" {
                one["path"] = json!("/proc/NUMBER/ns/net");
            }
        }
        config["linux"]["netDevices"] = json!({"w0": {"name": "eth0"}});
    });
    let command = Runtime::Warren.command(&["run", "--bundle", bundle.path(), "web"]);
    let script =
        "ip link add w0 type veth peer name w1 && ip addr add 10.98.0.2/24 dev w0
        unshare --net sh -c 'echo; exec sleep 60' > ready & other=$!
        while ! [ -s ready ]; do sleep 0.05; done
        sed -i s/NUMBER/$other/ \"$0\"
        \"$@\" | grep -o eth0; ip -o -4 addr show w0 | grep -o 10.98.0.2/24; kill $other";
    let mut shell = program("unshare");
    shell.args(["--net", "sh", "-c", script]);
    shell.arg(bundle.folder.join("config.json"));
    shell.arg(command.get_program()).args(command.get_args());
    run(&mut shell).says("eth0\n10.98.0.2/24");
}

fn a_container_is_created_started_and_deleted() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        runtime
            .run(&["create", "--bundle", bundle.path(), "web"])
            .succeeds();
        assert_eq!(runtime.status("web"), "created");
        runtime.run(&["start", "web"]).succeeds();
        assert_eq!(runtime.status("web"), "running");
        let state = runtime.state_of("web");
        assert_eq!(state["bundle"], bundle.path());
        assert!(state["pid"].as_u64().is_some_and(|pid| pid > 1));
        runtime.run(&["kill", "web", "KILL"]).succeeds();
        eventually("its end", || runtime.status("web") == "stopped");
        assert_eq!(runtime.state_of("web")["pid"], 0);
        runtime.run(&["delete", "web"]).succeeds();
        runtime
            .run(&["state", "web"])
            .exits(1)
            .complains("does not exist");
        assert!(runtime.is_empty());
    }
}

fn a_run_has_the_exit_code_of_its_program() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
        runtime
            .run_bundle(&bundle, "web")
            .exits(7)
            .has("out")
            .complains("err");
        assert!(runtime.is_empty());
        let bundle = Bundle::new(&["sh", "-c", "kill -9 $$"]);
        let code = runtime.run_bundle(&bundle, "web").code();
        // A first process does not die of its own signal.
        assert_eq!(code, 0);
    }
}

fn a_program_that_is_missing_fails_at_create() {
    for runtime in BOTH {
        for (program, words) in [
            ("nowhere", "executable file not found in $PATH"),
            ("/nowhere", "no such file or directory"),
            ("/etc", "permission denied"),
        ] {
            let bundle = Bundle::new(&[program]);
            // runc 1.2 and newer say that it is a directory.
            let words = match (runtime, program) {
                (Runtime::Runc, "/etc") => program,
                _ => words,
            };
            runtime
                .run(&["create", "--bundle", bundle.path(), "web"])
                .exits(1)
                .complains(program)
                .complains(words);
            assert!(
                runtime.is_empty(),
                "{runtime:?} left something of {program}"
            );
        }
    }
}

fn what_cannot_be_done_is_said_in_words_that_engines_know() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        for command in ["state", "start", "kill", "delete"] {
            runtime
                .run(&[command, "web"])
                .exits(1)
                .complains("does not exist");
        }
        runtime.run(&["delete", "--force", "web"]).succeeds();
        runtime
            .run(&["run", "-d", "--bundle", bundle.path(), "web"])
            .succeeds();
        runtime
            .run(&["start", "web"])
            .exits(1)
            .complains("cannot start an already running container");
        runtime
            .run(&["delete", "web"])
            .exits(1)
            .complains("that is not stopped");
        runtime
            .run(&["resume", "web"])
            .exits(1)
            .complains("not paused");
        runtime.run(&["kill", "web", "KILL"]).succeeds();
        eventually("its end", || runtime.status("web") == "stopped");
        runtime
            .run(&["kill", "web"])
            .exits(1)
            .complains("container not running");
        runtime
            .run(&["exec", "web", "true"])
            .exits(255)
            .complains("stopped container");
        runtime
            .run(&["start", "web"])
            .exits(1)
            .complains("cannot start a container that has stopped");
        runtime.run(&["delete", "web"]).succeeds();
    }
}

fn options_stand_before_or_after_the_name() {
    let bundle = Bundle::new(&["sleep", "100"]);
    for runtime in BOTH {
        for words in [
            ["create", "--bundle", bundle.path(), "web"],
            ["create", "web", "--bundle", bundle.path()],
        ] {
            runtime.run(&words).succeeds();
            runtime.run(&["delete", "web", "--force"]).succeeds();
        }
    }
}

/// As with crun.
fn a_bundle_can_have_another_config() {
    let mut bundle = Bundle::new(&["echo", "other"]);
    let other = scratch().join("other.json");
    let own = Path::new(bundle.path()).join("config.json");
    fs::copy(&own, &other).expect("copy a file");
    bundle.set(|config| config["process"]["args"] = json!(["echo", "own"]));
    let other = other.to_str().expect("a path");
    let words = ["run", "--bundle", bundle.path(), "web"];
    Runtime::Warren.run(&words).says("own");
    for option in [&["--config", other][..], &["-f", other]] {
        Runtime::Warren
            .run(&[&words[..3], option, &["web"]].concat())
            .says("other");
    }
    let missing = scratch().join("none.json");
    let missing = missing.to_str().expect("a path");
    Runtime::Warren
        .run(&[&words[..3], &["--config", missing, "web"]].concat())
        .complains("none.json: no such file or directory");
}

fn the_last_line_of_the_log_has_the_message() {
    for runtime in BOTH {
        let log = scratch().join(format!("{runtime:?}.log"));
        let log = log.to_str().expect("it is text");
        let bundle = Bundle::new(&["/nowhere"]);
        let words = [
            "--log",
            log,
            "--log-format",
            "json",
            "create",
            "--bundle",
            bundle.path(),
            "x",
        ];
        runtime.run(&words).exits(1);
        let text = fs::read_to_string(log).expect("there is a log");
        let last = text.lines().last().expect("it has a line");
        let line: Value = serde_json::from_str(last).expect("it is JSON");
        assert_eq!(line["level"], "error");
        assert!(
            line["msg"]
                .as_str()
                .is_some_and(|words| words.contains("/nowhere"))
        );
        assert!(line["time"].as_str().is_some_and(|time| time.contains('T')));
    }
}

fn a_pid_file_has_the_number_alone() {
    for runtime in BOTH {
        let file = scratch().join("pid");
        let bundle = Bundle::new(&["sleep", "100"]);
        let path = file.to_str().expect("it is text");
        let words = [
            "create",
            "--pid-file",
            path,
            "--bundle",
            bundle.path(),
            "web",
        ];
        runtime.run(&words).succeeds();
        let text = fs::read_to_string(&file).expect("it was written");
        assert_eq!(text, runtime.state_of("web")["pid"].to_string());
        runtime.run(&["delete", "-f", "web"]).succeeds();
        fs::remove_file(&file).expect("remove it");
    }
}

fn a_name_is_taken_once() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        let create = ["create", "--bundle", bundle.path(), "web"];
        runtime.run(&create).succeeds();
        let pid = runtime.state_of("web")["pid"].clone();
        runtime.run(&create).exits(1).complains("already exists");
        assert_eq!(runtime.state_of("web")["pid"], pid);
        runtime.run(&["delete", "web"]).succeeds();
    }
}

fn a_signal_has_a_name_or_a_number() {
    let script = "trap 'exit 3' TERM; trap 'exit 4' HUP; trap 'exit 5' USR1; \
        echo ready; while :; do sleep 0.02; done";
    for runtime in BOTH {
        for (signal, code) in [
            (None, 3),
            (Some("1"), 4),
            (Some("SIGUSR1"), 5),
            (Some("usr1"), 5),
        ] {
            let bundle = Bundle::new(&["sh", "-c", script]);
            let words = ["run", "--bundle", bundle.path(), "web"];
            let mut running = Running::start(&mut runtime.command(&words));
            assert_eq!(running.line(), "ready");
            let mut words = vec!["kill", "web"];
            words.extend(signal);
            runtime.run(&words).succeeds();
            assert_eq!(running.ends(), code, "{runtime:?} {signal:?}");
        }
    }
    let bundle = Bundle::new(&["sleep", "100"]);
    Runtime::Warren
        .run(&["create", "-b", bundle.path(), "web"])
        .succeeds();
    for word in ["FOO", "99", "-1"] {
        Runtime::Warren.run(&["kill", "web", word]).exits(1);
    }
    Runtime::Warren.run(&["delete", "web"]).succeeds();
}

fn a_list_has_every_container() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        let other = Bundle::new(&["sleep", "100"]);
        for (id, bundle) in [("one", &bundle), ("two", &other)] {
            runtime.run(&["create", "-b", bundle.path(), id]).succeeds();
        }
        runtime.run(&["start", "two"]).succeeds();
        let output = runtime.run(&["list", "--quiet"]);
        assert_eq!(output.succeeds(), "one\ntwo");
        let output = runtime.run(&["list", "--format", "json"]);
        let list: Value = serde_json::from_str(output.succeeds()).expect("it is JSON");
        let facts = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            (text("id"), text("status"), text("bundle"), text("owner"))
        };
        let expected = |id: &str, status: &str, bundle: &Bundle| {
            let [id, status] = [id, status].map(str::to_owned);
            (id, status, bundle.path().to_owned(), "root".to_owned())
        };
        let list = list.as_array().expect("it is a list");
        assert_eq!(facts(&list[0]), expected("one", "created", &bundle));
        assert_eq!(facts(&list[1]), expected("two", "running", &other));
        let output = runtime.run(&["list"]);
        let titles = output
            .succeeds()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        let titles: Vec<&str> = titles.split_whitespace().collect();
        assert_eq!(
            titles,
            ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        );
        for id in ["one", "two"] {
            runtime.run(&["delete", "-f", id]).succeeds();
        }
    }
}

fn a_name_leads_nowhere() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["true"]);
        for id in ["../x", "a/b", "", "..", "a b"] {
            let output = runtime.run(&["create", "-b", bundle.path(), id]);
            assert_ne!(output.code(), 0, "{runtime:?} {id:?}");
        }
    }
    assert!(!scratch().join("x").exists());
}

fn descriptors_are_handed_on_if_asked_for() {
    let script = "ls /proc/self/fd; echo \"$LISTEN_FDS\"; cat <&3";
    let bundle = Bundle::new(&["sh", "-c", script]);
    let file = scratch().join("given");
    fs::write(&file, "given\n").expect("write a file");
    let mut command = program("sh");
    let line = format!(
        "exec 3<{} 9<&3; LISTEN_FDS=1 exec \"$0\" oci --root {} run -b {} web",
        file.display(),
        Runtime::Warren.state().display(),
        bundle.path(),
    );
    command.args(["-c", &line]).arg(staged("warren"));
    let output = run(&mut command);
    // 0 to 2, the given one, and the folder that ls(1) reads.
    assert_eq!(output.succeeds(), "0\n1\n2\n3\n4\n1\ngiven");
}

/// At the number of one that the caller has not opened there may be one of the runtime's.
fn a_descriptor_of_the_runtime_itself_is_not_handed_on() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let preserve = ["--preserve-fds", "1"];
    let logged = ["--log", "log", "run", "-b", bundle.path(), "web"];
    let output = Runtime::Warren.run(&[&logged[..], &preserve].concat());
    output.exits(1).complains("keep descriptor 3");
    let words = ["run", "-d", "-b", bundle.path(), "web"];
    Runtime::Warren.run(&words).succeeds();
    let output = Runtime::Warren.run(&["exec", "--preserve-fds", "1", "web", "true"]);
    output.exits(255).complains("keep descriptor 3");
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
}

fn a_program_says_that_it_is_ready() {
    let host = scratch().join("notify");
    let socket = UnixDatagram::bind(&host).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let bundle = Bundle::new(&["/bin/notify"]);
    // No shell has datagrams: this binary has.
    let script = "#!/bin/sh\necho \"$NOTIFY_SOCKET\" > /tmp/told\nsleep 100\n";
    fs::write(bundle.root().join("bin/notify"), script).expect("write a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bundle.root().join("bin/notify"), mode).expect("chmod");
    let words = ["create", "-b", bundle.path(), "web"];
    let mut create = Runtime::Warren.command(&words);
    create.env("NOTIFY_SOCKET", &host).stdout(Stdio::null());
    let created = create.status().expect("start it");
    assert!(created.success());
    let mut start = Runtime::Warren.command(&["start", "web"]);
    let starting = Running::start(start.env("NOTIFY_SOCKET", &host));
    eventually("the program", || bundle.root().join("tmp/told").exists());
    let told = || fs::read_to_string(bundle.root().join("tmp/told")).unwrap_or_default();
    eventually("what it is told", || told().ends_with('\n'));
    assert_eq!(told(), "/run/notify/notify.sock\n");
    let inside = Runtime::Warren.state().join("web/notify/notify.sock");
    let program = UnixDatagram::unbound().expect("a socket");
    program.send_to(b"STATUS=soon\n", &inside).expect("send");
    program.send_to(b"READY=1\n", &inside).expect("send");
    let mut bytes = [0; 100];
    let count = socket.recv(&mut bytes).expect("word");
    let pid = Runtime::Warren.state_of("web")["pid"].clone();
    let word = String::from_utf8_lossy(&bytes[..count]);
    assert_eq!(word, format!("READY=1\nMAINPID={pid}\n"));
    assert_eq!(starting.ends(), 0);
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
    assert!(Runtime::Warren.is_empty());
}

fn a_paused_container_stands_still() {
    for runtime in BOTH {
        let script = "n=0; while :; do n=$((n+1)); echo $n > /tmp/n; sleep 0.01; done";
        let bundle = Bundle::new(&["sh", "-c", script]);
        let count =
            || fs::read_to_string(bundle.root().join("tmp/n")).unwrap_or_default();
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        eventually("its work", || !count().is_empty());
        runtime.run(&["pause", "web"]).succeeds();
        assert_eq!(runtime.status("web"), "paused");
        let before = count();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(count(), before, "{runtime:?}");
        runtime
            .run(&["exec", "web", "true"])
            .exits(255)
            .complains("paused");
        runtime.run(&["resume", "web"]).succeeds();
        assert_eq!(runtime.status("web"), "running");
        eventually("more work", || count() != before);
        // What is frozen is deleted too.
        runtime.run(&["pause", "web"]).succeeds();
        runtime.run(&["delete", "--force", "web"]).succeeds();
        assert!(runtime.is_empty());
    }
}

fn events_have_what_is_used() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let stats = || -> Value {
            let output = runtime.run(&["events", "--stats", "web"]);
            serde_json::from_str(output.succeeds()).expect("it is JSON")
        };
        // The kernel counts threads, of which runc's own first process has several until it
        // executes the program.
        let count = || stats()["data"]["pids"]["current"].clone();
        if runtime == Runtime::Runc {
            eventually("its program", || count() == 1);
        }
        let event = stats();
        assert_eq!(event["type"], "stats");
        assert_eq!(event["id"], "web");
        assert_eq!(event["data"]["pids"]["current"], 1, "{event}");
        assert!(event["data"]["cpu"]["usage"]["total"].is_u64());
        assert!(
            event["data"]["memory"]["usage"]["usage"].is_u64(),
            "{event}"
        );
        runtime.run(&["delete", "-f", "web"]).succeeds();
    }
    // A stream ends with the container.
    let bundle = Bundle::new(&["sleep", "100"]);
    Runtime::Warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let words = ["events", "--interval", "50ms", "web"];
    let mut events = Running::start(&mut Runtime::Warren.command(&words));
    assert!(events.line().contains("\"stats\""));
    assert!(events.line().contains("\"stats\""));
    Runtime::Warren.run(&["kill", "web", "KILL"]).succeeds();
    while events.line_or_end().is_some() {}
    assert_eq!(events.ends(), 0);
    Runtime::Warren.run(&["delete", "web"]).succeeds();
}

fn debug_tells_what_is_done() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sleep", "100"]);
        let log = scratch().join(format!("{runtime:?}.log"));
        let log = log.to_str().expect("it is text");
        let told = |words: &[&str], expected: &[&str]| {
            let quiet = runtime.run(words);
            quiet.succeeds();
            let words = [&["--debug", "--log", log], words].concat();
            assert!(!quiet.stderr.contains("level=debug"), "{quiet}");
            let _ = fs::remove_file(log);
            if words.contains(&"run") {
                runtime.run(&["delete", "-f", "web"]).succeeds();
            }
            runtime.run(&words).succeeds();
            let text = fs::read_to_string(log).expect("there is a log");
            for part in expected {
                assert!(text.contains(part), "{part}: {text}");
            }
        };
        let made = [
            "level=debug",
            "nsexec container setup",
            "child process in init()",
            "init: closing the pipe to signal completion",
        ];
        told(&["run", "-d", "-b", bundle.path(), "web"], &made);
        told(&["exec", "web", "true"], &made[..3]);
        runtime.run(&["delete", "-f", "web"]).succeeds();
    }
}

fn what_contradicts_the_machine_is_said_in_runcs_words() {
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| {
        config["linux"]["resources"]["unified"] = json!({"memory.min": "131072"});
    });
    let output = Runtime::Warren.run_bundle(&bundle, "web");
    // On v2 it can be had.
    if output.code() != 0 {
        output.exits(1).complains("invalid configuration: ");
    }
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| {
        config["linux"]["resources"]["cpu"] = json!({"cpus": "0"});
        config["process"]["scheduler"] = json!({"policy": "SCHED_DEADLINE",
            "runtime": 42_000, "deadline": 1_000_000, "period": 1_000_000});
    });
    Runtime::Warren
        .run_bundle(&bundle, "web")
        .exits(1)
        .complains("process scheduler can't be used together with AllowedCPUs");
}

fn processes_are_listed_as_ps_does() {
    for runtime in BOTH {
        let bundle = Bundle::new(&["sh", "-c", "sleep 100 & sleep 200; true"]);
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .succeeds();
        let list = || {
            let output = runtime.run(&["ps", "-f", "json", "web"]);
            let list: Vec<u64> =
                serde_json::from_str(output.succeeds()).expect("numbers");
            list
        };
        eventually("its processes", || list().len() == 3);
        let pid = runtime.state_of("web")["pid"].as_u64();
        assert!(pid.is_some_and(|pid| list().contains(&pid)));
        let output = runtime.run(&["ps", "web"]);
        let table = output.succeeds();
        assert_eq!(table.lines().count(), 4, "{table}");
        assert!(
            table
                .lines()
                .next()
                .is_some_and(|line| line.contains("PID"))
        );
        let output = runtime.run(&["ps", "web", "-o", "pid,args"]);
        output.succeeds();
        runtime.run(&["delete", "-f", "web"]).succeeds();
    }
}

fn the_same_binary_is_runc_by_name() {
    let link = scratch().join("runc");
    std::os::unix::fs::symlink(staged("warren"), &link).expect("make a link");
    let output = run(program(&link).arg("--version"));
    assert!(output.succeeds().starts_with("runc version "));
    assert!(output.succeeds().contains("\nspec: 1.3"));
    let output = run(program(&link).arg("features"));
    let features: Value = serde_json::from_str(output.succeeds()).expect("it is JSON");
    assert_eq!(features["ociVersionMax"], "1.3.0");
    let checkpoint = "org.opencontainers.runc.checkpoint.enabled";
    assert_eq!(features["annotations"][checkpoint], "true");
    let options = features["mountOptions"].as_array().expect("a list");
    for word in ["rro", "idmap", "nosymfollow", "rslave", "tmpcopyup"] {
        assert!(options.contains(&json!(word)), "{word}");
    }
    let user = json!("user");
    let namespaces = features["linux"]["namespaces"].as_array();
    assert!(namespaces.is_some_and(|all| all.contains(&user)));
    run(program(&link).args(["--root", "/tmp", "state", "nobody"]))
        .exits(1)
        .complains("level=error msg=");
    // What the kernel says to the program itself is no line of a log.
    let bundle = Bundle::new(&["/script"]);
    let script = bundle.root().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").expect("write a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).expect("chmod");
    let mut command = program(&link);
    command.arg("--root").arg(Runtime::Warren.state());
    let output = run(command.args(["run", "--bundle", bundle.path(), "web"]));
    output.exits(1);
    assert_eq!(output.stderr, "exec /script: no such file or directory\n");
}

fn a_bundle_that_is_wrong_is_refused_with_the_path_in_it() {
    let runtime = Runtime::Warren;
    let refused = |change: &dyn Fn(&mut Value), words: &str| {
        let mut bundle = Bundle::new(&["true"]);
        bundle.set(change);
        runtime.run_bundle(&bundle, "web").exits(1).complains(words);
    };
    refused(
        &|config| config["linux"]["resources"] = json!({"memory": {"limit": "1G"}}),
        "linux.resources.memory.limit",
    );
    refused(
        &|config| config["process"]["cwd"] = json!("x"),
        "process.cwd",
    );
    refused(
        &|config| config["ociVersion"] = json!("2.0.0"),
        "ociVersion",
    );
    refused(
        &|config| config["hooks"] = json!({"poststop": [{"path": "x"}]}),
        "hooks.poststop[0].path",
    );
    let output = runtime.run(&["run", "-b", "/nowhere", "web"]);
    output.exits(1).complains("/nowhere/config.json");
    // What no specification has is no fault.
    let mut bundle = Bundle::new(&["echo", "well"]);
    bundle.set(|config| config["linux"]["new"] = json!({"a": [1]}));
    runtime.run_bundle(&bundle, "web").exits(0).has("well");
}

fn a_terminal_goes_to_the_socket_that_asks_for_it() {
    let script = r"
import array, os, select, socket, subprocess, sys
server = socket.socket(socket.AF_UNIX)
server.bind('console'); server.listen(1)
subprocess.run(sys.argv[1:], check=True)
taken, _ = server.accept()
_, data, _, _ = taken.recvmsg(100, socket.CMSG_SPACE(4))
master = array.array('i', data[0][2])[0]
shown = b''
while b'done' not in shown and select.select([master], [], [], 10)[0]:
    shown += os.read(master, 1000)
print(shown.decode())
";
    let console = scratch().join("console").display().to_string();
    for runtime in BOTH {
        let line = "tty; stat -c '%t:%T' /dev/console; stty size; echo done; sleep 5";
        let mut bundle = Bundle::new(&["sh", "-c", line]);
        bundle.set(|config| {
            config["process"]["terminal"] = json!(true);
            config["process"]["consoleSize"] = json!({"height": 33, "width": 99});
        });
        let stty = bundle.root().join("bin/stty");
        std::os::unix::fs::symlink("busybox", stty).expect("make a link");
        let words = [
            "run",
            "-d",
            "--console-socket",
            &console,
            "-b",
            bundle.path(),
            "web",
        ];
        let command = runtime.command(&words);
        let mut python = program("python3");
        python.args(["-c", script]).arg(command.get_program());
        python.args(command.get_args());
        let output = run(&mut python);
        output.has("/dev/pts/0").has("88:0").has("33 99");
        runtime.run(&["delete", "-f", "web"]).succeeds();
        fs::remove_file(scratch().join("console")).expect("remove the socket");
        runtime
            .run(&["run", "-d", "-b", bundle.path(), "web"])
            .exits(1)
            .complains("console socket");
    }
}
