//! `warren posture`: each hole is opened on purpose, and its row tells of it.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use serde_json::{Value, json};
use warren_testkit::{Output, Test, Tmux, program, run, scratch, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_default_run_holds_everywhere,
        runs_of_every_kind_hold_everywhere,
        outside_of_a_run_almost_nothing_holds,
        cve_2017_5226_works_without_the_filter,
        cve_2019_10063_works_without_the_filter,
        cve_2021_41133_works_without_the_filter,
        a_mask_can_be_taken_off_by_who_may_mount,
        the_hosts_network_opens_what_it_leads_to,
        landlock_closes_the_abstract_sockets_again,
        a_kept_descriptor_is_told,
        a_folder_kept_open_is_a_way_up,
        a_variable_of_the_caller_is_told,
        a_home_that_is_shown_is_open,
        what_is_written_to_a_copy_does_not_count,
        capabilities_open_the_calls_that_they_stand_for,
        the_callers_terminal_is_open_unless_it_gets_its_own,
        a_filter_that_kills_holds,
        a_shared_pid_namespace_is_told,
        the_agents_profile_opens_the_network_alone,
        what_is_open_is_explained,
        options_that_are_none_of_a_run_are_refused,
        nothing_is_left_behind;
    Root:
        outside_of_a_run_root_may_everything,
        the_hosts_root_inside_gets_no_more_than_its_ids;
};

fn posture(options: &[&str]) -> Command {
    let mut command = warren(["posture"]);
    command.args(options);
    command
}

/// Name, state and what was found of each row.
struct Rows(Vec<[String; 3]>, Output);

impl Rows {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let output = run(command.arg("--json"));
        let value: Value = match serde_json::from_str(&output.stdout) {
            Ok(value) => value,
            Err(error) => panic!("{error}\n{output}"),
        };
        output.expect("version 1", value["version"] == 1);
        let rows = value["rows"].as_array().cloned().unwrap_or_default();
        let rows = Self(rows.iter().map(row).collect(), output);
        let holds = rows.other_than("holds").is_empty();
        rows.1.exits(i32::from(!holds));
        rows.1.expect("holds", value["holds"] == holds);
        rows.1.expect("many rows", rows.0.len() > 50);
        rows
    }

    fn other_than(&self, state: &str) -> Vec<&str> {
        let others = self.0.iter().filter(|[_, is, _]| is != state);
        others.map(|[name, _, _]| name.as_str()).collect()
    }

    /// Expects exactly these to be open, and all others to hold.
    #[track_caller]
    fn are_open(&self, names: &[&str]) {
        let open = self.other_than("holds");
        self.1.expect(
            &format!("{names:?} to be open, not {open:?}"),
            open == names,
        );
    }

    /// Expects these to be open, others or not.
    #[track_caller]
    fn have_open(&self, names: &[&str]) {
        for name in names {
            self.1
                .expect(&format!("{name} open"), self.state(name) == "open");
        }
    }

    #[track_caller]
    fn hold(&self, names: &[&str]) {
        for name in names {
            self.1
                .expect(&format!("{name} holds"), self.state(name) == "holds");
        }
    }

    #[track_caller]
    fn state(&self, name: &str) -> &str {
        &self.row(name)[1]
    }

    #[track_caller]
    fn found(&self, name: &str) -> &str {
        &self.row(name)[2]
    }

    #[track_caller]
    fn row(&self, name: &str) -> &[String; 3] {
        match self.0.iter().find(|row| row[0] == name) {
            Some(row) => row,
            None => panic!("no row {name}\n{}", self.1),
        }
    }
}

fn row(value: &Value) -> [String; 3] {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    [text("name"), text("state"), text("found")]
}

#[track_caller]
fn rows(options: &[&str]) -> Rows {
    Rows::of(&mut posture(options))
}

