//! `warren oci`, and the personality `runc`.
//!
//! A case that another runtime has too runs on Debian's runc as well, so that the test
//! itself is known to be right.

mod attacks;
mod checkpoint;
mod concurrency;
mod config;
mod containerd;
mod docker;
mod exec;
mod hooks;
mod lifecycle;
mod limits;
mod places;
mod podman;
mod surroundings;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use warren_testkit::{Output, Test, program, run, scratch, warren, without_call};

/// Those of all files.
pub const TESTS: [&[Test]; 20] = [
    config::attacks::TESTS,
    config::limits::TESTS,
    config::mounts::TESTS,
    config::namespaces::TESTS,
    config::process::TESTS,
    lifecycle::TESTS,
    exec::TESTS,
    hooks::TESTS,
    limits::TESTS,
    places::TESTS,
    attacks::TESTS,
    attacks::ids::TESTS,
    attacks::mounts::TESTS,
    attacks::processes::TESTS,
    checkpoint::TESTS,
    concurrency::TESTS,
    surroundings::TESTS,
    podman::TESTS,
    containerd::TESTS,
    docker::TESTS,
];

/// A runtime, and where it keeps its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runtime {
    Warren,
    Runc,
}

const BOTH: [Runtime; 2] = [Runtime::Warren, Runtime::Runc];

impl Runtime {
    fn state(self) -> PathBuf {
        scratch().join(format!("state-{self:?}"))
    }

    fn command(self, words: &[&str]) -> Command {
        let mut command = match self {
            Self::Warren => warren(["oci"]),
            Self::Runc => program("runc"),
        };
        command.arg("--root").arg(self.state()).args(words);
        command
    }

    #[track_caller]
    fn run(self, words: &[&str]) -> Output {
        run_to_files(&self.command(words))
    }

    /// The same on a kernel that lacks a call, if one is named.
    #[track_caller]
    fn run_without(self, call: Option<&str>, words: &[&str]) -> Output {
        let command = self.command(words);
        match call {
            Some(call) => run_to_files(&without_call(call, &command)),
            None => run_to_files(&command),
        }
    }

    /// `run` of a bundle.
    #[track_caller]
    fn run_bundle(self, bundle: &Bundle, id: &str) -> Output {
        self.run(&["run", "--bundle", bundle.path(), id])
    }

    /// The status in its state.
    #[track_caller]
    fn status(self, id: &str) -> String {
        let state = self.state_of(id);
        state["status"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn state_of(self, id: &str) -> Value {
        let output = self.run(&["state", id]);
        serde_json::from_str(output.succeeds()).expect("the state is JSON")
    }

    /// Whether nothing of a container is left.
    fn is_empty(self) -> bool {
        fs::read_dir(self.state()).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// A container that outlives the command holds its streams: they are files, whose end need
/// not be waited for.
#[track_caller]
fn run_to_files(command: &Command) -> Output {
    const SCRIPT: &str = "out=$(mktemp ./out.XXXXXX); err=$(mktemp ./err.XXXXXX); \
        \"$@\" >$out 2>$err; code=$?; cat $out; cat $err >&2; rm $out $err; exit $code";
    let mut shell = program("sh");
    shell.args(["-c", SCRIPT, "sh"]).arg(command.get_program());
    run(shell.args(command.get_args()))
}

/// A bundle whose root has nothing but a static busybox.
struct Bundle {
    folder: PathBuf,
    config: Value,
}

impl Bundle {
    /// One that runs `args`.
    fn new(args: &[&str]) -> Self {
        let folder = (0..).map(|number| scratch().join(format!("bundle{number}")));
        let folder = folder.into_iter().find(|folder| !folder.exists());
        let folder = folder.expect("a free name");
        make_root(&folder.join("rootfs"));
        let mut bundle = Self {
            folder,
            config: config(),
        };
        let name = bundle
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let group = format!("/warren-oci-{}-{name}", std::process::id());
        bundle.set(|config| {
            config["process"]["args"] = json!(args);
            // Other tests have containers of the same name.
            config["linux"]["cgroupsPath"] = json!(group);
        });
        bundle
    }

    fn path(&self) -> &str {
        self.folder.to_str().expect("a scratch folder is text")
    }

    fn root(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    /// Its control group.
    fn group(&self) -> &str {
        let group = self.config["linux"]["cgroupsPath"].as_str();
        group.unwrap_or_default().trim_start_matches('/')
    }

    /// Changes its config.json.
    fn set(&mut self, change: impl FnOnce(&mut Value)) -> &mut Self {
        change(&mut self.config);
        let text = self.config.to_string();
        fs::write(self.folder.join("config.json"), text).expect("write config.json");
        self
    }
}

fn make_root(root: &Path) {
    for folder in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).expect("make a folder");
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists());
    fs::copy(
        busybox.expect("busybox-static is installed"),
        root.join("bin/busybox"),
    )
    .expect("copy busybox");
    for name in [
        "sh", "true", "false", "sleep", "cat", "ls", "id", "ps", "echo", "grep", "kill",
        "tty", "stat", "sync", "dd", "mkdir", "readlink", "env", "head",
    ] {
        symlink("busybox", root.join("bin").join(name)).expect("make a link");
    }
}

/// What `spec` writes, for a program without a terminal.
fn config() -> Value {
    let folder = scratch().join("spec");
    if !folder.exists() {
        fs::create_dir(&folder).expect("make a folder");
        let bundle = folder.to_str().expect("it is text");
        run(&mut warren(["oci", "spec", "--bundle", bundle])).succeeds();
    }
    let text = fs::read_to_string(folder.join("config.json")).expect("it was written");
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    config["process"]["terminal"] = json!(false);
    config["root"]["readonly"] = json!(false);
    // What Debian's runc, which knows 1.0, does not refuse.
    config["ociVersion"] = json!("1.0.2");
    config
}

/// Removes the groups that an engine makes for those of its containers, and leaves, where
/// they are empty.
fn remove_groups(names: &[&str]) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).expect("it is mounted").flatten();
    let roots = hierarchies
        .map(|entry| entry.path())
        .chain([root.to_owned()]);
    for root in roots {
        for name in names {
            let _ = fs::remove_dir(root.join(name));
        }
    }
}
