//! What came out of bubblewrap's sandboxes or of its setup, and does not here.

use std::fs;
use std::path::{Path, PathBuf};

use warren_testkit::{Test, run, tests};

use crate::util_linux::{Targets, ours, theirs};

pub const TESTS: &[Test] = tests! {
    Both:
        setup_follows_no_symlink_to_the_host,
        a_bound_descriptor_is_what_was_opened,
        a_new_session_has_no_terminal,
        the_host_has_no_name_during_setup,
        a_working_folder_behind_a_magic_link_is_refused,
        what_the_init_was_told_cannot_be_read;
};

/// A folder of the host that is not below what lines put a tmpfs over; it goes away with
/// the value.
struct Victim(PathBuf);

impl Victim {
    fn new() -> Self {
        let path =
            PathBuf::from(format!("/var/tmp/warren-victim-{}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder");
        let name = |entry: fs::DirEntry| entry.file_name().display().to_string();
        let mut names: Vec<_> = entries.flatten().map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// CVE-2026-87766: before 0.12 the host's tree is at /oldroot while the root is put
/// together, and a symlink may lead there.
fn setup_follows_no_symlink_to_the_host() {
    let victim = Victim::new();
    let folder = victim.0.display();
    let through = |make: &str| {
        format!(
            "bwrap --ro-bind / / --tmpfs /tmp --symlink /oldroot{folder} /tmp/link {make} \
             true 3</etc/passwd"
        )
    };
    // Debian's does it, so that the test tests something.
    let line = through("--dir /tmp/link/theirs");
    run(&mut theirs(&line)).succeeds();
    assert_eq!(victim.files(), ["theirs"]);
    for make in [
        "--dir /tmp/link/x",
        "--dir /tmp/link/x/y",
        "--file 3 /tmp/link/x",
        "--bind-data 3 /tmp/link/x",
        "--symlink a /tmp/link/x",
        "--tmpfs /tmp/link/x",
        "--bind /usr /tmp/link/x",
        "--chmod 777 /tmp/link/theirs",
        "--remount-ro /tmp/link/theirs",
        "--proc /tmp/link/x",
        "--dev /tmp/link/x",
    ] {
        run(&mut ours(&through(make))).exits(1);
        assert_eq!(victim.files(), ["theirs"], "{make}");
    }
    // Nor by the ways that are there for others.
    for link in [
        "/proc/self/root",
        "/proc/1/root",
        "/proc/self/cwd",
        "../../../..",
    ] {
        let line = format!(
            "cd /; bwrap --ro-bind / / --proc /proc --tmpfs /tmp --symlink {link} /tmp/link \
             --dir /tmp/link{folder}/x true"
        );
        run(&mut ours(&line)).exits(1);
        assert_eq!(victim.files(), ["theirs"], "{link}");
    }
}

/// CVE-2024-42472: between the look at a folder and its mount somebody puts a symlink in
/// its place.
fn a_bound_descriptor_is_what_was_opened() {
    let line = "mkdir d; echo mine >d/passwd; exec 5<d; mv d was; ln -s /etc d; \
                bwrap --ro-bind / / --ro-bind-fd 5 /mnt cat /mnt/passwd";
    run(&mut ours(line)).says("mine");
}

/// CVE-2017-5226: keys pushed into the terminal of the caller (TIOCSTI).
fn a_new_session_has_no_terminal() {
    let push = "import fcntl\ntry: fcntl.ioctl(0, 0x5412, b'x'); print('pushed')\n\
                except OSError: print('refused')\n";
    fs::write("push.py", push).expect("a file");
    let on_terminal = |command: &str| {
        format!(
            "script -qec \"bwrap --new-session --cap-drop ALL --dev-bind / / {command}\" /dev/null \
             </dev/null | tr -d '\\r'"
        )
    };
    let pushes = on_terminal("python3 push.py");
    run(&mut ours(&pushes)).says("refused");
    let opens = on_terminal("sh -c ': </dev/tty' 2>/dev/null || echo none");
    Targets::default().same(&[&pushes, &opens]);
}

fn the_host_has_no_name_during_setup() {
    for name in ["oldroot", "newroot"] {
        // As a source it is the host's, where there is none; as a target a new folder.
        let line = format!("bwrap --ro-bind / / --ro-bind /{name} /mnt true");
        run(&mut ours(&line))
            .exits(1)
            .complains(&format!("bwrap: Can't find source path /{name}"));
        let line = format!(
            "bwrap --dir /{name} --ro-bind /usr /usr --symlink usr/lib64 /lib64 \
             --symlink usr/lib /lib /usr/bin/ls -A /{name}"
        );
        run(&mut ours(&line)).says("");
    }
    assert!(!Path::new("/oldroot").exists());
}

/// As in CVE-2024-21626.
fn a_working_folder_behind_a_magic_link_is_refused() {
    let line = "exec 7</; for n in 3 4 5 6 7 8 9; do \
                bwrap --ro-bind /usr /usr --symlink usr/lib64 /lib64 --symlink usr/lib /lib \
                --unshare-pid --proc /proc --chdir /proc/self/fd/$n /usr/bin/ls etc/passwd 2>/dev/null \
                && echo out; done; true";
    run(&mut ours(line)).says("");
}

fn what_the_init_was_told_cannot_be_read() {
    let line = "SECRET=hunter2 bwrap --ro-bind / / --unshare-pid --proc /proc --clearenv \
                --setenv PATH /usr/bin --dir /proc/secret-folder true 2>/dev/null; \
                SECRET=hunter2 bwrap --ro-bind / / --unshare-pid --proc /proc --clearenv \
                --setenv PATH /usr/bin sh -c 'cat /proc/1/environ /proc/1/cmdline | tr -d \"\\0\"'";
    run(&mut ours(line)).succeeds();
    run(&mut ours(line)).lacks("hunter2").lacks("bind");
}
