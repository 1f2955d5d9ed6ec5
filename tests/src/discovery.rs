//! `Snapshot`: every way in which a namespace can be kept alive, provoked one by one.
//!
//! Each test is a process of its own with one thread, so it may move itself into other
//! namespaces.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::mount::MountPropagationFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, Signal, kill_process};
use warren::namespaces::{
    Holder, MountScope, Namespace, NsId, Part, ProcRoot, Scope, Snapshot, View,
};
use warren::{Kind, NsFd};
use warren_testkit::{
    Running, Test, eventually, patience, program, run, scratch, tests, warren,
};

pub const TESTS: &[Test] = tests! {
    Both:
        a_process_holds,
        a_descriptor_holds,
        the_next_childrens_time_namespace_is_found,
        the_next_childrens_pid_namespace_is_found,
        a_parent_and_an_owner_without_process_are_found,
        a_mount_in_another_mount_namespace_holds,
        one_process_is_read_without_the_others,
        the_members_of_one_processes_namespaces_are_counted,
        a_scope_asks_no_more_than_it_says,
        a_label_is_read,
        fork_and_namespace_churn_fails_no_snapshot;
    User:
        what_a_user_cannot_read_is_told,
        an_own_socket_holds_for_a_user;
    Root:
        a_thread_holds,
        a_socket_holds,
        a_mount_in_the_own_mount_namespace_holds,
        a_mount_that_is_covered_holds,
        a_mount_that_a_chroot_hides_holds,
        mounts_in_mount_namespaces_without_process_hold,
        the_maker_of_a_namespace_without_process_is_known,
        a_kernel_without_the_newer_calls_is_told_of;
    Newer:
        a_descriptor_in_flight_is_listed_by_the_kernel,
        what_only_another_filesystem_holds_the_kernel_does_not_list,
        all_that_the_kernel_lists_is_found;
};

#[track_caller]
fn take() -> Snapshot {
    Snapshot::take().expect("a snapshot")
}

fn own_pid() -> u32 {
    std::process::id()
}

/// The namespace of a process.
#[track_caller]
fn open(pid: u32, kind: Kind) -> NsFd {
    let path = format!("/proc/{pid}/ns/{kind}");
    NsFd::open(Path::new(&path)).unwrap_or_else(|errno| panic!("open {path}: {errno}"))
}

#[track_caller]
fn id_of(pid: u32, kind: Kind) -> NsId {
    open(pid, kind).id().expect("fstat")
}

#[track_caller]
fn found(snapshot: &Snapshot, id: NsId) -> &Namespace {
    match snapshot.namespace(id) {
        Some(namespace) => namespace,
        None => panic!(
            "{id:?} was not found; unreadable: {:?}",
            snapshot.unreadable
        ),
    }
}

/// Expects a namespace that no process is in to be held in this one way.
#[track_caller]
fn is_held_only(snapshot: &Snapshot, id: NsId, holder: &Holder) {
    let namespace = found(snapshot, id);
    assert_eq!(namespace.processes, 0, "{namespace:?}");
    assert_eq!(namespace.held_by, std::slice::from_ref(holder));
}

#[track_caller]
fn unshare_here(kind: Kind) {
    warren_sys::unshare(kind.clone_flag()).expect("unshare");
}

/// What unshare(1) needs to be told so that this user may do it.
fn mapped() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    }
}

/// A shell in new namespaces that has said `ready` and waits.
struct Burrow(Running);

impl Burrow {
    #[track_caller]
    fn dig(options: &[&str], script: &str) -> Self {
        let script = format!("{script}\necho ready; exec sleep 1000");
        let mut unshare = program("unshare");
        unshare.args(mapped()).args(options);
        let mut shell = Running::start(unshare.args(["sh", "-ec", &script]));
        assert_eq!(shell.line(), "ready");
        let comm = format!("/proc/{}/comm", raw(&shell));
        eventually("the shell to become sleep", || {
            fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
        });
        Self(shell)
    }

    fn pid(&self) -> u32 {
        raw(&self.0)
    }
}

/// A network namespace, open here, in which nothing is.
#[track_caller]
fn kept_by_descriptor() -> NsFd {
    let burrow = Burrow::dig(&["--net"], "");
    open(burrow.pid(), Kind::Net)
}

