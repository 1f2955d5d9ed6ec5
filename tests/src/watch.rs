//! `warren watch`: namespaces and processes as they come and go.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use warren_testkit::{
    Running, Test, Tmux, eventually, program, run, scratch, staged, tests, warren,
};

pub const TESTS: &[Test] = tests! {
    Both:
        a_namespace_that_comes_and_goes_is_two_lines,
        looks_are_counted_and_each_line_is_json,
        a_reader_that_goes_away_ends_it_quietly,
        a_wrong_interval_is_refused,
        the_screen_shows_and_finds_what_is_new,
        the_screen_follows_its_size,
        a_command_has_the_terminal_meanwhile,
        quitting_and_signals_give_the_terminal_back;
};

/// A process called `burrower` in a uts namespace of its own.
fn burrower() -> Command {
    let program_file = scratch().join("burrower");
    if !program_file.exists() {
        fs::copy("/bin/sleep", &program_file).expect("copy a program");
    }
    let mut command = program("unshare");
    command.args(["--user", "--map-root-user", "--uts"]);
    command.args([
        "sh",
        "-c",
        "echo $$; readlink /proc/self/ns/uts; exec \"$0\" 1000",
    ]);
    command.arg(program_file);
    command
}

/// Starts one; gives its pid and the inode of its namespace.
fn start_burrower() -> (Running, u64, u64) {
    let mut running = Running::start(&mut burrower());
    let pid = running.line().parse().expect("a pid");
    let link = running.line();
    let inode = link
        .trim_start_matches("uts:[")
        .trim_end_matches(']')
        .parse();
    (running, pid, inode.expect("an inode"))
}

/// Reads events until one is about this namespace.
fn event_of(watch: &mut Running, event: &str, inode: u64) -> Value {
    loop {
        let line = watch.line();
        let json: Value = serde_json::from_str(&line).expect("a line of JSON");
        if json["event"] == event && json["inode"] == inode {
            return json;
        }
    }
}

fn a_namespace_that_comes_and_goes_is_two_lines() {
    let mut watch = Running::start(&mut warren(["watch", "--interval", "50ms", "uts"]));
    let first: Value = serde_json::from_str(&watch.line()).expect("a line of JSON");
    assert_eq!(
        (&first["event"], &first["version"]),
        (&"there".into(), &1.into())
    );
    let (running, pid, inode) = start_burrower();
    let made = event_of(&mut watch, "made", inode);
    assert_eq!((&made["kind"], &made["pid"]), (&"uts".into(), &pid.into()));
    running.signal(Signal::KILL);
    assert_eq!(running.ends(), 137);
    let gone = event_of(&mut watch, "gone", inode);
    assert!(gone["seen"].is_number(), "{gone}");
}

fn looks_are_counted_and_each_line_is_json() {
    let output = run(&mut warren(["watch", "--interval", "20ms", "--count", "3"]));
    let mut events = output.succeeds().lines().map(|line| {
        let json: Value = serde_json::from_str(line).expect("a line of JSON");
        json["event"].as_str().expect("a word").to_owned()
    });
    assert_eq!(events.next().as_deref(), Some("there"), "{output}");
    let known = ["there", "made", "gone", "entered", "left"];
    assert!(
        events.all(|event| known.contains(&event.as_str())),
        "{output}"
    );
}

/// Nothing has to happen on the machine for it to be noticed.
fn a_reader_that_goes_away_ends_it_quietly() {
    let warren = staged("warren");
    let script = format!(
        "{{ {} watch --interval 9s user; echo code $? >&2; }} | head -n 1",
        warren.display()
    );
    let output = run(program("sh").args(["-c", &script]));
    let said = output.stderr.trim_end();
    output.expect("silence", said == "code 0" || said == "code 141");
}

fn a_wrong_interval_is_refused() {
    let output = run(&mut warren(["watch", "--interval", "1x"]));
    output.is_refused("there are ms, s, m");
    run(&mut warren(["watch", "--count", "0"])).is_refused("--count");
}

