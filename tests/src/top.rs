//! `warren top`: what containers and kept namespaces use, live.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use warren_testkit::{Running, Test, Tmux, program, run, tests, warren};

use crate::limits::init_of;

pub const TESTS: &[Test] = tests! {
    Both:
        what_computes_has_a_processor_and_what_sleeps_has_none,
        a_table_is_printed_once,
        an_unknown_column_is_refused,
        the_screen_is_sorted_by_keys;
    User:
        what_may_not_be_read_is_told;
    Root:
        a_group_of_its_own_is_counted_by_the_kernel,
        what_a_container_receives_is_counted;
};

/// Processes in namespaces of their own, without a control group of their own.
fn unshared(script: &str) -> Command {
    let mut command = program("unshare");
    command.args(["--user", "--map-root-user", "--uts", "sh", "-c", script]);
    command
}

/// The rows of one look after `time`.
fn rows(time: &str) -> Vec<Value> {
    let output = run(&mut warren([
        "top",
        "--json",
        "--count",
        "1",
        "--interval",
        time,
    ]));
    let lines: Vec<&str> = output.succeeds().lines().collect();
    assert_eq!(lines.len(), 1, "{output}");
    let json: Value = serde_json::from_str(lines[0]).expect("a line of JSON");
    assert_eq!(json["version"], 1);
    json["rows"].as_array().expect("a list").clone()
}

fn row_of(rows: &[Value], pid: u64) -> &Value {
    let found = rows.iter().find(|row| row["pid"] == pid);
    found.unwrap_or_else(|| panic!("no row of {pid}: {rows:?}"))
}

fn what_computes_has_a_processor_and_what_sleeps_has_none() {
    let mut busy = Running::start(&mut unshared("echo $$; while :; do :; done"));
    let mut idle = Running::start(&mut unshared("echo $$; exec sleep 1000"));
    let [of_busy, of_idle] = [&mut busy, &mut idle]
        .map(|running| running.line().parse::<u64>().expect("a pid"));
    let rows = rows("2s");
    let (computes, sleeps) = (row_of(&rows, of_busy), row_of(&rows, of_idle));
    // Others compute as well.
    let share = computes["cpu_percent"].as_f64().expect("a number");
    assert!((5.0..=110.0).contains(&share), "{computes}");
    assert!(
        sleeps["cpu_percent"].as_f64().expect("a number") < 1.0,
        "{sleeps}"
    );
    for row in [computes, sleeps] {
        assert!(row["memory"].as_u64() > Some(0), "{row}");
        // The harness is in the same group.
        assert_eq!(row["counted"], "processes", "{row}");
        assert_eq!(row["net_sent"], Value::Null, "the network is the host's");
    }
    let place = |pid: u64| rows.iter().position(|row| row["pid"] == pid);
    assert!(place(of_busy) < place(of_idle), "the most is first");
    for running in [busy, idle] {
        running.signal(Signal::KILL);
        running.ends();
    }
}

fn a_table_is_printed_once() {
    let running = Running::start(&mut unshared("exec sleep 1000"));
    let output = run(&mut warren(["top", "--once", "--interval", "100ms"]));
    let text = output.succeeds();
    assert!(text.starts_with("    PID PROCS  USER"), "{output}");
    assert!(text.lines().count() > 1, "{output}");
    running.signal(Signal::KILL);
    running.ends();
}

fn an_unknown_column_is_refused() {
    run(&mut warren(["top", "--sort", "size"])).is_refused("cpu memory io net");
}

fn the_screen_is_sorted_by_keys() {
    let terminal = Tmux::start(&warren(["top", "--interval", "200ms"]));
    terminal.shows("by cpu");
    terminal.type_keys(&["m"]);
    terminal.shows("by memory");
    terminal.type_keys(&["s"]);
    terminal.shows("by io");
    terminal.type_keys(&["?"]);
    terminal.shows("sort by CPU, memory");
    terminal.type_keys(&["Escape", "q"]);
    terminal.shows("[exit 0]");
}

/// Root's processes show an ordinary user neither their namespaces nor what they read.
fn what_may_not_be_read_is_told() {
    let mut other = Running::start(&mut unshared(
        "echo $$; exec setpriv --no-new-privs sleep 1000",
    ));
    let pid: u64 = other.line().parse().expect("a pid");
    let rows = rows("100ms");
    let row = row_of(&rows, pid);
    assert_eq!(row["partial"], row["io_read"].is_null(), "{row}");
    other.signal(Signal::KILL);
    other.ends();
}

/// Where a hierarchy has no group of its own for it, as v1 has none of what is not limited,
/// its processes are counted, and not the machine.
fn a_group_of_its_own_is_counted_by_the_kernel() {
    let script = "echo started; while :; do :; done";
    let words = [
        "run", "--memory", "64M", "--cpus", "0.3", "--", "sh", "-c", script,
    ];
    let mut running = Running::start(&mut warren(words));
    assert_eq!(running.line(), "started");
    let init = init_of(running.pid()).parse().expect("a pid");
    let rows = rows("3s");
    let row = row_of(&rows, init);
    let share = row["cpu_percent"].as_f64().expect("a number");
    assert!((5.0..45.0).contains(&share), "{row}");
    let memory = row["memory"].as_u64().expect("a number");
    assert!((1..64 << 20).contains(&memory), "{row}");
    running.signal(Signal::TERM);
    running.ends();
}

fn what_a_container_receives_is_counted() {
    let script = "ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up
        ip addr add 10.9.0.1/24 dev v0; echo $$; exec python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
while True: s.sendto(bytes(1000), (\"10.9.0.255\", 9)); time.sleep(0.01)'";
    let mut command = program("unshare");
    let mut running = Running::start(command.args(["--net", "sh", "-c", script]));
    let pid: u64 = running.line().parse().expect("a pid");
    let rows = rows("2s");
    let row = row_of(&rows, pid);
    for way in ["net_received", "net_sent"] {
        let bytes = row[way].as_u64().expect("a number");
        assert!((2_000..250_000).contains(&bytes), "{way}: {row}");
    }
    running.signal(Signal::KILL);
    running.ends();
}