fn a_process_holds() {
    let burrow = Burrow::dig(&["--net", "--uts"], "");
    let snapshot = take();
    for kind in [Kind::Net, Kind::Uts] {
        let namespace = found(&snapshot, id_of(burrow.pid(), kind));
        let pid = burrow.pid();
        assert_eq!((namespace.processes, namespace.pid), (1, Some(pid)));
        assert_eq!(namespace.held_by, [Holder::Process { pid }]);
    }
}

fn a_thread_holds() {
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            unshare_here(Kind::Net);
            let own = NsFd::open(Path::new("/proc/thread-self/ns/net")).expect("own");
            let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
            tell.send((own.id().expect("fstat"), tid)).expect("send");
            drop(own);
            // Until the other side has looked.
            let _ = ended.recv();
        });
        let (id, tid) = told.recv().expect("the thread says it");
        let snapshot = take();
        let pid = own_pid();
        is_held_only(&snapshot, id, &Holder::Thread { pid, tid });
        drop(end);
    });
}

fn a_descriptor_holds() {
    let held = kept_by_descriptor();
    let snapshot = take();
    let holder = Holder::Descriptor {
        pid: own_pid(),
        fd: held.as_fd().as_raw_fd() as u32,
    };
    is_held_only(&snapshot, held.id().expect("fstat"), &holder);
}

/// Makes a socket in a new network namespace, which only it then holds.
#[track_caller]
fn socket_elsewhere() -> (UnixStream, NsId) {
    let home = open(own_pid(), Kind::Net);
    unshare_here(Kind::Net);
    let id = id_of(own_pid(), Kind::Net);
    let (socket, _) = UnixStream::pair().expect("socketpair");
    warren_sys::setns(home.as_fd(), 0).expect("back");
    (socket, id)
}

fn a_socket_holds() {
    let (socket, id) = socket_elsewhere();
    let holder = Holder::Socket {
        pid: own_pid(),
        fd: socket.as_raw_fd() as u32,
    };
    is_held_only(&take(), id, &holder);
}

fn an_own_socket_holds_for_a_user() {
    // Only of network namespaces that its own user namespace owns may a user ask.
    warren_sys::unshare(Kind::User.clone_flag() | Kind::Net.clone_flag())
        .expect("a user namespace");
    a_socket_holds();
}

fn a_mount_in_the_own_mount_namespace_holds() {
    let held = kept_by_descriptor();
    let id = held.id().expect("fstat");
    let place = mount_here(&held);
    drop(held);
    let holder = Holder::Mount {
        path: place,
        namespace: None,
    };
    is_held_only(&take(), id, &holder);
}

/// Mounts it on a file of the scratch folder, in a mount namespace of this test's own.
#[track_caller]
fn mount_here(namespace: &NsFd) -> std::path::PathBuf {
    unshare_here(Kind::Mnt);
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change("/", private).expect("make / private");
    let place = scratch().join("a namespace");
    File::create(&place).expect("a file to mount on");
    let source = format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd());
    rustix::mount::mount_bind(source, &place).expect("bind");
    place
}

/// In a mount namespace of its own: /tmp is new, and has a network namespace on /tmp/net
/// that nothing else holds, whose inode it says.
const MOUNTED: &str = "mount -t tmpfs none /tmp; : > /tmp/net
    unshare --net=/tmp/net true; stat -c %i /tmp/net";

/// A shell with [`MOUNTED`], and the network namespace.
#[track_caller]
fn mounted_elsewhere(then: &str) -> (Running, NsId) {
    let script = format!("{MOUNTED}\n{then}");
    let mut unshare = program("unshare");
    unshare.args(mapped());
    unshare.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
    let mut shell = Running::start(&mut unshare);
    let inode = shell.line().parse().expect("an inode");
    assert_eq!(shell.line(), "ready");
    let device = id_of(own_pid(), Kind::Net).device;
    (shell, NsId { device, inode })
}

const WAIT: &str = "echo ready; exec sleep 1000";

fn raw(shell: &Running) -> u32 {
    shell.pid().as_raw_nonzero().get() as u32
}