fn screen() -> Tmux {
    let terminal = Tmux::start(&warren(["watch", "--interval", "100ms"]));
    terminal.shows("warren watch");
    terminal
}

fn the_screen_shows_and_finds_what_is_new() {
    let terminal = screen();
    let (running, pid, inode) = start_burrower();
    terminal.type_keys(&["/", "burrower"]);
    terminal.shows("/burrower");
    eventually("a new one, marked", || {
        let screen = terminal.screen();
        let mut lines = screen.lines();
        lines.any(|line| line.starts_with('+') && line.contains(&pid.to_string()))
    });
    terminal.type_keys(&["Enter", "Right"]);
    terminal.shows(&format!("   uts:{inode}"));
    running.signal(Signal::KILL);
    assert_eq!(running.ends(), 137);
    // Marked at first; on a slow machine the mark can be over between two looks.
    eventually("it to be gone, or marked as gone", || {
        let (screen, pid) = (terminal.screen(), pid.to_string());
        let mut lines = screen.lines();
        !lines.any(|line| !line.starts_with('-') && line.contains(&pid))
    });
    terminal.type_keys(&["Escape", "?"]);
    terminal.shows("search in names");
    terminal.type_keys(&["x", "q"]);
    terminal.shows("[exit 0]");
}

fn the_screen_follows_its_size() {
    let terminal = screen();
    terminal.resize(150, 40);
    eventually("the last line of forty", || {
        let screen = terminal.screen();
        screen
            .lines()
            .nth(39)
            .is_some_and(|line| line.starts_with("Enter show"))
    });
    terminal.resize(30, 8);
    eventually("the last line of eight", || {
        let screen = terminal.screen();
        screen
            .lines()
            .nth(7)
            .is_some_and(|line| line.starts_with("Enter show"))
    });
    terminal.type_keys(&["q"]);
    terminal.shows("[exit 0]");
}

fn a_command_has_the_terminal_meanwhile() {
    let (running, _, _) = start_burrower();
    let terminal = screen();
    terminal.type_keys(&["/", "burrower"]);
    terminal.shows("─ burrower");
    terminal.type_keys(&["Enter", "e"]);
    eventually("a prompt", || {
        let screen = terminal.screen();
        let prompt = screen.trim_end();
        !screen.contains("warren watch") && prompt.ends_with(['#', '$'])
    });
    terminal.type_line("echo $((40 + 2)) in $(readlink /proc/$$/ns/uts | cut -c 1-4)");
    terminal.shows_line("42 in uts:");
    terminal.type_line("exit");
    terminal.shows("warren watch");
    terminal.type_keys(&["q"]);
    terminal.shows("[exit 0]");
    drop(running);
}

fn quitting_and_signals_give_the_terminal_back() {
    let warren = staged("warren");
    let pid_file = scratch().join("pid");
    let script = format!(
        "trap : INT
        sh -c 'echo $$ > {}; exec {} watch --interval 100ms'
        echo code $?; stty -a; sleep 1000",
        pid_file.display(),
        warren.display()
    );
    type Ending = (&'static str, fn(&Tmux, Pid));
    let endings: [Ending; 4] = [
        ("code 0", |terminal, _| terminal.type_keys(&["q"])),
        ("code 0", |terminal, _| terminal.type_keys(&["C-c"])),
        ("code 143", |_, pid| {
            kill_process(pid, Signal::TERM).expect("kill");
        }),
        ("code 130", |_, pid| {
            kill_process(pid, Signal::INT).expect("kill");
        }),
    ];
    for (code, end) in endings {
        let terminal = Tmux::start(program("sh").args(["-c", &script]));
        terminal.shows("warren watch");
        let pid = fs::read_to_string(&pid_file).expect("the pid");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a pid");
        end(&terminal, pid);
        terminal.shows_line(code);
        terminal.shows(" icanon ");
        terminal.shows(" echo ");
        let screen = terminal.screen();
        assert!(!screen.contains("warren watch"), "{screen}");
    }
}
