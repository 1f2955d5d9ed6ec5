//! `warren show`: what is inside namespaces, compared with the tools that look from
//! inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use warren::NsFd;
use warren_testkit::{Running, Test, eventually, program, run, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_network_is_shown_as_ip_shows_it,
        ports_are_shown_as_ss_shows_them_with_their_process,
        names_clocks_and_maps_are_those_of_the_process,
        ipc_objects_are_shown_as_ipcs_shows_them,
        mounts_are_those_of_mountinfo,
        a_process_has_a_pid_at_each_level,
        cgroups_are_those_of_proc,
        a_mount_namespace_without_process_is_shown,
        one_namespace_of_a_target_is_shown_alone,
        a_hostile_name_does_not_reach_the_terminal,
        the_callers_own_are_shown,
        what_is_not_there_is_refused_by_name;
    User:
        a_process_of_another_user_is_shown_from_outside;
    Root:
        a_named_network_without_process_is_shown_with_its_peer,
        without_a_user_namespace_all_is_seen;
};

/// Namespaces with known content, and a process in them that listens.
pub struct Burrow {
    _unshare: Running,
    /// The pid of the process inside, as the test counts.
    pub pid: String,
}

/// `lo`, a veth pair, an address, a route, shared memory, a host name.
const CONTENT: &str = "hostname sett; ip link set lo up; \
    ip link add veth0 type veth peer name veth1; ip address add 10.1.0.1/24 dev veth0; \
    ip link set veth0 up; ip link set veth1 up; ip route add 10.9.0.0/16 via 10.1.0.7; \
    ipcmk -M 4096 >&2; ";

/// A process that listens on a port, and says when.
const LISTEN: &str = "exec perl -MIO::Socket::INET -e '$| = 1; \
    $s = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1:8123\") or die; \
    print \"ready\\n\"; sleep 1000'";

const OWN_USER: [&str; 1] = ["--map-root-user"];

impl Burrow {
    /// One in a user namespace of its own.
    pub fn dig() -> Self {
        Self::dig_with(&OWN_USER, CONTENT)
    }

    pub fn dig_with(options: &[&str], content: &str) -> Self {
        let mut command = program("unshare");
        command
            .args(["-mnupiCT", "--boottime", "1000", "--fork", "--kill-child"])
            .args(options)
            .args(["sh", "-ec", &format!("{content}{LISTEN}")]);
        let mut unshare = Running::start(&mut command);
        assert_eq!(unshare.line(), "ready");
        let outer = unshare.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let pid = children.expect("children").trim().to_owned();
        Self {
            _unshare: unshare,
            pid,
        }
    }

    /// A program run inside by nsenter, as root there.
    fn inside(&self, words: &[&str]) -> String {
        let mut command = program("nsenter");
        command.args(["--target", &self.pid, "--net", "--ipc", "--uts"]);
        let own = fs::read_link("/proc/self/ns/user").expect("a link");
        if fs::read_link(format!("/proc/{}/ns/user", self.pid)).expect("a link") != own {
            command.args(["--user", "--preserve-credentials"]);
        }
        run(command.args(words)).succeeds().to_owned()
    }
}