fn a_mount_in_another_mount_namespace_holds() {
    let (shell, id) = mounted_elsewhere(WAIT);
    let snapshot = take();
    let holder = Holder::Mount {
        path: "/tmp/net".into(),
        namespace: Some(id_of(raw(&shell), Kind::Mnt)),
    };
    is_held_only(&snapshot, id, &holder);
    let owner = found(&snapshot, id).owner.expect("it could be asked");
    assert_eq!(owner, id_of(raw(&shell), Kind::User));
}

fn a_mount_that_is_covered_holds() {
    let (shell, id) = mounted_elsewhere(&format!("mount -t tmpfs none /tmp\n{WAIT}"));
    let snapshot = take();
    let holder = Holder::Mount {
        path: "/tmp/net".into(),
        namespace: Some(id_of(raw(&shell), Kind::Mnt)),
    };
    is_held_only(&snapshot, id, &holder);
    // It cannot be reached, and that is said; a kernel that lists it opens it.
    let kind = Kind::Net;
    let part = Part::Relations { kind, id };
    let untold = snapshot.unreadable.iter().any(|hole| hole.part == part);
    assert_eq!(untold, !snapshot.kernel_list);
}

fn a_mount_that_a_chroot_hides_holds() {
    // Without the mounts on it, the tree of / has no /tmp/net.
    let (shell, id) = mounted_elsewhere(
        "mkdir /tmp/root; mount --bind / /tmp/root
         echo ready; exec chroot /tmp/root sleep 1000",
    );
    let root = format!("/proc/{}/root", raw(&shell));
    eventually("chroot to happen", || {
        fs::read_link(&root).is_ok_and(|root| root != Path::new("/"))
    });
    let snapshot = take();
    let holder = Holder::Mount {
        path: "/tmp/net".into(),
        namespace: Some(id_of(raw(&shell), Kind::Mnt)),
    };
    is_held_only(&snapshot, id, &holder);
}

fn mounts_in_mount_namespaces_without_process_hold() {
    // The inner mount namespace is mounted in the outer, the network one in the inner;
    // in the end a descriptor of this process is all that holds the three.
    let inner = format!(
        "unshare --mount=/tmp/mnt --propagation private sh -ec '
            {MOUNTED}'"
    );
    let script = format!(
        "mount -t tmpfs none /tmp; mount --make-private /tmp; : > /tmp/mnt
         {inner}; stat -c %i /tmp/mnt; {WAIT}"
    );
    // KERNEL(6.18): the ids by which the kernel tells the older are given out per CPU.
    let mut taskset = program("taskset");
    taskset.args(["--cpu-list", "0", "unshare", "--mount", "--propagation"]);
    taskset.args(["private", "sh", "-ec", &script]);
    let mut shell = Running::start(&mut taskset);
    let net: u64 = shell.line().parse().expect("the inode of the network's");
    let mnt: u64 = shell
        .line()
        .parse()
        .expect("the inode of the inner mounts'");
    assert_eq!(shell.line(), "ready");
    let outer = open(raw(&shell), Kind::Mnt);
    let outer_id = outer.id().expect("fstat");
    let device = outer_id.device;
    drop(shell);
    let snapshot = take();
    let descriptor = Holder::Descriptor {
        pid: own_pid(),
        fd: outer.as_fd().as_raw_fd() as u32,
    };
    is_held_only(&snapshot, outer_id, &descriptor);
    let in_outer = Holder::Mount {
        path: "/tmp/mnt".into(),
        namespace: Some(outer_id),
    };
    let inner_id = NsId { device, inode: mnt };
    is_held_only(&snapshot, inner_id, &in_outer);
    let in_inner = Holder::Mount {
        path: "/tmp/net".into(),
        namespace: Some(inner_id),
    };
    is_held_only(&snapshot, NsId { device, inode: net }, &in_inner);
}

