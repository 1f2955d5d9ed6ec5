//! podman with this runtime: as root, as an ordinary user, and with systemd.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use warren_testkit::{Output, Test, eventually, program, run, scratch, staged, tests};

use super::{make_root, remove_groups};
use crate::limits::is_v2;

pub const TESTS: &[Test] = tests! {
    Root:
        podman_runs_and_looks_after_containers,
        rootless_podman_runs_and_looks_after_containers,
        rootless_podman_does_without_a_range_of_ids;
    // Where systemd runs, and v2 is all that there is.
    Machine:
        podman_has_systemd_make_the_groups_of_containers;
};

/// What the defaults ask for takes CAP_SYS_RESOURCE, which not every root has.
const LIMITS: [&str; 6] = [
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
    "--network",
    "none",
];

/// The user of rootless tests, whose account and range of ids are there for them alone.
const USER: u32 = 61_235;

/// An account of [`USER`] and a range, mounted over the machine's for what `"$@"` is.
const AS_USER: &str = "set -e; cd \"$ACCOUNTS\"; \
    for file in passwd group subuid subgid; do mount --bind $file /etc/$file; done; \
    cd \"$HOME\"; \
    exec setpriv --reuid \"$ID\" --regid \"$ID\" --clear-groups -- \"$@\"";

/// podman, with all that it keeps in the test's own folder.
struct Podman {
    manager: &'static str,
    rootless: bool,
}

impl Podman {
    fn new(manager: &'static str) -> Self {
        fs::create_dir(scratch().join("tmp")).expect("make a folder");
        symlink(staged("warren"), scratch().join("runc")).expect("make a link");
        Self {
            manager,
            rootless: false,
        }
    }

    /// Of a user with these ranges of ids.
    fn rootless(ranges: &str) -> Self {
        let mut podman = Self::new("cgroupfs");
        podman.rootless = true;
        let accounts = scratch().join("accounts");
        fs::create_dir(&accounts).expect("make a folder");
        let add = |name: &str, line: &str| {
            let there = fs::read_to_string(Path::new("/etc").join(name));
            let text = there.unwrap_or_default() + line;
            fs::write(accounts.join(name), text).expect("write it");
        };
        add("passwd", &format!("vole:x:{USER}:{USER}::/:/bin/sh\n"));
        add("group", &format!("vole:x:{USER}:\n"));
        for name in ["subuid", "subgid"] {
            fs::write(accounts.join(name), ranges).expect("write it");
        }
        for name in ["tmp", "home", "session"] {
            let folder = scratch().join(name);
            let _ = fs::create_dir(&folder);
            let mode = Permissions::from_mode(0o700);
            fs::set_permissions(&folder, mode).expect("close it");
            chown(&folder, Some(USER), Some(USER)).expect("give it away");
        }
        podman
    }

    fn command(&self, words: &[&str]) -> Command {
        let kept = match self.rootless {
            true => scratch().join("home"),
            false => scratch(),
        };
        let mut command = match self.rootless {
            true => self.user_command(),
            false => program("podman"),
        };
        for (option, name) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "engine"),
        ] {
            command.arg(option).arg(kept.join(name));
        }
        command
            .args(["--storage-driver", "vfs", "--events-backend=file"])
            .arg(format!("--cgroup-manager={}", self.manager))
            .arg("--runtime")
            .arg(scratch().join("runc"))
            .env("TMPDIR", scratch().join("tmp"))
            .args(words);
        command
    }

    fn user_command(&self) -> Command {
        let mut command = program("unshare");
        command
            .args(["--mount", "sh", "-c", AS_USER, "sh", "podman"])
            .env("ACCOUNTS", scratch().join("accounts"))
            .env("HOME", scratch().join("home"))
            .env("XDG_RUNTIME_DIR", scratch().join("session"))
            .env("USER", "vole")
            .env("ID", USER.to_string());
        command
    }

    #[track_caller]
    fn does(&self, words: &[&str]) -> Output {
        run(&mut self.command(words))
    }

    #[track_caller]
    fn runs(&self, words: &[&str]) -> Output {
        let mut all = vec!["run"];
        all.extend(LIMITS);
        all.extend(words);
        self.does(&all)
    }

    /// An image of busybox alone, `box`.
    fn import_image(&self) {
        make_root(&scratch().join("tree"));
        run(program("tar").args(["-C", "tree", "-cf", "image.tar", "."])).succeeds();
        let image = scratch().join("image.tar");
        let image = image.to_str().expect("a scratch folder is text");
        self.does(&["import", "-q", image, "box"]).succeeds();
    }

    fn runs_in_the_foreground(&self) {
        self.runs(&["--rm", "box", "sh", "-c", "echo well; exit 4"])
            .exits(4)
            .has("well");
        self.runs(&["--rm", "box", "nowhere"]).exits(127);
        self.runs(&["--rm", "box", "/etc"]).exits(126);
        self.runs(&["--rm", "-t", "box", "tty"])
            .exits(0)
            .has("/dev/pts/0");
    }

    /// The container `one`, which says `out` and ends with 3 when it is asked to.
    fn starts_one(&self, options: &[&str]) {
        let script = "echo out; trap 'exit 3' TERM; while :; do sleep 0.05; done";
        let mut words = options.to_vec();
        words.extend(["-d", "--name", "one", "box", "sh", "-c", script]);
        self.runs(&words).succeeds();
    }

    #[track_caller]
    fn told(&self, format: &str) -> String {
        let output = self.does(&["inspect", "--format", format, "one"]);
        output.succeeds().trim().to_owned()
    }

    fn looks_into_one(&self) {
        self.does(&["exec", "one", "sh", "-c", "echo in; exit 5"])
            .exits(5)
            .has("in");
        assert_eq!(self.told("{{.State.Status}}"), "running");
        self.does(&["top", "one"]).has("sh -c");
        eventually("its output", || {
            self.does(&["logs", "one"]).succeeds() == "out"
        });
    }

    fn pauses_one(&self) {
        self.does(&["pause", "one"]).succeeds();
        assert_eq!(self.told("{{.State.Status}}"), "paused");
        self.does(&["unpause", "one"]).succeeds();
        assert_eq!(self.told("{{.State.Status}}"), "running");
        self.does(&["stats", "--no-stream", "one"]).has("one");
    }

    /// Ends the process that holds the user's namespaces.
    fn lets_go_of_namespaces(&self) {
        self.does(&["system", "migrate"]).succeeds();
    }

    fn ends_one(&self) {
        self.does(&["stop", "one"]).succeeds();
        assert_eq!(self.told("{{.State.ExitCode}}"), "3");
        self.does(&["start", "one"]).succeeds();
        self.does(&["kill", "one"]).succeeds();
        self.does(&["wait", "one"]).says("137");
        self.does(&["rm", "one"]).succeeds();
        self.does(&["rmi", "-f", "box"]).succeeds();
    }
}

