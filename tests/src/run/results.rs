//! How a run ended, as JSON, and what ends one that takes too long.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use warren_testkit::{Output, Test, program, run, scratch, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_status_has_the_code_and_what_was_used,
        a_signal_is_told_from_the_code_of_a_shell,
        what_children_and_orphans_use_is_counted,
        a_failed_set_up_is_told_with_its_step,
        the_status_goes_to_a_descriptor_too,
        a_descriptor_that_is_not_open_is_refused_first,
        only_a_file_is_replaced,
        on_a_full_disk_nothing_is_run,
        a_disk_that_fills_up_changes_no_exit_code,
        at_its_time_a_command_is_ended_with_124_as_by_timeout,
        the_signal_of_a_timeout_can_be_chosen,
        a_command_that_ignores_the_signal_is_killed,
        a_command_that_stopped_is_ended_too,
        a_command_at_its_own_terminal_is_ended_too,
        processor_time_is_that_of_the_whole_tree,
        a_command_that_sleeps_uses_no_processor_time,
        each_process_has_the_kernels_limit_too,
        durations_and_signals_are_checked_first;
    Root:
        a_command_that_was_killed_for_want_of_memory_is_told;
};

/// A run with its status in a file.
struct Told {
    output: Output,
    status: Value,
}

impl Told {
    fn of(words: &[&str]) -> Self {
        let file = scratch().join("status");
        let mut command = warren(["run", "--json-status"]);
        let output = run(command.arg(&file).args(words));
        let status = Self::read(&file, &output);
        Self { output, status }
    }

    fn read(file: &Path, output: &Output) -> Value {
        let text = fs::read_to_string(file);
        let text = text.unwrap_or_else(|error| panic!("no status: {error}\n{output}"));
        let status: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(status["version"], 1);
        assert_eq!(status["code"], output.code(), "{output}");
        // Nothing but the file itself was left beside it.
        let folder = file.parent().expect("a folder");
        let beside = fs::read_dir(folder).expect("a list").filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            name.to_string_lossy().starts_with('.')
        });
        assert_eq!(beside.count(), 0);
        status
    }

    #[track_caller]
    fn is(&self, key: &str, value: impl Into<Value>) -> &Self {
        let value = value.into();
        let (status, output) = (&self.status, &self.output);
        assert_eq!(status[key], value, "{key}: {status:#}\n{output}");
        self
    }

    fn number(&self, key: &str) -> u64 {
        let number = self.status[key].as_u64();
        number.unwrap_or_else(|| panic!("{key}: {:#}", self.status))
    }
}

fn the_status_has_the_code_and_what_was_used() {
    let told = Told::of(&["--", "sh", "-c", "sleep 0.1; exit 7"]);
    told.output.exits(7);
    told.is("exit_code", 7).is("signal", Value::Null);
    told.is("error", Value::Null);
    told.is("timed_out", false).is("cpu_timed_out", false);
    assert!(told.number("wall_us") >= 100_000, "{:#}", told.status);
    // A shell has more than that, and not all of the machine's memory.
    let memory = told.number("max_rss");
    assert!((500_000..1 << 30).contains(&memory), "{memory}");
    assert!(told.number("user_us") + told.number("system_us") > 0);
}

fn a_signal_is_told_from_the_code_of_a_shell() {
    let killed = Told::of(&["--", "sh", "-c", "kill -9 $$"]);
    killed.output.exits(137);
    killed.is("signal", 9).is("exit_code", Value::Null);
    let code = Told::of(&["--", "sh", "-c", "exit 137"]);
    code.output.exits(137);
    code.is("exit_code", 137).is("signal", Value::Null);
}

fn what_children_and_orphans_use_is_counted() {
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let used = |script: &str| {
        let told = Told::of(&["--", "sh", "-c", script]);
        told.output.exits(0);
        told.number("user_us")
    };
    let idle = used("true");
    let child = used(&format!("sh -c '{busy}' & wait"));
    // Nobody but the init waits for it.
    let orphan = used(&format!(
        "(sh -c '{busy}; >/tmp/done' &) ; until test -e /tmp/done; do sleep 0.05; done"
    ));
    // The program does not wait for it: the init ends it, and counts.
    let left = used(&format!(
        "sh -c '{busy}; >/tmp/done; exec sleep 1000' & until test -e /tmp/done; do sleep 0.05; done"
    ));
    assert!(left > idle + 10_000, "{left} {idle}");
    assert!(child > idle + 10_000, "{child} {idle}");
    assert!(orphan > idle + 10_000, "{orphan} {idle}");
}