fn the_next_childrens_time_namespace_is_found() {
    let mut shell = Running::start(program("unshare").args(mapped()).args([
        "--time",
        "--kill-child",
        "sh",
        "-c",
        "echo ready; exec sleep 1000",
    ]));
    assert_eq!(shell.line(), "ready");
    let pid = raw(&shell);
    let link = format!("/proc/{pid}/ns/time_for_children");
    let next = NsFd::open(Path::new(&link)).expect("unshare(1)'s own");
    let snapshot = take();
    let holder = Holder::NextChildren { pid, tid: pid };
    let namespace = found(&snapshot, next.id().expect("fstat"));
    assert!(namespace.held_by.contains(&holder), "{namespace:?}");
    assert_ne!(namespace.pid, Some(pid));
}

fn the_next_childrens_pid_namespace_is_found() {
    // Its first process ends at once, and with it the namespace is of no use, but there.
    let burrow = Burrow::dig(&["--pid"], "/bin/true");
    let pid = burrow.pid();
    let link = format!("/proc/{pid}/ns/pid_for_children");
    let next = NsFd::open(Path::new(&link)).expect("the shell's own");
    let id = next.id().expect("fstat");
    drop(next);
    is_held_only(&take(), id, &Holder::NextChildren { pid, tid: pid });
}

fn a_parent_and_an_owner_without_process_are_found() {
    let script = "exec unshare --user --map-root-user --pid --fork --kill-child \
        unshare --pid --fork --kill-child sh -c 'echo ready; exec sleep 1000'";
    let mut unshare = program("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c", script]);
    let mut shell = Running::start(&mut unshare);
    assert_eq!(shell.line(), "ready");
    let snapshot = take();
    let inner = id_of(raw(&shell), Kind::User);
    let outer = found(&snapshot, inner).parent.expect("it has a parent");
    let child = Holder::Child {
        kind: Kind::User,
        id: inner,
    };
    is_held_only(&snapshot, outer, &child);
    let of_shell = |one: &&Namespace| one.kind == Kind::Pid && one.owner == Some(inner);
    let pids: Vec<&Namespace> = snapshot.namespaces.iter().filter(of_shell).collect();
    let [a, b] = pids.as_slice() else {
        panic!("two pid namespaces, not {pids:?}");
    };
    assert!(a.parent == Some(b.id) || b.parent == Some(a.id));
}

fn the_maker_of_a_namespace_without_process_is_known() {
    let uid = warren_testkit::ORDINARY_USER.to_string();
    let mut setpriv = program("setpriv");
    setpriv.args([
        "--reuid",
        &uid,
        "--regid",
        &uid,
        "--clear-groups",
        "unshare",
    ]);
    setpriv.args(["--user", "--net", "sh", "-c", WAIT]);
    let mut shell = Running::start(&mut setpriv);
    assert_eq!(shell.line(), "ready");
    let held = open(raw(&shell), Kind::Net);
    drop(shell);
    let snapshot = take();
    let namespace = found(&snapshot, held.id().expect("fstat"));
    assert_eq!((namespace.processes, namespace.owner_uid), (0, None));
    let maker = Some(warren_testkit::ORDINARY_USER);
    assert_eq!(snapshot.maker(namespace), maker);
}

fn what_a_user_cannot_read_is_told() {
    let snapshot = take();
    let of_root = fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let is_process = name.to_string_lossy().parse::<u32>().is_ok();
            is_process && fs::read_link(entry.path().join("ns/net")).is_err()
        });
    let holes = snapshot.unreadable.iter();
    let told = holes
        .filter(|hole| matches!(hole.part, Part::Process { .. }))
        .count();
    assert!(told > 0 && told.abs_diff(of_root.count()) < 20, "{told}");
    let listed = run(&mut warren(["ls"]));
    listed.has("not readable");
}

fn one_process_is_read_without_the_others() {
    let burrow = Burrow::dig(&["--net", "--uts"], "");
    let proc = ProcRoot::open().expect("/proc");
    let pid = burrow.pid();
    let snapshot = Snapshot::of_process(&proc, pid).expect("it is there");
    let pids: Vec<u32> = snapshot
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    assert_eq!(pids, [pid]);
    let process = &snapshot.processes[0];
    assert_eq!(process.command.as_deref(), Some("sleep 1000"));
    for (kind, id) in process.namespaces.iter() {
        assert_eq!(id, id_of(pid, kind));
        assert_eq!(found(&snapshot, id).pid, Some(pid));
    }
    let net = id_of(pid, Kind::Net);
    assert_eq!(found(&snapshot, net).owner, Some(id_of(pid, Kind::User)));
    drop(burrow);
    let error = Snapshot::of_process(&proc, pid).expect_err("it is gone");
    assert_eq!(error.errno(), rustix::io::Errno::SRCH);
}