fn podman_runs_and_looks_after_containers() {
    let podman = Podman::new("cgroupfs");
    podman.import_image();
    podman.runs_in_the_foreground();
    let read = match is_v2() {
        true => "cat /sys/fs/cgroup/pids.max",
        false => "cat /sys/fs/cgroup/pids/pids.max",
    };
    podman
        .runs(&["--rm", "--pids-limit", "50", "box", "sh", "-c", read])
        .says("50");
    podman.starts_one(&[]);
    podman.looks_into_one();
    podman.pauses_one();
    podman.ends_one();
    remove_groups(&["libpod_parent/conmon", "libpod_parent"]);
}

/// Without a group of v2 that is the user's podman neither pauses nor counts.
fn rootless_podman_runs_and_looks_after_containers() {
    let podman = Podman::rootless("vole:300000:65536\n");
    podman.import_image();
    podman.runs_in_the_foreground();
    podman
        .runs(&["--rm", "--user", "7", "box", "id", "-u"])
        .says("7");
    podman.starts_one(&[]);
    podman.looks_into_one();
    podman.ends_one();
    podman.lets_go_of_namespaces();
}

/// Its namespace has the user's id alone, and gave groups up.
fn rootless_podman_does_without_a_range_of_ids() {
    let podman = Podman::rootless("");
    podman.import_image();
    podman
        .runs(&["--rm", "box", "sh", "-c", "id -u; cat /proc/self/setgroups"])
        .says("0\ndeny");
    podman.lets_go_of_namespaces();
}

fn podman_has_systemd_make_the_groups_of_containers() {
    let podman = Podman::new("systemd");
    podman.import_image();
    let read = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max";
    let limits = ["--pids-limit", "50", "--memory", "64m"];
    let mut words = vec!["--rm"];
    words.extend(limits);
    words.extend(["box", "sh", "-c", read]);
    podman.runs(&words).says("50\n67108864");
    podman.starts_one(&limits);
    let group = Unit::of(&podman.told("{{.Id}}"));
    assert_eq!(group.property("TasksMax"), "50");
    assert_eq!(group.property("MemoryMax"), "67108864");
    podman.looks_into_one();
    podman.pauses_one();
    podman
        .does(&["update", "--pids-limit", "60", "one"])
        .succeeds();
    assert_eq!(group.property("TasksMax"), "60");
    podman.ends_one();
    assert!(!group.folder().exists());
}

/// The scope of a container.
struct Unit(String);

impl Unit {
    fn of(id: &str) -> Self {
        Self(format!("libpod-{id}.scope"))
    }

    fn property(&self, name: &str) -> String {
        let output =
            run(program("systemctl").args(["show", "--value", "-p", name, &self.0]));
        output.succeeds().trim().to_owned()
    }

    fn folder(&self) -> PathBuf {
        Path::new("/sys/fs/cgroup/machine.slice").join(&self.0)
    }
}