fn a_failed_set_up_is_told_with_its_step() {
    let told = Told::of(&["--ro-bind", "/etc/passwd", "/usr/passwd", "--", "true"]);
    told.output.is_refused("Read-only file system");
    told.is("exit_code", Value::Null).is("wall_us", Value::Null);
    let error = &told.status["error"];
    assert_eq!(error["step"], "bind /etc/passwd at /usr/passwd, read-only");
    assert_eq!(error["errno"], 30);
    let hint = "the place must exist there already, since the root cannot be written";
    assert_eq!(error["hints"][0], hint);
    let told = Told::of(&["--", "no-such-program"]);
    told.output.exits(127);
    assert_eq!(told.status["error"]["step"], "execute no-such-program");
    let told = Told::of(&["--share", "uts", "--hostname", "x", "--", "true"]);
    told.output.is_refused("--hostname");
    assert_eq!(told.status["error"]["step"], Value::Null);
}

fn the_status_goes_to_a_descriptor_too() {
    let script = format!(
        "exec {} run --status-fd 9 --json-status file 9>other -- \
         sh -c 'ls /proc/self/fd; exit 3'",
        staged("warren").display()
    );
    let output = run(program("sh").args(["-c", &script]));
    // The last is the list itself: the descriptor is not the command's.
    output.exits(3).has("0\n1\n2\n3\n").lacks("9");
    let [one, other] =
        ["file", "other"].map(|name| fs::read_to_string(name).expect("text"));
    assert_eq!(one, other);
    assert_eq!(one.matches('\n').count(), 1);
    Told::read(&scratch().join("file"), &output);
}

fn a_descriptor_that_is_not_open_is_refused_first() {
    let words = ["run", "--here", "--status-fd", "9", "--", "touch", "made"];
    run(&mut warren(words)).is_refused("--status-fd 9: Bad file descriptor");
    assert!(!Path::new("made").exists());
}

fn only_a_file_is_replaced() {
    fs::create_dir("folder").expect("a folder");
    std::os::unix::fs::symlink("/dev/null", "link").expect("a link");
    for place in ["/dev/null", "folder", "link"] {
        let words = [
            "run",
            "--here",
            "--json-status",
            place,
            "--",
            "touch",
            "made",
        ];
        run(&mut warren(words))
            .is_refused(&format!("--json-status {place}: it is no file"))
            .complains("--status-fd N writes to what is open");
    }
    let words = [
        "run",
        "--here",
        "--json-status",
        "no/such",
        "--",
        "touch",
        "made",
    ];
    run(&mut warren(words))
        .is_refused("write the results no/such: No such file or directory");
    assert!(!Path::new("made").exists());
    // What was in the file before is gone with it.
    fs::write("status", "x".repeat(100_000)).expect("written");
    Told::of(&["--", "true"]).output.exits(0);
}