pub fn shown(options: &[&str]) -> Value {
    let mut command = warren(["show", "--json"]);
    let output = run(command.args(options));
    serde_json::from_str(output.succeeds()).expect("parse the JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Name, size of packets, and addresses of each interface.
type Links = BTreeSet<(String, u64, Vec<String>)>;

fn links_of_ip(burrow: &Burrow) -> Links {
    let json: Value =
        serde_json::from_str(&burrow.inside(&["ip", "-j", "address"])).expect("JSON");
    let link = |link: &Value| {
        let addresses = list(&link["addr_info"]).iter();
        let addresses = addresses
            .map(|it| format!("{}/{}", text(&it["local"]), it["prefixlen"]))
            .collect();
        let mtu = link["mtu"].as_u64().expect("a number");
        (text(&link["ifname"]), mtu, addresses)
    };
    list(&json).iter().map(link).collect()
}

fn links_of_warren(json: &Value) -> Links {
    let link = |link: &Value| {
        let addresses = list(&link["addresses"]).iter().map(text).collect();
        let mtu = link["mtu"].as_u64().expect("a number");
        (text(&link["name"]), mtu, addresses)
    };
    list(&json["net"]["inside"]["interfaces"])
        .iter()
        .map(link)
        .collect()
}

fn a_network_is_shown_as_ip_shows_it() {
    let burrow = Burrow::dig();
    // The kernel takes a moment to give links their IPv6 addresses.
    let mut last = Value::Null;
    eventually("the same links as ip shows", || {
        last = shown(&["--kinds", "net", &burrow.pid]);
        links_of_ip(&burrow) == links_of_warren(&last)
    });
    let net = &last["net"]["inside"];
    let veth0 = list(&net["interfaces"])
        .iter()
        .find(|link| link["name"] == "veth0")
        .expect("veth0");
    assert_eq!(veth0["kind"], "veth", "{veth0}");
    assert_eq!(veth0["peer"]["name"], "veth1", "{veth0}");
    assert_eq!(veth0["up"], true, "{veth0}");
    let mac = burrow.inside(&["cat", "/proc/net/dev"]);
    assert!(mac.contains("veth0"), "the oracle looks elsewhere: {mac}");
    let ours: BTreeSet<(String, String, String)> = list(&net["routes"])
        .iter()
        .filter(|route| !text(&route["destination"]).contains(':'))
        .map(|route| {
            let field = |name: &str| text(&route[name]);
            (field("destination"), field("gateway"), field("interface"))
        })
        .collect();
    let json = burrow.inside(&["ip", "-j", "-4", "route"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let theirs = list(&json).iter().map(|route| {
        let field = |name: &str| text(&route[name]);
        (field("dst"), field("gateway"), field("dev"))
    });
    assert_eq!(ours, theirs.collect());
    assert_eq!(ours.len(), 2, "{ours:?}");
}

fn ports_are_shown_as_ss_shows_them_with_their_process() {
    let burrow = Burrow::dig();
    let json = shown(&["--kinds", "net", &burrow.pid]);
    let ports = list(&json["net"]["inside"]["ports"]);
    let ours: Vec<String> = ports
        .iter()
        .map(|port| format!("{}:{}", text(&port["address"]), port["port"]))
        .collect();
    let theirs = burrow.inside(&["ss", "-Hltn"]);
    let theirs: Vec<&str> = theirs
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(3))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours, ["127.0.0.1:8123"]);
    assert_eq!(ports[0]["pid"].to_string(), burrow.pid);
    assert_eq!(ports[0]["command"], "perl");
}

fn names_clocks_and_maps_are_those_of_the_process() {
    let burrow = Burrow::dig();
    let json = shown(&[&burrow.pid]);
    assert_eq!(json["uts"]["inside"]["hostname"], "sett");
    assert_eq!(burrow.inside(&["uname", "-n"]), "sett");
    let clocks = &json["time"]["inside"];
    assert_eq!(clocks["boottime_ns"], 1_000_000_000_000_u64, "{clocks}");
    assert_eq!(clocks["monotonic_ns"], 0, "{clocks}");
    let user = &json["user"]["inside"];
    for name in ["uid_map", "gid_map"] {
        let file = fs::read_to_string(format!("/proc/{}/{name}", burrow.pid));
        let theirs = file
            .expect("readable")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let line = &list(&user[name])[0];
        let ours = format!("{} {} {}", line["inside"], line["outside"], line["count"]);
        assert_eq!(ours, theirs);
    }
    assert_eq!(user["setgroups"], "deny");
    assert_eq!(json["user"]["namespace"]["level"], 1 + level_of_caller());
    let words = run(&mut warren([
        "show",
        "--kinds",
        "user,time,uts",
        &burrow.pid,
    ]));
    words.has("hostname  sett").has("boottime   +1000 s");
    words.has("uid        0 inside is ");
}

/// In how many user namespaces the test itself runs.
fn level_of_caller() -> u64 {
    let own = shown(&["--kinds", "user", &std::process::id().to_string()]);
    own["user"]["namespace"]["level"]
        .as_u64()
        .expect("a number")
}

fn ipc_objects_are_shown_as_ipcs_shows_them() {
    let burrow = Burrow::dig();
    let json = shown(&["--kinds", "ipc", &burrow.pid]);
    let shm = list(&json["ipc"]["inside"]["shm"]);
    assert_eq!(shm.len(), 1, "{json}");
    assert_eq!(shm[0]["bytes"], 4096);
    let theirs = burrow.inside(&["ipcs", "-m"]);
    let key = shm[0]["key"].as_i64().expect("a number");
    let key = format!("{:#010x}", key as u32);
    assert!(theirs.contains(&key), "{key} is not in\n{theirs}");
    assert_eq!(json["ipc"]["inside"]["mqueues"], serde_json::json!([]));
    run(&mut warren(["show", "--kinds", "ipc", &burrow.pid])).has(&key);
}

fn mounts_are_those_of_mountinfo() {
    let burrow = Burrow::dig();
    let json = shown(&["--kinds", "mnt", &burrow.pid]);
    let path = format!("/proc/{}/mountinfo", burrow.pid);
    let file = fs::read_to_string(path).expect("readable");
    let theirs: Vec<&str> = file
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let ours: Vec<String> = list(&json["mnt"]["inside"]["mounts"])
        .iter()
        .map(|mount| mount["id"].to_string())
        .collect();
    assert_eq!(ours, theirs);
}

fn a_process_has_a_pid_at_each_level() {
    let burrow = Burrow::dig();
    let json = shown(&["--kinds", "pid", &burrow.pid]);
    let members = list(&json["pid"]["inside"]["members"]);
    assert_eq!(members.len(), 1, "{json}");
    let path = format!("/proc/{}/status", burrow.pid);
    let status = fs::read_to_string(path).expect("readable");
    let theirs = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .expect("NSpid");
    let theirs: Vec<&str> = theirs.split_whitespace().collect();
    let ours: Vec<String> = list(&members[0]["pids"])
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.last().map(String::as_str), Some("1"));
}

fn cgroups_are_those_of_proc() {
    let burrow = Burrow::dig();
    let json = shown(&["--kinds", "cgroup", &burrow.pid]);
    let path = format!("/proc/{}/cgroup", burrow.pid);
    let file = fs::read_to_string(path).expect("readable");
    let theirs: Vec<&str> = file
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .collect();
    let hierarchies = list(&json["cgroup"]["inside"]["hierarchies"]);
    let ours: Vec<String> = hierarchies.iter().map(|it| text(&it["path"])).collect();
    assert_eq!(ours, theirs);
    // The namespace was made where its process still is.
    for hierarchy in hierarchies {
        assert_eq!(hierarchy["inside"], "/", "{hierarchy}");
        assert_eq!(hierarchy["root"], hierarchy["path"], "{hierarchy}");
    }
}

fn a_mount_namespace_without_process_is_shown() {
    let content = "mount -t tmpfs -o size=4k burrow /mnt; ip link set lo up; ";
    let burrow = Burrow::dig_with(&OWN_USER, content);
    let path = PathBuf::from(format!("/proc/{}/ns/mnt", burrow.pid));
    let held = NsFd::open(&path).expect("open the namespace");
    drop(burrow);
    let name = held.to_string();
    let number = held.id().expect("an inode").inode;
    eventually("the end of the process inside", || {
        let found = shown(&[&name]);
        let namespace = &found["mnt"]["namespace"];
        assert_eq!(namespace["inode"], number);
        namespace["processes"] == 0
    });
    let found = shown(&[&name]);
    let mounts = list(&found["mnt"]["inside"]["mounts"]);
    let tmpfs = mounts.iter().find(|mount| mount["source"] == "burrow");
    assert_eq!(tmpfs.expect("the tmpfs")["mount_point"], "/mnt", "{found}");
    assert_eq!(found["net"]["inside"], Value::Null);
}

fn one_namespace_of_a_target_is_shown_alone() {
    let burrow = Burrow::dig();
    let link = fs::read_link(format!("/proc/{}/ns/net", burrow.pid)).expect("a link");
    let link = link.to_string_lossy().into_owned();
    let json = shown(&[&link]);
    assert_eq!(
        list(&json["net"]["inside"]["interfaces"]).len(),
        3,
        "{json}"
    );
    assert_eq!(json["uts"]["inside"], Value::Null);
    let output = run(&mut warren(["show", &link]));
    output.has(&link).lacks("uts:").has("veth0");
    run(&mut warren(["show", "--kinds", "uts", &link])).is_refused("no uts namespace");
}

fn a_hostile_name_does_not_reach_the_terminal() {
    // sethostname(2), which takes any byte; hostname(1) does not.
    let content = "perl -e '$n = \"a\\033[2Jb\"; syscall(170, $n, length $n) and die'; ";
    let burrow = Burrow::dig_with(&OWN_USER, content);
    let output = run(&mut warren(["show", &burrow.pid]));
    output.succeeds();
    output.has("a\\u{1b}[2Jb").lacks("\u{1b}");
    let json = shown(&["--kinds", "uts", &burrow.pid]);
    assert_eq!(json["uts"]["inside"]["hostname"], "a\u{1b}[2Jb");
}

fn the_callers_own_are_shown() {
    let own = std::process::id().to_string();
    let json = shown(&[&own]);
    assert_eq!(json["version"], 1);
    for kind in ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"] {
        assert_eq!(json[kind]["namespace"]["own"], true, "{kind}");
        assert_ne!(json[kind]["inside"], Value::Null, "{kind}");
    }
    let name = run(program("uname").arg("-n"));
    assert_eq!(text(&json["uts"]["inside"]["hostname"]), name.succeeds());
    run(&mut warren(["show", &own])).has("(this shell's)");
}

