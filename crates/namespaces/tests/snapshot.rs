//! Snapshots of real namespaces, made by unshare(1) of util-linux without privilege.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use warren_namespaces::{
    Holder, Kind, Namespace, NamespaceSet, NsFd, NsId, Part, ProcRoot, Snapshot,
    namespaces_of,
};

/// `sleep` in new namespaces, killed at the end of the test.
struct Sleeper(Child);

impl Sleeper {
    /// `words` lead to `sleep`, which has the pid of the first of them: each executes
    /// the next.
    fn start(words: &[&str]) -> Self {
        let child = Command::new("unshare")
            .args(words)
            .args(["sleep", "60"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare(1) of util-linux is installed");
        let sleeper = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while sleeper.name() != "sleep\n" {
            let in_time = Instant::now() < deadline;
            assert!(in_time, "this machine lets this user make user namespaces");
            sleep(Duration::from_millis(5));
        }
        sleeper
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid())).expect("comm")
    }

    fn namespace(&self, kind: Kind) -> NsId {
        let proc = ProcRoot::open().expect("/proc");
        let ids = namespaces_of(&proc, self.pid()).expect("an own child");
        ids.get(kind).expect("every kind")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn find(snapshot: &Snapshot, id: NsId) -> &Namespace {
    snapshot.namespace(id).expect("the namespace is found")
}

#[test]
fn a_process_is_in_its_own_namespaces_and_in_a_group_of_its_own() {
    let sleeper = Sleeper::start(&["--user", "--map-root-user", "--uts"]);
    let snapshot = Snapshot::take().expect("a snapshot");
    let pid = sleeper.pid();
    for kind in [Kind::User, Kind::Uts] {
        let namespace = find(&snapshot, sleeper.namespace(kind));
        assert_eq!((namespace.pid, namespace.processes), (Some(pid), 1));
        assert_eq!(namespace.held_by[0], Holder::Process { pid });
    }
    let groups = snapshot.groups(NamespaceSet::ALL);
    let group = groups.iter().find(|group| group.first.pid == pid);
    let group = group.expect("its group");
    assert_eq!(group.processes, 1);
    assert_eq!(group.first.command.as_deref(), Some("sleep 60"));
}

#[test]
fn a_user_namespace_without_processes_is_found_through_what_it_owns() {
    let nested = ["--user", "--map-root-user", "unshare", "--user", "--uts"];
    let sleeper = Sleeper::start(&nested);
    let snapshot = Snapshot::take().expect("a snapshot");
    let inner = find(&snapshot, sleeper.namespace(Kind::User));
    let outer = find(&snapshot, inner.parent.expect("a parent in sight"));
    assert_eq!((outer.kind, outer.processes), (Kind::User, 0));
    let child = Holder::Child {
        kind: Kind::User,
        id: inner.id,
    };
    assert_eq!(outer.held_by, [child]);
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(outer.owner_uid, Some(uid));
    let mut empty = snapshot.empty(NamespaceSet::ALL);
    assert!(empty.any(|namespace| namespace.id == outer.id));
}

#[test]
fn a_namespace_that_only_a_descriptor_keeps_is_found() {
    let mut sleeper = Sleeper::start(&["--user", "--uts"]);
    let id = sleeper.namespace(Kind::Uts);
    let link = PathBuf::from(format!("/proc/{}/ns/uts", sleeper.pid()));
    let held = NsFd::open(&link).expect("an own child's");
    sleeper.0.kill().expect("kill");
    sleeper.0.wait().expect("wait");

    let snapshot = Snapshot::take().expect("a snapshot");
    let namespace = find(&snapshot, id);
    assert_eq!((namespace.processes, namespace.pid), (0, None));
    let own = std::process::id();
    let by_us =
        |holder: &Holder| matches!(holder, Holder::Descriptor { pid, .. } if *pid == own);
    assert!(namespace.held_by.iter().any(by_us), "{namespace:?}");
    let owner = find(&snapshot, namespace.owner.expect("an owner"));
    assert_eq!((owner.kind, owner.processes), (Kind::User, 0));
    drop(held);
}

#[test]
fn processes_that_die_meanwhile_cost_only_themselves() {
    let mut storm = Command::new("sh")
        .args(["-c", "while :; do /bin/true & /bin/true & wait; done"])
        .spawn()
        .expect("sh");
    for _ in 0..100 {
        let snapshot = Snapshot::take().expect("a snapshot");
        assert!(snapshot.process(std::process::id()).is_some());
        // One that is said to be unreadable has not just died.
        for unreadable in &snapshot.unreadable {
            if let Part::Process { pid } = unreadable.part {
                let is_there = fs::exists(format!("/proc/{pid}/stat"));
                assert!(is_there.expect("/proc"), "{unreadable:?}");
            }
        }
    }
    storm.kill().expect("kill");
    storm.wait().expect("wait");
}