fn the_members_of_one_processes_namespaces_are_counted() {
    let burrow = Burrow::dig(&["--uts", "--net"], "sleep 1000 & sleep 1000 &");
    let proc = ProcRoot::open().expect("/proc");
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", burrow.pid()));
    let children = children.expect("the shell's children");
    let children: Vec<i32> = children
        .split_whitespace()
        .map(|pid| pid.parse().expect("a pid"))
        .collect();
    let last = *children.last().expect("two of them") as u32;
    let snapshot = Snapshot::of_process_with_members(&proc, last).expect("it is there");
    for kind in [Kind::Uts, Kind::Net] {
        let namespace = found(&snapshot, id_of(last, kind));
        let lowest = (namespace.processes, namespace.pid);
        assert_eq!(lowest, (3, Some(burrow.pid())));
    }
    let first = snapshot.process(burrow.pid()).expect("the lowest is read");
    assert_eq!(first.command.as_deref(), Some("sleep 1000"));
    let all = take();
    let own = id_of(last, Kind::Cgroup);
    let counted = found(&snapshot, own).processes;
    assert!(
        counted.abs_diff(found(&all, own).processes) < 50,
        "{counted}"
    );
    for child in children.into_iter().filter_map(Pid::from_raw) {
        kill_process(child, Signal::KILL).expect("end it");
    }
}

fn a_scope_asks_no_more_than_it_says() {
    let held = kept_by_descriptor();
    let id = held.id().expect("fstat");
    let proc = ProcRoot::open().expect("/proc");
    let members = Snapshot::take_with(&proc, Scope::MEMBERS).expect("a snapshot");
    assert!(members.namespace(id).is_none());
    assert!(
        members
            .namespaces
            .iter()
            .all(|one| one.owner.is_none() && one.pid.is_some())
    );
    let mut scope = Scope::ALL;
    scope.kinds = [Kind::Net].into_iter().collect();
    scope.mounts = MountScope::All;
    let nets = Snapshot::take_with(&proc, scope).expect("a snapshot");
    assert!(found(&nets, id).owner.is_some());
    let kinds = |one: &Namespace| matches!(one.kind, Kind::Net | Kind::User);
    assert!(nets.namespaces.iter().all(kinds));
    assert_eq!(nets.view, View::Whole);
}

fn a_label_is_read() {
    let cgroups = fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup");
    let burrow = Burrow::dig(&["--uts"], "");
    let snapshot = take();
    let process = snapshot.process(burrow.pid()).expect("it is there");
    let label = process
        .label
        .as_ref()
        .expect("it is the only one of its set");
    assert!(cgroups.contains(&label.path), "{label:?}\n{cgroups}");
}

/// 10,000 by hand, some hundreds here.
fn rounds() -> u32 {
    let told = std::env::var("WARREN_TEST_ROUNDS").ok();
    told.and_then(|text| text.parse().ok())
        .unwrap_or(300 / patience())
}

fn fork_and_namespace_churn_fails_no_snapshot() {
    let churn = format!(
        "while :; do
            unshare {} --net --uts --ipc --pid --fork --mount true & /bin/true & /bin/true
            wait
        done",
        mapped().join(" ")
    );
    let storms: Vec<Running> = (0..2)
        .map(|_| Running::start(program("sh").args(["-c", &churn])))
        .collect();
    for _ in 0..rounds() {
        let snapshot = take();
        assert!(snapshot.process(own_pid()).is_some());
        assert!(snapshot.namespaces.len() >= 8);
        let own = id_of(own_pid(), Kind::Net);
        assert!(found(&snapshot, own).processes > 0);
        if rustix::process::geteuid().is_root() {
            nothing_unreadable_has_died(&snapshot);
        }
    }
    drop(storms);
    for _ in 0..5 {
        run(&mut warren(["ls"])).has("read;");
    }
}

