//! Between clone and exec nothing is allocated: the allocator of this program kills
//! whoever allocates in another process than the first.

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU32, Ordering};

use warren_confine::landlock::{Landlock, Ports};
use warren_confine::{Capability, CapabilitySet};
use warren_namespaces::{Kind, NsFd};
use warren_spawn::{
    Access, Change, Command, Content, Folder, Forbidden, Graft, Host, IdMapping, Join,
    Mount, Namespace, Namespaces, Open, Plan, RawFilter, Role, Root, Spec, Terminal,
    Upper, User,
};

struct ParentOnly;

/// The process that may allocate; 0 as long as all may.
static PARENT: AtomicU32 = AtomicU32::new(0);

fn check() {
    let parent = PARENT.load(Ordering::Relaxed);
    if parent != 0 && parent != std::process::id() {
        // An abort would print, which allocates.
        warren_sys::exit_now(99);
    }
}

// SAFETY: the system's allocator does the work, with what it was given.
unsafe impl GlobalAlloc for ParentOnly {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: ParentOnly = ParentOnly;

fn watch() {
    PARENT.store(std::process::id(), Ordering::Relaxed);
}

/// Whether the command runs to the end that it is expected to have.
#[track_caller]
fn runs(command: &mut Command) {
    watch();
    let status = command.status().expect("nothing fails on the way");
    assert!(status.success(), "{status}");
}

#[test]
fn a_sandbox_allocates_nothing() {
    runs(&mut Command::sandbox("true"));
}

#[test]
fn a_second_wall_allocates_nothing() {
    let ports = Ports {
        connect: vec![80],
        bind: vec![0],
    };
    let wanted = Landlock {
        required: true,
        ports: Some(ports),
    };
    runs(Command::sandbox("true").landlock(wanted));
}

#[test]
fn every_kind_of_mount_allocates_nothing() {
    let mut command = Command::sandbox("true");
    let mut scratch = std::env::temp_dir();
    scratch.push(format!("warren-no-allocation-{}", std::process::id()));
    let [upper, work] = ["upper", "work"].map(|name| scratch.join(name));
    for folder in [&scratch, &upper, &work] {
        std::fs::create_dir(folder).expect("a new folder");
    }
    let overlays = [Upper::Memory, Upper::None, Upper::Folder { upper, work }];
    for (number, upper) in overlays.into_iter().enumerate() {
        command.mount(Mount::Overlay {
            lower: vec!["/etc/default".into(), "/etc/security".into()],
            upper,
            target: format!("/srv/etc{number}").into(),
        });
    }
    for mounted in [None, Some(Access::ReadOnly)] {
        command.mount(Mount::File {
            content: Content::Bytes(b"text".into()),
            target: "/srv/file".into(),
            mode: 0o640,
            mounted,
        });
    }
    command.mount(Mount::Mode {
        target: "/srv".into(),
        mode: 0o750,
    });
    command.mount(Mount::Mqueue {
        target: "/srv/mqueue".into(),
    });
    command.mount(Mount::Forbid {
        target: "/srv/mqueue".into(),
        what: Forbidden {
            write: true,
            ..Forbidden::default()
        },
    });
    let link = Mount::Symlink {
        content: "a".into(),
        target: "/srv/b/c".into(),
    };
    let tmpfs = Mount::Tmpfs {
        target: "/srv/d/e".into(),
        mode: 0o700,
        size: Some(1 << 16),
    };
    let folder = Mount::Folder {
        target: "/srv/f/g".into(),
        mode: 0o700,
    };
    for mount in [
        link.clone(),
        link,
        tmpfs,
        folder,
        Mount::Mask {
            target: "/srv/f".into(),
        },
        Mount::Sys {
            target: "/srv/sys".into(),
        },
        Mount::ReadOnly {
            target: "/srv/h".into(),
        },
    ] {
        command.mount(mount);
    }
    command.bind("/etc/passwd", "/srv/h/i", Access::ReadWrite);
    command.spec_mut().keep_layers = true;
    command.rlimit("nofile=64".parse().expect("a limit"));
    command.capabilities(CapabilitySet::EMPTY.with(Capability::CHOWN));
    runs(&mut command);
    std::fs::remove_dir_all(&scratch).expect("the folder");
}

#[test]
fn what_the_process_is_given_allocates_nothing() {
    let mut command = Command::sandbox("true");
    let (word, sender) = std::io::pipe().expect("a pipe");
    drop(sender);
    let kept = std::fs::File::open("/dev/null").expect("the null device");
    let spec = command.spec_mut();
    spec.exact_targets = true;
    spec.cwd = Some("/no/such".into());
    spec.cwd_else = vec!["/usr".into()];
    spec.tell_cwd = true;
    spec.leave_caller = false;
    spec.new_session = true;
    spec.await_before_exec = Some(Open {
        fd: word.as_raw_fd(),
        name: "a pipe".to_owned(),
    });
    spec.init_keeps = vec![kept.as_raw_fd()];
    spec.lock_files = vec!["/etc/passwd".into()];
    // An instruction that allows everything.
    let allow = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
    spec.filters = vec![RawFilter(allow.into())];
    runs(&mut command);
}

#[test]
fn other_roots_allocate_nothing() {
    for root in [
        Root::Tree {
            path: "/".into(),
            access: Access::ReadOnly,
        },
        Root::Overlay {
            path: "/usr".into(),
        },
    ] {
        let mut command = Command::sandbox("/bin/true");
        let spec = command.spec_mut();
        let whole = matches!(root, Root::Tree { .. });
        spec.root = root;
        spec.mounts = if whole {
            warren_spawn::system::kernel().into()
        } else {
            Vec::new()
        };
        spec.cwd = None;
        watch();
        // Under an overlay of /usr the program is there, its loader is not.
        let ended = command.status().map(|status| status.code());
        assert!(matches!(ended, Ok(Some(0)) | Err(_)), "{ended:?}");
        assert!(!format!("{ended:?}").contains("ended"), "{ended:?}");
    }
}

#[test]
fn a_terminal_allocates_nothing() {
    let mut command = Command::sandbox("true");
    command.spec_mut().terminal = Terminal::New {
        rows: 24,
        columns: 80,
    };
    runs(&mut command);
}

#[test]
fn joining_allocates_nothing() {
    watch();
    let mut first = Command::new("sleep")
        .arg("1000")
        .unshare([Kind::User, Kind::Uts])
        .spawn()
        .expect("a run");
    let namespace = |kind: Kind| {
        let path = format!("/proc/{}/ns/{kind}", first.id());
        NsFd::open(path.as_ref()).expect("a child's namespace")
    };
    let mut command = Command::new("true");
    command
        .join(namespace(Kind::User))
        .join(namespace(Kind::Uts));
    let ended = command.status().expect("nothing fails on the way");
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    assert!(ended.success(), "{ended}");
}

/// Every step of a way in that needs no privilege: the child makes a user namespace's
/// mount namespace to visit first.
#[test]
fn a_visit_allocates_nothing() {
    watch();
    let mut first = Command::new("sleep")
        .arg("1000")
        .unshare([Kind::User, Kind::Mnt, Kind::Pid])
        .spawn()
        .expect("a run");
    let fd = |path: String| std::fs::File::open(path).expect("of a child");
    let of = |name: &str| fd(format!("/proc/{}/{name}", first.id()));
    let (root, cwd, program) = (of("root"), of("cwd"), fd("/bin/true".into()));
    let open = |file: &std::fs::File| Open {
        fd: file.as_raw_fd(),
        name: "a file".to_owned(),
    };
    let namespace = |kind: Kind| {
        let path = format!("/proc/{}/ns/{kind}", first.id());
        NsFd::open(path.as_ref()).expect("a child's namespace")
    };
    let mut command = Command::new("/bin/true");
    for kind in [Kind::User, Kind::Mnt] {
        command.join(namespace(kind));
    }
    let spec = command.spec_mut();
    spec.chroot = vec![Folder::Open(open(&root)), Folder::Path("/".into())];
    spec.cwd_open = Some(open(&cwd));
    spec.program = Some(open(&program));
    spec.user = Some(User::ROOT);
    let entered = command.status();
    let spec = command.spec_mut();
    spec.cwd_open = None;
    spec.program = None;
    spec.root = Root::Visit;
    spec.mounts = vec![
        Mount::bind("/usr", "/.tools/usr", Access::ReadOnly),
        Mount::Programs {
            target: "/.tools/bin".into(),
            content: "/.tools/launcher".into(),
            folders: vec!["/.tools/usr/bin".into()],
        },
        Mount::Dev {
            target: "/dev".into(),
        },
    ];
    let visited = command.status();
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    for ended in [entered, visited] {
        let status = ended.expect("nothing fails on the way");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_holder_allocates_nothing() {
    let spec = Spec {
        namespaces: Namespaces::new_of([Kind::User, Kind::Pid].into_iter().collect()),
        id_map: IdMapping::Single,
        capabilities: Some(CapabilitySet::EMPTY),
        parent_death_signal: Some(9),
        role: Role::Holder { examinable: true },
        ..Spec::default()
    };
    let plan = Plan::new(&spec, &Host::probe()).expect("a plan");
    watch();
    let mut holder = plan.launch().expect("nothing fails on the way");
    holder.stay().expect("it answers");
    holder.signal(15).expect("it lives");
    let ended = holder.wait().expect("it ended");
    assert!(ended.success(), "{ended}");
}

#[test]
fn a_grafter_allocates_nothing() {
    watch();
    let mut first = Command::new("sleep")
        .arg("1000")
        .unshare([Kind::User, Kind::Mnt])
        .spawn()
        .expect("a run");
    let mut spec = Spec {
        user: Some(User::ROOT),
        role: Role::Grafter(Graft {
            target: "/usr/bin/env".into(),
            change: Change::Unmount,
        }),
        ..Spec::default()
    };
    for kind in [Kind::User, Kind::Mnt] {
        let join = Namespace::Join(Join::Process(first.id()));
        spec.namespaces.set(kind, join);
    }
    let plan = Plan::new(&spec, &Host::probe()).expect("a plan");
    let ended = plan.launch();
    first.kill().expect("it runs");
    first.wait().expect("it ended");
    let error = ended.expect_err("nothing is mounted there");
    assert_eq!(error.to_string(), "unmount /usr/bin/env: Invalid argument");
}

#[test]
fn a_step_that_fails_allocates_nothing() {
    let mut command = Command::sandbox("true");
    command.current_dir("/no/such");
    watch();
    let error = command.status().expect_err("no such folder");
    assert_eq!(
        error.to_string(),
        "change to the directory /no/such: No such file or directory"
    );
    let mut command = Command::sandbox("no-such-program");
    assert_eq!(
        command
            .status()
            .expect_err("no such program")
            .raw_os_error(),
        Some(2)
    );
}

/// That the check itself works: a child that allocates does end so.
#[test]
fn who_allocates_in_a_child_is_caught() {
    watch();
    // SAFETY: that the child allocates is the point; it touches no lock that another
    // thread could hold before the allocator has ended it.
    let child = unsafe { warren_sys::fork() }.expect("a fork");
    if child == 0 {
        drop(std::hint::black_box(Box::new(1)));
        warren_sys::exit_now(0);
    }
    let pid = rustix::process::Pid::from_raw(child);
    let (_, status) =
        rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())
            .expect("a child")
            .expect("it ended");
    let status = std::process::ExitStatus::from_raw(status.as_raw());
    assert_eq!(status.code(), Some(99));
}