/// What a script says where `disk` is a filesystem of 64 KiB.
fn with_small_disk(script: &str) -> Output {
    fs::create_dir("disk").expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=64k none disk
         warren() {{ {} \"$@\"; }}
         {script}",
        staged("warren").display()
    );
    let mut unshare = program("unshare");
    let options = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    run(unshare.args(options).arg(script))
}

const FILL: &str = "head -c 100000 /dev/zero >disk/filler 2>/dev/null";

fn on_a_full_disk_nothing_is_run() {
    with_small_disk(&format!(
        "{FILL}; warren run --json-status disk/status -- echo it runs; C=$?; ls -A disk; exit $C"
    ))
    .is_refused("write the results disk/status: No space left on device")
    .lacks("it runs")
    .has("filler")
    .lacks("status");
}

fn a_disk_that_fills_up_changes_no_exit_code() {
    with_small_disk(&format!(
        "warren run --bind $PWD/disk /srv/disk --workdir /srv --json-status disk/status -- \
         sh -c '{FILL}; exit 7'; C=$?; ls -A disk; exit $C"
    ))
    .exits(7)
    .complains("warren: write the results disk/status: No space left on device")
    .complains("its exit code 7 is the run's")
    .lacks("status");
}

fn at_its_time_a_command_is_ended_with_124_as_by_timeout() {
    let began = Instant::now();
    let told = Told::of(&["--timeout", "300ms", "--", "sleep", "1000"]);
    assert!(began.elapsed().as_secs() < 100);
    run(program("timeout").args(["0.3", "sleep", "1000"])).exits(told.output.code());
    told.output.exits(124);
    told.is("timed_out", true)
        .is("signal", 15)
        .is("cpu_timed_out", false);
    assert!(told.number("wall_us") >= 300_000, "{:#}", told.status);
    let in_time = Told::of(&["--timeout", "100s", "--", "true"]);
    in_time.output.exits(0);
    in_time.is("timed_out", false);
}

fn the_signal_of_a_timeout_can_be_chosen() {
    let script = "trap 'echo asked; exit 3' USR1; while :; do sleep 0.05; done";
    let told = Told::of(&["--timeout", "1s:USR1", "--", "sh", "-c", script]);
    told.output.exits(124).has("asked");
    told.is("timed_out", true).is("exit_code", 3);
    let told = Told::of(&["--timeout", "300ms:KILL", "--", "sleep", "1000"]);
    told.output.exits(124);
    told.is("signal", 9).is(
        "oom_killed",
        told.status["oom_killed"].as_bool().map(|_| false),
    );
}

fn a_command_that_ignores_the_signal_is_killed() {
    let script = "trap '' TERM; while :; do sleep 0.1; done";
    let told = Told::of(&["--timeout", "500ms", "--", "sh", "-c", script]);
    told.output.exits(124);
    told.is("timed_out", true).is("signal", 9);
    // Its init was killed as well, who alone would know.
    told.is("user_us", Value::Null).is("max_rss", Value::Null);
    assert!(told.number("wall_us") >= 5_500_000, "{:#}", told.status);
}

fn a_command_that_stopped_is_ended_too() {
    let told = Told::of(&["--timeout", "500ms", "--", "sh", "-c", "kill -STOP $$"]);
    told.output.exits(124);
    told.is("timed_out", true).is("signal", 15);
}

fn a_command_at_its_own_terminal_is_ended_too() {
    let told = Told::of(&["--timeout", "500ms", "--tty", "--", "sleep", "1000"]);
    told.output.exits(124);
    told.is("timed_out", true);
    // It has closed its terminal, and nobody waits for output any more.
    let script = "exec sleep 1000 <&- >&- 2>&-";
    let told = Told::of(&["--timeout", "500ms", "--tty", "--", "sh", "-c", script]);
    told.output.exits(124);
    told.is("timed_out", true);
}

const BUSY: &str = "while :; do :; done";

fn processor_time_is_that_of_the_whole_tree() {
    // No one process comes near the limit of whole seconds that the kernel has for each.
    let script = format!("for i in 1 2 3 4; do sh -c '{BUSY}' & done; wait");
    let told = Told::of(&["--cpu-time", "800ms", "--", "sh", "-c", &script]);
    told.output.exits(124);
    told.is("cpu_timed_out", true).is("timed_out", false);
    let used = told.number("user_us") + told.number("system_us");
    assert!(used >= 700_000, "{:#}", told.status);
    let told = Told::of(&["--cpu-time", "200ms", "--tty", "--", "sh", "-c", BUSY]);
    told.output.exits(124);
    told.is("cpu_timed_out", true);
}

fn a_command_that_sleeps_uses_no_processor_time() {
    let told = Told::of(&[
        "--cpu-time",
        "5s",
        "--timeout",
        "100s",
        "--",
        "sleep",
        "0.5",
    ]);
    told.output.exits(0);
    told.is("cpu_timed_out", false);
}

fn each_process_has_the_kernels_limit_too() {
    let limits = |words: &[&str]| {
        let ask = ["--", "sh", "-c", "ulimit -St; ulimit -Ht"];
        run(warren(["run"]).args(words).args(ask))
    };
    limits(&["--cpu-time", "1500ms"]).says("2\n7");
    limits(&[]).says("unlimited\nunlimited");
}

fn durations_and_signals_are_checked_first() {
    for (option, value, words) in [
        ("--timeout", "1d", "a number with ms, s, m or h"),
        ("--timeout", "0", "a limit of no time"),
        ("--timeout", "1s:FOO", "unknown signal 'FOO'"),
        ("--cpu-time", "-1s", ""),
        ("--cpu-time", "soon", "a number with ms, s, m or h"),
    ] {
        let words_of = format!("{option}={value}");
        run(&mut warren(["run", &words_of, "--", "true"])).is_refused(words);
    }
}

/// A control group of little memory, removed when dropped.
struct Small(PathBuf);

impl Small {
    fn make() -> Self {
        const MOST: &str = "67108864";
        let name = format!("warren-small-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (folder, files) = if v1.exists() {
            let files = [("memory.limit_in_bytes", MOST), ("memory.swappiness", "0")];
            (v1.join(name), files)
        } else {
            let root = Path::new("/sys/fs/cgroup");
            // Handed down already where systemd runs.
            fs::write(root.join("cgroup.subtree_control"), "+memory")
                .expect("handed down");
            (
                root.join(name),
                [("memory.max", MOST), ("memory.swap.max", "0")],
            )
        };
        fs::create_dir(&folder).expect("make a control group");
        let small = Self(folder);
        for (file, value) in files {
            // Swap may not be accounted.
            let written = fs::write(small.0.join(file), value);
            assert!(
                written.is_ok() || file.contains("swap"),
                "{file}: {written:?}"
            );
        }
        small
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        warren_testkit::eventually("an empty group", || fs::remove_dir(&self.0).is_ok());
    }
}

fn a_command_that_was_killed_for_want_of_memory_is_told() {
    let small = Small::make();
    let within = |script: &str| {
        let script = format!(
            "echo $$ >{}/cgroup.procs; exec {} run --json-status status -- {script}",
            small.0.display(),
            staged("warren").display()
        );
        let output = run(program("sh").args(["-c", &script]));
        let status = Told::read(&scratch().join("status"), &output);
        Told { output, status }
    };
    let told = within("perl -e '$x = \"x\" x 200_000_000'");
    told.output.exits(137);
    told.is("signal", 9).is("oom_killed", true);
    let told = within("sh -c 'kill -9 $$'");
    told.is("signal", 9).is("oom_killed", false);
}