fn what_is_not_there_is_refused_by_name() {
    // The highest number that a pid can be.
    run(&mut warren(["show", "4194304"])).is_refused("4194304");
    run(&mut warren(["show", "net:[1]"])).is_refused("net:[1]");
    run(&mut warren(["show", "/nowhere/at/all"])).is_refused("/nowhere/at/all");
    run(&mut warren(["show", "--kinds", "nte", "1"])).is_refused("nte");
}

fn a_process_of_another_user_is_shown_from_outside() {
    let json = shown(&["1"]);
    let links = list(&json["net"]["inside"]["interfaces"]);
    assert!(links.iter().any(|link| link["name"] == "lo"), "{json}");
    assert_eq!(json["net"]["inside"]["whole"], false);
    assert_ne!(json["user"]["inside"], Value::Null, "{json}");
    assert_eq!(json["uts"]["inside"], Value::Null);
    let output = run(&mut warren(["show", "1"]));
    output.succeeds();
    output.has("may not be examined").has("Run as root");
}

/// A network by name, and the host's end of a link into it. Both go when it is dropped.
struct Named;

const NAMED: &str = "warren-show";

impl Named {
    fn make() -> Self {
        let named = Self;
        for words in [
            &["netns", "add", NAMED][..],
            &[
                "link", "add", "wshow0", "type", "veth", "peer", "name", "in0", "netns",
                NAMED,
            ],
        ] {
            run(program("ip").args(words)).succeeds();
        }
        named
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        run(program("ip").args(["link", "del", "wshow0"]));
        run(program("ip").args(["netns", "del", NAMED]));
    }
}