/// What the probes say outside of any run: as in one whose walls are all gone.
#[track_caller]
fn without_a_run(start: &[&str], outside: &Value) -> Rows {
    let mut command = program(start.first().copied().unwrap_or("env"));
    command
        .args(start.get(1..).unwrap_or_default())
        .arg(staged("warren"))
        .args([".posture", &outside.to_string()])
        .env("SECRET", "1");
    let output = run(&mut command);
    output.exits(0);
    let lines = output.stdout.lines();
    let values = lines.map(|line| serde_json::from_str(line).unwrap_or_default());
    Rows(values.map(|value| row(&value)).collect(), output)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn namespaces() -> Vec<String> {
    let kinds = ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"];
    kinds
        .map(|kind| {
            let link = fs::read_link(format!("/proc/self/ns/{kind}"));
            link.expect("a namespace").display().to_string()
        })
        .to_vec()
}

fn the_default_run_holds_everywhere() {
    rows(&[]).are_open(&[]);
    let output = run(&mut posture(&[]));
    output.exits(0).lacks(" open ").lacks(" unknown ");
    output.has("terminal   TIOCSTI ");
}

fn runs_of_every_kind_hold_everywhere() {
    for options in [
        &["--no-init"][..],
        &["--user", "1000:1000"],
        &["--landlock"],
        &["--tty"],
        &["--clear-env"],
        &["--here"],
    ] {
        rows(options).are_open(&[]);
    }
}

fn outside_of_a_run_almost_nothing_holds() {
    let token = "a token that is in no other file";
    let file = scratch().join("private");
    fs::write(&file, token).expect("write a file");
    let socket = scratch().join("socket");
    let _socket = UnixListener::bind(&socket).expect("a new name");
    let name = format!("warren-test-posture-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a good name");
    let _abstract = UnixListener::bind_addr(&address).expect("a new name");
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let outside = json!({
        "pid": std::process::id(),
        "namespaces": namespaces(),
        "variables": ["SECRET"],
        "token": token,
        "files": [file],
        "socket": socket,
        "abstract_name": name,
        "port": port.local_addr().expect("its address").port(),
    });
    let rows = without_a_run(&["sh", "-c", "exec 9</etc/passwd; \"$@\"", "sh"], &outside);
    rows.have_open(&[
        "TIOCLINUX",
        "TIOCLINUX, high bits",
        "descriptors",
        "environment",
        "namespaces",
        "no_new_privs",
        "capabilities",
        "seccomp",
        "user namespace, unshare",
        "user namespace, clone",
        "user namespace, clone3",
        "private file",
        "writes to the host",
        "socket in a folder",
        "masks of /proc",
        "signals to the caller",
        "loopback of the host",
        "abstract sockets",
        "network of the host",
        "netlink",
        "keyrings",
        "userfaultfd",
        "swap, quotas",
        "kcmp",
        "personality",
        "modify_ldt",
    ]);
    rows.1
        .expect("SECRET", rows.found("environment") == "SECRET");
    let text = fs::read_to_string(&file).expect("the file");
    assert_eq!(text, format!("{token}written\n"));
}

/// In a pid namespace, so that pid 1 is none of the machine's.
fn outside_of_a_run_root_may_everything() {
    let start = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c"];
    let start = [&start[..], &["\"$@\"; exit $?", "sh"]].concat();
    let outside = json!({"is_root": true, "namespaces": namespaces()});
    let rows = without_a_run(&start, &outside);
    rows.have_open(&[
        "root of the host",
        "setns",
        "secrets of /etc",
        "sysctls",
        "core_pattern",
        "mknod",
        "environment of pid 1",
        "files of pid 1",
        "ptrace of pid 1",
        "packet sockets",
        "raw sockets",
        "mount",
        "newer mount calls",
        "chroot",
        "bpf",
        "perf_event_open",
        "reboot",
        "clock",
        "log of the kernel",
        "files by handle",
        "fanotify",
        "host name",
    ]);
    // Not every kernel has it.
    if fs::metadata("/proc/sysrq-trigger").is_ok() {
        rows.have_open(&["sysrq-trigger"]);
    }
}

/// The kernel's files are closed to it by masks, since their modes let it in.
fn the_hosts_root_inside_gets_no_more_than_its_ids() {
    rows(&["--map", "0:0:65536"]).are_open(&["root of the host"]);
}

/// What the kernel itself says of TIOCSTI to who has no capability.
fn has_tiocsti() -> bool {
    let setting = fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    is_root() || setting.map_or(true, |text| text.trim() != "0")
}

#[track_caller]
fn a_terminal_takes_input_without_the_filter(name: &str) {
    let outside = without_a_run(&[], &json!({}));
    if has_tiocsti() {
        let found = outside.found(name);
        outside
            .1
            .expect(found, found == "the terminal took it for input");
    } else {
        outside
            .1
            .expect("off", outside.found(name).contains("legacy_tiocsti"));
    }
    let inside = rows(&[]);
    let found = inside.found(name);
    inside.1.expect(found, found == "Operation not permitted");
}

fn cve_2017_5226_works_without_the_filter() {
    a_terminal_takes_input_without_the_filter("TIOCSTI");
}

fn cve_2019_10063_works_without_the_filter() {
    a_terminal_takes_input_without_the_filter("TIOCSTI, high bits");
}

/// With every capability over a mount namespace, as in a sandbox whose list of refused
/// calls is older than the calls.
fn cve_2021_41133_works_without_the_filter() {
    let start = ["unshare", "--user", "--map-root-user", "--mount"];
    let rows = without_a_run(&start, &json!({}));
    for name in ["open_tree", "move_mount", "fsopen", "mount_setattr"] {
        let found = rows.found("newer mount calls");
        rows.1.expect(name, found.contains(name));
    }
    self::rows(&[]).hold(&["newer mount calls", "user namespace, clone3"]);
}

fn a_mask_can_be_taken_off_by_who_may_mount() {
    let names = ["unmount of a mask", "mount", "newer mount calls"];
    rows(&["--cap-add", "SYS_ADMIN"]).have_open(&names);
    rows(&[]).hold(&names);
}

fn the_hosts_network_opens_what_it_leads_to() {
    rows(&["--share", "net"]).are_open(&[
        "namespaces",
        "loopback of the host",
        "abstract sockets",
        "network of the host",
        "netlink",
    ]);
}

fn landlock_closes_the_abstract_sockets_again() {
    let report = run(&mut warren(["run", "--report", "--json", "--", "true"]));
    let report: Value = serde_json::from_str(report.succeeds()).expect("JSON");
    let has_scopes = report["landlock_abi"].as_u64().unwrap_or(0) >= 6;
    let rows = rows(&["--share", "net", "--landlock"]);
    let state = if has_scopes { "holds" } else { "open" };
    rows.1
        .expect(state, rows.state("abstract sockets") == state);
}

/// A shell that opens a descriptor before it becomes `warren posture`.
fn with_descriptor(open: &str) -> Command {
    let script = format!("exec 7<{open}; exec \"$@\"");
    let mut shell = program("sh");
    shell.args(["-c", &script, "sh"]).arg(staged("warren"));
    shell.args(["posture", "--keep-fd", "7"]);
    shell
}

fn a_kept_descriptor_is_told() {
    let rows = Rows::of(&mut with_descriptor("/etc/passwd"));
    rows.are_open(&["descriptors"]);
    assert_eq!(rows.found("descriptors"), "7");
}

fn a_folder_kept_open_is_a_way_up() {
    let rows = Rows::of(&mut with_descriptor("/"));
    // As root, the ids inside are nobody's to the file.
    match is_root() {
        true => rows.are_open(&["descriptors"]),
        false => rows.are_open(&["descriptors", "ways up"]),
    }
}

fn a_variable_of_the_caller_is_told() {
    let mut command = posture(&["--env", "SECRET"]);
    let rows = Rows::of(command.env("SECRET", "1").env("OTHER", "2"));
    rows.are_open(&["environment"]);
    assert_eq!(rows.found("environment"), "SECRET");
}

/// As root, with the host's ids: else those inside are nobody's to what is shown.
fn with_own_ids(options: &[&str]) -> Command {
    let mut command = posture(options);
    if is_root() {
        command.args(["--map", "0:0:65536"]);
    }
    command
}

fn a_home_that_is_shown_is_open() {
    let home = staged("home").display().to_string();
    let names = ["private file", "writes to the host", "socket in a folder"];
    let rows = Rows::of(&mut with_own_ids(&["--bind", &home, &home]));
    rows.have_open(&names);
    rows.hold(&["ways up"]);
    let rows = Rows::of(&mut with_own_ids(&["--ro-bind", &home, &home]));
    rows.have_open(&["private file"]);
    rows.hold(&["writes to the host"]);
}

fn what_is_written_to_a_copy_does_not_count() {
    let mut command = with_own_ids(&["--host-root=overlay"]);
    let rows = Rows::of(command.env("HOME", "/var/tmp"));
    rows.have_open(&["private file"]);
    let found = rows.found("writes to the host");
    rows.1
        .expect(found, found == "written to a copy of the run's own");
}

fn capabilities_open_the_calls_that_they_stand_for() {
    let rows = rows(&["--cap-add", "ALL"]);
    rows.have_open(&["capabilities", "setns", "mount", "chroot", "reboot"]);
    rows.hold(&[
        "no_new_privs",
        "seccomp",
        "user namespace, clone",
        "io_uring",
        "keyrings",
        "userfaultfd",
        "TIOCSTI",
        "AF_VSOCK",
        "kernel modules",
        "clock",
    ]);
}

fn the_callers_terminal_is_open_unless_it_gets_its_own() {
    let terminal = Tmux::start(&posture(&[]));
    terminal.shows("hold, 2 open");
    drop(terminal);
    let terminal = Tmux::start(&posture(&["--tty"]));
    terminal.shows("[exit 0]");
}

fn a_filter_that_kills_holds() {
    let policy = scratch().join("policy");
    fs::write(&policy, "default allow\nkill keyctl\n").expect("write a policy");
    let policy = policy.display().to_string();
    let rows = rows(&["--seccomp", &policy]);
    rows.are_open(&[]);
    assert_eq!(rows.found("keyrings"), "a filter kills who tries");
}

fn a_shared_pid_namespace_is_told() {
    let rows = rows(&["--share", "pid"]);
    rows.have_open(&["namespaces", "masks of /proc"]);
    // As root, the ids inside are others than the caller's.
    let state = if is_root() { "holds" } else { "open" };
    rows.1
        .expect(state, rows.state("signals to the caller") == state);
}

fn the_agents_profile_opens_the_network_alone() {
    let project = scratch().join("project");
    fs::create_dir(&project).expect("make a folder");
    let mut command = posture(&["--profile", "agent"]);
    let rows = Rows::of(command.current_dir(&project));
    rows.have_open(&["loopback of the host", "network of the host"]);
    for name in rows.other_than("holds") {
        // As root, its map of one id is the host's root.
        let told = ["namespaces", "netlink", "abstract sockets"];
        rows.1
            .expect(name, name.ends_with("of the host") || told.contains(&name));
    }
}

fn what_is_open_is_explained() {
    let output = run(&mut posture(&["--cap-add", "SYS_CHROOT"]));
    output.exits(1).has("chroot ").has("hold, 2 open\n");
    output.has("--cap-add SYS_CHROOT lets it");
}

fn options_that_are_none_of_a_run_are_refused() {
    run(&mut posture(&["--plan"])).is_refused("posture: it has no --plan");
    run(&mut posture(&["--audit-json", "x"])).is_refused("no --audit-json");
    run(&mut posture(&["true"])).is_refused("takes no other");
    run(&mut posture(&["--profile", "none-such"])).is_refused("none-such");
    run(&mut warren([".posture", "no JSON"])).is_refused("not for people");
}

fn nothing_is_left_behind() {
    let home = staged("home").display().to_string();
    run(&mut posture(&[
        "--bind", &home, &home, "--bind", "/dev/shm", "/dev/shm",
    ]));
    // Not to be carried out: it fails when the files are there already.
    run(&mut posture(&["--root", "/none-such"])).is_refused("/none-such");
    for folder in [home.as_str(), "/tmp", "/dev/shm"] {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().display().to_string());
        let left: Vec<String> = names
            .filter(|name| name.starts_with(".warren-posture"))
            .collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
}