/// Root may read all that comes and goes here.
#[track_caller]
fn nothing_unreadable_has_died(snapshot: &Snapshot) {
    for hole in &snapshot.unreadable {
        if let Part::Process { pid } = hole.part {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            assert!(stat.is_ok(), "{hole:?}");
        }
    }
}

fn a_kernel_without_the_newer_calls_is_told_of() {
    let (shell, id) = mounted_elsewhere(WAIT);
    let mnt = open(raw(&shell), Kind::Mnt);
    drop(shell);
    let list = warren(["ls", "--json"]);
    let whole = run(&mut warren(["ls", "--json"]));
    whole.has(&id.inode.to_string());
    let without = run(&mut warren_testkit::without_call("listmount", &list));
    without.lacks(&id.inode.to_string()).has("\"mounts-of\"");
    drop(mnt);
    let without = run(&mut warren_testkit::without_call("pidfd_getfd", &list));
    without.succeeds();
}

/// Sends a namespace to itself, whose descriptor is then in flight.
#[track_caller]
fn in_flight(namespace: &NsFd) -> [UnixStream; 2] {
    let (here, there) = UnixStream::pair().expect("socketpair");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    let fds = [namespace.as_fd()];
    assert!(message.push(SendAncillaryMessage::ScmRights(&fds)));
    let byte = [IoSlice::new(b"x")];
    rustix::net::sendmsg(&here, &byte, &mut message, SendFlags::empty()).expect("send");
    [here, there]
}

#[track_caller]
fn out_of_flight(there: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(there, &mut bytes, &mut message, flags).expect("receive");
    let fds = message.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fds.expect("a descriptor")
}

fn a_descriptor_in_flight_is_listed_by_the_kernel() {
    let held = kept_by_descriptor();
    let id = held.id().expect("fstat");
    let [_here, there] = in_flight(&held);
    drop(held);
    let snapshot = take();
    assert!(snapshot.kernel_list);
    let namespace = found(&snapshot, id);
    assert_eq!((namespace.processes, namespace.held_by.len()), (0, 0));
    assert!(namespace.owner.is_some() && namespace.handle.is_some());
    let again = NsFd::from_fd(out_of_flight(&there)).expect("a namespace");
    assert_eq!(again.id(), Ok(id));
}

/// What a listing still misses: listns(2) leaves out what is no longer in use.
fn what_only_another_filesystem_holds_the_kernel_does_not_list() {
    // A mount of a message queue's filesystem holds its IPC namespace.
    let place = scratch().join("queues");
    fs::create_dir(&place).expect("a folder to mount on");
    unshare_here(Kind::Mnt);
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change("/", private).expect("make / private");
    let home = open(own_pid(), Kind::Ipc);
    unshare_here(Kind::Ipc);
    let held = open(own_pid(), Kind::Ipc);
    let (id, number) = (held.id().expect("fstat"), held.unique_id().expect("6.18"));
    drop(held);
    let mut mount = Command::new("mount");
    mount.args(["-t", "mqueue", "none"]).arg(&place);
    assert!(mount.status().expect("mount(8)").success());
    warren_sys::setns(home.as_fd(), 0).expect("back");
    let mut numbers = vec![0; 4096];
    let count = warren_sys::list_namespaces(0, &mut numbers).expect("Linux 6.19");
    assert!(!numbers[..count].contains(&number));
    assert!(take().namespace(id).is_none());
    // The filesystem goes, and the namespace with it, at the end of this mount namespace.
}

fn all_that_the_kernel_lists_is_found() {
    let burrow = Burrow::dig(&["--net", "--mount", "--uts", "--ipc"], "");
    let mut ids = vec![0; 4096];
    let count = warren_sys::list_namespaces(0, &mut ids).expect("Linux 6.19");
    let snapshot = take();
    let found: Vec<u64> = snapshot
        .namespaces
        .iter()
        .filter_map(|one| one.unique_id)
        .collect();
    for id in &ids[..count] {
        assert!(found.contains(id), "{id} of {:?}", &ids[..count]);
    }
    drop(burrow);
}