fn a_named_network_without_process_is_shown_with_its_peer() {
    let _named = Named::make();
    let path = format!("/run/netns/{NAMED}");
    let json = shown(&[&path]);
    let links = list(&json["net"]["inside"]["interfaces"]);
    let in0 = links
        .iter()
        .find(|link| link["name"] == "in0")
        .expect("in0");
    assert_eq!(in0["peer"]["name"], "wshow0", "{in0}");
    let own = fs::read_link("/proc/self/ns/net").expect("a link");
    let number = in0["peer"]["namespace"].to_string();
    assert_eq!(own.to_string_lossy(), format!("net:[{number}]"));
    assert_eq!(json["net"]["namespace"]["processes"], 0);
    run(&mut warren(["show", NAMED])).has("peer wshow0 in net:[");
}

fn without_a_user_namespace_all_is_seen() {
    let burrow = Burrow::dig_with(&[], CONTENT);
    let json = shown(&[&burrow.pid]);
    assert_eq!(json["missing"], serde_json::json!([]), "{json}");
    assert_eq!(json["uts"]["inside"]["hostname"], "sett");
    assert_eq!(json["time"]["inside"]["boottime_ns"], 1_000_000_000_000_u64);
    assert_eq!(json["user"]["namespace"]["own"], true);
    assert_eq!(list(&json["ipc"]["inside"]["shm"]).len(), 1);
}
