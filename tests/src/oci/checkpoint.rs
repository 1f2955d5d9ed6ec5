//! `checkpoint` and `restore`.
//!
//! What criu is asked for is shown with a program that speaks its protocol and dumps nothing.
//! criu itself is another matter: bookworm's fails on kernels since 6.13, so that what it
//! brings back is looked at in the virtual machine alone, which has a newer one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use warren_testkit::{Output, Test, eventually, program, run, scratch, tests, warren};

use super::{BOTH, Bundle, Runtime};
use crate::enter::NetnsFolder;

pub const TESTS: &[Test] = tests! {
    User:
        who_is_not_root_is_told;
    Root:
        criu_is_asked_for_what_the_container_is,
        what_criu_cannot_is_said_with_its_log,
        what_has_no_program_is_not_written_down,
        a_wrong_option_is_refused,
        images_that_lead_elsewhere_are_refused,
        without_criu_the_way_out_is_said;
    Machine:
        a_container_goes_on_where_it_was,
        it_is_as_it_was_when_it_is_back,
        mounts_have_the_flags_that_they_had,
        memory_is_written_down_before,
        its_terminal_goes_to_the_socket,
        whoever_stays_has_its_exit_code,
        a_network_that_was_there_is_joined_again,
        a_restore_that_fails_leaves_nothing;
};

/// The one that dumps nothing.
fn stand_in() -> PathBuf {
    let path = scratch().join("criu");
    if !path.exists() {
        fs::write(&path, include_str!("criu.py")).expect("write a script");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).expect("make it executable");
    }
    path
}

/// Warren with that criu.
#[track_caller]
fn with_stand_in(words: &[&str]) -> Output {
    let criu = stand_in();
    let mut all = vec!["--criu", criu.to_str().expect("it is text")];
    all.extend(words);
    Runtime::Warren.run(&all)
}

/// The words that bring `web` back.
fn restore<'a>(bundle: &'a Bundle, images: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["restore", "-b", bundle.path(), "--image-path", images];
    words.extend(options);
    words.push("web");
    words
}

fn folder(name: &str) -> String {
    scratch().join(name).display().to_string()
}

/// One that counts in /tmp/count, and writes a line to /tmp/begun when it begins.
fn counting() -> Bundle {
    const SCRIPT: &str = "exec </dev/null >/dev/null 2>&1; echo >>/tmp/begun; n=0; \
        while :; do n=$((n+1)); echo $n >/tmp/count; sleep 0.1; done";
    Bundle::new(&["sh", "-c", SCRIPT])
}

fn count(bundle: &Bundle) -> u64 {
    let text = fs::read_to_string(bundle.root().join("tmp/count"));
    text.unwrap_or_default().trim().parse().unwrap_or(0)
}

fn counts_on(bundle: &Bundle, before: u64) {
    eventually("it counts on", || count(bundle) > before);
    let begun = fs::read_to_string(bundle.root().join("tmp/begun"));
    assert_eq!(begun.expect("it began"), "\n", "it did not begin anew");
}

fn who_is_not_root_is_told() {
    let mut command = warren(["oci", "--root", &folder("state"), "restore"]);
    command.args(["--image-path", "images", "web"]);
    run(&mut command)
        .exits(1)
        .complains("restore requires root");
}

fn criu_is_asked_for_what_the_container_is() {
    let mut bundle = counting();
    let source = folder("source");
    fs::create_dir(&source).expect("make a folder");
    symlink("tmp", bundle.root().join("link")).expect("make a link");
    bundle.set(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({
            "destination": "/link/mnt", "source": source, "type": "bind", "options": ["bind"],
        }));
        mounts.push(json!({"destination": "/conf", "source": ".", "options": ["bind"]}));
        config["hooks"] = json!({"poststop": [{
            "path": "/bin/sh", "args": ["sh", "-c", "cat >stopped"],
        }]});
    });
    let (images, work) = (folder("images"), folder("work"));
    Runtime::Warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let pid = Runtime::Warren.state_of("web")["pid"].clone();
    let words = ["checkpoint", "--image-path", &images, "--work-path", &work];
    let more = ["--tcp-established", "--file-locks", "web"];
    with_stand_in(&[&words[..], &more].concat()).succeeds();

    let asked = json_of(&Path::new(&images).join("asked.json"));
    assert_eq!(asked["kind"], 1);
    assert_eq!(asked["pid"], pid);
    assert_eq!(asked["root"], bundle.root().display().to_string());
    // tcp_established, file_locks, notify_scripts, manage_cgroups, orphan_pts_master.
    assert_eq!(asked["flags"], json!([5, 8, 12, 24, 50]));
    assert_eq!(asked["empty"], 0x4000_0000);
    let has = |key: &str, value: &str| {
        let mounts = asked["mounts"].as_array().expect("a list");
        assert!(mounts.contains(&json!([key, value])), "{key} in {mounts:?}");
    };
    has("/tmp/mnt", "/link/mnt");
    has("/proc/keys", "/dev/null");
    let freezer = asked["freezer"].as_str().expect("a text");
    assert!(Path::new(freezer).ends_with(bundle.group()), "{freezer}");
    let streams = json_of(&Path::new(&images).join("descriptors.json"));
    assert_eq!(streams, json!(["/dev/null", "/dev/null", "/dev/null"]));
    // It has ended, and nothing of it is left.
    assert!(Runtime::Warren.is_empty());
    let stopped = json_of(&bundle.folder.join("stopped"));
    assert_eq!(stopped["status"], "stopped");

    with_stand_in(&restore(&bundle, &images, &[]))
        .exits(1)
        .complains("criu brought nothing back");
    let asked = json_of(&Path::new(&images).join("asked.json"));
    assert_eq!(asked["kind"], 2);
    // By the names that they have among the mounts.
    for (name, path) in [("/link/mnt", &*source), ("/conf", bundle.path())] {
        let mounts = asked["mounts"].as_array().expect("a list");
        assert!(
            mounts.contains(&json!([name, path])),
            "{name} in {mounts:?}"
        );
    }
}

fn json_of(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("it was written");
    serde_json::from_str(&text).expect("it is JSON")
}

fn what_criu_cannot_is_said_with_its_log() {
    let bundle = counting();
    let images = folder("images");
    fs::create_dir(&images).expect("make a folder");
    fs::write(Path::new(&images).join("fail"), "").expect("make a file");
    Runtime::Warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    with_stand_in(&["checkpoint", "--image-path", &images, "web"])
        .exits(1)
        .complains("criu failed: type DUMP errno 22")
        .complains(&format!("log file: {images}/dump.log"))
        .complains("the reason");
    assert_eq!(Runtime::Warren.status("web"), "running");
    with_stand_in(&["checkpoint", "--pre-dump", "--image-path", &images, "web"])
        .exits(1)
        .complains("CRIU is missing features");
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
    with_stand_in(&restore(&bundle, &images, &[]))
        .exits(1)
        .complains("criu failed: type RESTORE errno 22")
        .complains("the reason");
    assert!(Runtime::Warren.is_empty());
}

fn what_has_no_program_is_not_written_down() {
    let bundle = counting();
    let images = folder("images");
    let refused = |state: &str| {
        with_stand_in(&["checkpoint", "--image-path", &images, "web"])
            .exits(1)
            .complains(&format!(
                "Container cannot be checkpointed in {state} state"
            ));
    };
    Runtime::Warren
        .run(&["create", "-b", bundle.path(), "web"])
        .succeeds();
    refused("created");
    Runtime::Warren.run(&["kill", "web", "KILL"]).succeeds();
    eventually("its end", || Runtime::Warren.status("web") == "stopped");
    refused("stopped");
    Runtime::Warren.run(&["delete", "web"]).succeeds();
    with_stand_in(&["checkpoint", "web"])
        .exits(1)
        .complains("does not exist");
    assert!(!Path::new(&images).exists(), "nothing was made for them");
}

fn a_wrong_option_is_refused() {
    let bundle = counting();
    Runtime::Warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let images = folder("images");
    for (words, said) in [
        (["--page-server", "here"], "ADDRESS:PORT"),
        (
            ["--manage-cgroups-mode", "much"],
            "soft, full, strict or ignore",
        ),
        (["--empty-ns", "ipc"], "\"ipc\" is not supported"),
        (["--status-fd", "77"], "--status-fd 77"),
        (["--parent-path", "/tmp"], "must be relative"),
        (["--parent-path", "../nowhere"], "invalid --parent-path"),
    ] {
        let more = ["--image-path", &images, "web"];
        with_stand_in(&[&["checkpoint"], &words[..], &more].concat())
            .exits(1)
            .complains(said);
    }
    assert_eq!(Runtime::Warren.status("web"), "running");
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
}

fn images_that_lead_elsewhere_are_refused() {
    let bundle = counting();
    let images = PathBuf::from(folder("images"));
    let words = images.display().to_string();
    let refused = |said: &str| {
        with_stand_in(&restore(&bundle, &words, &[]))
            .exits(1)
            .complains(said);
        assert!(!images.join("asked.json").exists(), "criu was not asked");
    };
    refused("open");
    fs::create_dir(&images).expect("make a folder");
    refused("descriptors.json: no such file");
    symlink("/etc/passwd", images.join("descriptors.json")).expect("make a link");
    refused("images are plain files");
    fs::remove_file(images.join("descriptors.json")).expect("remove it");
    fs::write(images.join("descriptors.json"), "[\"/dev/null\"]").expect("write it");
    symlink("/etc/passwd", images.join("pages-1.img")).expect("make a link");
    refused("images are plain files");
    fs::remove_file(images.join("pages-1.img")).expect("remove it");
    UnixListener::bind(images.join("pages-1.img")).expect("make a socket");
    refused("images are plain files");
    fs::remove_file(images.join("pages-1.img")).expect("remove it");
    // Where pages come from that are touched.
    UnixListener::bind(images.join("lazy-pages.socket")).expect("make a socket");
    symlink("/etc", images.join("parent")).expect("make a link");
    refused("must be relative");
    fs::remove_file(images.join("parent")).expect("remove it");
    symlink("../older", images.join("parent")).expect("make a link");
    fs::create_dir(scratch().join("older")).expect("make a folder");
    symlink("/etc/passwd", scratch().join("older/pages-1.img")).expect("make a link");
    refused("images are plain files");
    fs::remove_file(scratch().join("older/pages-1.img")).expect("remove it");
    symlink("../older", scratch().join("older/parent")).expect("make a link");
    refused("images continue each other");
    fs::remove_file(images.join("parent")).expect("remove it");
    fs::write(images.join("descriptors.json"), "{}").expect("write it");
    refused("descriptors.json");
}

fn without_criu_the_way_out_is_said() {
    let bundle = counting();
    Runtime::Warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let images = folder("images");
    let words = [
        "--criu",
        "/nowhere/criu",
        "checkpoint",
        "--image-path",
        &images,
        "web",
    ];
    Runtime::Warren
        .run(&words)
        .exits(1)
        .complains("/nowhere/criu: executable file not found in $PATH")
        .complains("install it, or say --criu FILE");
    assert_eq!(Runtime::Warren.status("web"), "running");
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
}

fn a_container_goes_on_where_it_was() {
    for runtime in BOTH {
        let bundle = counting();
        let images = folder(&format!("images-{runtime:?}"));
        let run = ["run", "-d", "-b", bundle.path(), "web"];
        runtime.run(&run).succeeds();
        eventually("it counts", || count(&bundle) > 3);
        runtime
            .run(&["checkpoint", "--image-path", &images, "web"])
            .succeeds();
        let before = count(&bundle);
        assert!(runtime.is_empty(), "{runtime:?}: it has ended");
        if runtime == Runtime::Warren {
            are_for_nobody_else(Path::new(&images));
        }
        runtime.run(&restore(&bundle, &images, &["-d"])).succeeds();
        counts_on(&bundle, before);
        runtime.run(&["delete", "-f", "web"]).succeeds();
    }
}

/// They have all of its memory.
fn are_for_nobody_else(images: &Path) {
    for entry in fs::read_dir(images).expect("images") {
        let entry = entry.expect("a file");
        let mode = entry.metadata().expect("it is there").mode();
        assert_eq!(mode & 0o77, 0, "{}", entry.path().display());
    }
}

fn it_is_as_it_was_when_it_is_back() {
    let mut bundle = counting();
    bundle.set(|config| {
        let hook = |name: &str| {
            json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("echo {name} >>hooks")]}])
        };
        config["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"),
            "poststart": hook("poststart"), "poststop": hook("poststop"),
        });
        config["linux"]["resources"]["pids"] = json!({"limit": 20});
    });
    let (images, warren) = (folder("images"), Runtime::Warren);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let looks = || {
        let script = "cat /proc/1/cgroup /proc/net/dev | grep -v :.*:.*:; \
            grep -E 'Cap|NoNew|Seccomp:|Uid|Groups' /proc/1/status; readlink /proc/1/root";
        let output = warren.run(&["exec", "web", "sh", "-c", script]);
        output.succeeds().to_owned()
    };
    let before = looks();
    let checkpoint = [
        "checkpoint",
        "--leave-running",
        "--image-path",
        &images,
        "web",
    ];
    warren.run(&checkpoint).succeeds();
    assert_eq!(warren.status("web"), "running");
    warren.run(&["delete", "-f", "web"]).succeeds();
    fs::remove_file(bundle.folder.join("hooks")).expect("they were run");

    let pid_file = folder("pid");
    warren
        .run(&restore(&bundle, &images, &["-d", "--pid-file", &pid_file]))
        .succeeds();
    assert_eq!(looks(), before);
    assert_eq!(warren.status("web"), "running");
    let pid = fs::read_to_string(&pid_file).expect("it was written");
    assert_eq!(warren.state_of("web")["pid"].to_string(), pid);
    warren
        .run(&restore(&bundle, &images, &["-d"]))
        .exits(1)
        .complains("exists already");
    let limit = ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"];
    let script = format!("cat {} {} 2>/dev/null", limit[0], limit[1]);
    warren
        .run(&["exec", "web", "sh", "-c", &format!("{script}; true")])
        .has("20");
    warren.run(&["pause", "web"]).succeeds();
    assert_eq!(warren.status("web"), "paused");
    warren.run(&["resume", "web"]).succeeds();
    warren.run(&["kill", "web", "KILL"]).succeeds();
    eventually("its end", || warren.status("web") == "stopped");
    warren.run(&["delete", "web"]).succeeds();
    let hooks = fs::read_to_string(bundle.folder.join("hooks")).expect("they were run");
    assert_eq!(hooks, "prestart\ncreateRuntime\npoststart\npoststop\n");
    assert!(warren.is_empty());
}

fn mounts_have_the_flags_that_they_had() {
    let mut bundle = counting();
    bundle.set(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        for (name, options) in [
            ("one", json!(["bind", "ro"])),
            ("two", json!(["rbind", "ro", "nosuid"])),
            ("three", json!(["bind", "nodev"])),
        ] {
            let source = folder(name);
            fs::create_dir(&source).expect("make a folder");
            mounts.push(json!({
                "destination": format!("/mnt/{name}"), "source": source, "type": "bind",
                "options": options,
            }));
        }
    });
    let (images, warren) = (folder("images"), Runtime::Warren);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    // Where it is and which flags it has, without the numbers.
    let mounts = || {
        let output = warren.run(&["exec", "web", "cat", "/proc/1/mountinfo"]);
        let lines = output.succeeds().lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{} {} {}", words[3], words[4], words[5])
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    };
    let before = mounts();
    warren
        .run(&["checkpoint", "--image-path", &images, "web"])
        .succeeds();
    // Another root, where nothing is there yet to mount on.
    fs::remove_dir_all(bundle.root().join("mnt")).expect("it was made");
    warren.run(&restore(&bundle, &images, &["-d"])).succeeds();
    assert_eq!(mounts(), before);
    warren.run(&["delete", "-f", "web"]).succeeds();
}

fn memory_is_written_down_before() {
    let bundle = counting();
    let (images, older, warren) = (folder("images"), folder("older"), Runtime::Warren);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    let before = ["checkpoint", "--pre-dump", "--image-path", &older, "web"];
    let output = warren.run(&before);
    if !tracks_memory() {
        output.exits(1).complains("CONFIG_MEM_SOFT_DIRTY");
        warren.run(&["delete", "-f", "web"]).succeeds();
        return;
    }
    output.succeeds();
    assert_eq!(warren.status("web"), "running");
    let parent = ["checkpoint", "--parent-path", "../older"];
    warren
        .run(&[&parent[..], &["--image-path", &images, "web"]].concat())
        .succeeds();
    let count = count(&bundle);
    warren.run(&restore(&bundle, &images, &["-d"])).succeeds();
    counts_on(&bundle, count);
    warren.run(&["delete", "-f", "web"]).succeeds();
}

/// As criu itself says.
fn tracks_memory() -> bool {
    let mut criu = program("criu");
    criu.args(["check", "--feature", "mem_dirty_track"]);
    run(&mut criu).code() == 0
}

fn its_terminal_goes_to_the_socket() {
    let script = r"
import array, os, select, socket, subprocess, sys
warren, bundle, images = sys.argv[1:-2], sys.argv[-2], sys.argv[-1]
def begin(name, words):
    server = socket.socket(socket.AF_UNIX)
    server.bind(name); server.listen(1)
    subprocess.run(warren + words + ['--console-socket', name, '-b', bundle, 'web'], check=True)
    taken, _ = server.accept()
    _, data, _, _ = taken.recvmsg(100, socket.CMSG_SPACE(4))
    return array.array('i', data[0][2])[0]
def hears(master, typed, wanted):
    os.write(master, typed)
    shown = b''
    while wanted not in shown and select.select([master], [], [], 60)[0]:
        shown += os.read(master, 1000)
    print(shown.decode())
master = begin('first', ['run', '-d'])
hears(master, b'one\n', b'heard one')
subprocess.run(warren + ['checkpoint', '--image-path', images, 'web'], check=True)
os.close(master)
master = begin('second', ['restore', '-d', '--image-path', images])
hears(master, b'two\n', b'heard two')
";
    let line = "while read word; do echo heard $word; done";
    let mut bundle = Bundle::new(&["sh", "-c", line]);
    bundle.set(|config| config["process"]["terminal"] = json!(true));
    let command = Runtime::Warren.command(&[]);
    let mut python = program("python3");
    python.args(["-c", script]).arg(command.get_program());
    python.args(command.get_args());
    python.args([bundle.path(), &folder("images")]);
    run(&mut python).has("heard one").has("heard two");
    Runtime::Warren.run(&["delete", "-f", "web"]).succeeds();
}

fn whoever_stays_has_its_exit_code() {
    let line = "exec </dev/null; n=0; until test -e /tmp/end; do sleep 0.1; done; exit 7";
    let bundle = Bundle::new(&["sh", "-c", line]);
    let (images, warren) = (folder("images"), Runtime::Warren);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    warren
        .run(&["checkpoint", "--image-path", &images, "web"])
        .succeeds();
    fs::write(bundle.root().join("tmp/end"), "").expect("make a file");
    warren.run(&restore(&bundle, &images, &[])).exits(7);
    assert!(warren.is_empty());
}

fn a_network_that_was_there_is_joined_again() {
    let _folder = NetnsFolder::before_ip();
    let mut bundle = counting();
    let name = format!("warren-oci-{}", std::process::id());
    bundle.set(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        for one in namespaces.expect("a list") {
            if one["type"] == "network" {
                one["path"] = json!(format!("/run/netns/{name}"));
            }
        }
    });
    let ip = |words: &[&str]| run(program("ip").args(words)).succeeds().to_owned();
    let (images, warren) = (folder("images"), Runtime::Warren);
    ip(&["netns", "add", &name]);
    ip(&[
        "-n", &name, "link", "add", "w0", "type", "veth", "peer", "name", "w1",
    ]);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    warren
        .run(&["checkpoint", "--image-path", &images, "web"])
        .succeeds();
    warren.run(&restore(&bundle, &images, &["-d"])).succeeds();
    warren
        .run(&["exec", "web", "cat", "/proc/net/dev"])
        .has("w0:");
    warren.run(&["delete", "-f", "web"]).succeeds();
    ip(&["netns", "del", &name]);
}

fn a_restore_that_fails_leaves_nothing() {
    let mut bundle = counting();
    let (images, warren) = (folder("images"), Runtime::Warren);
    warren
        .run(&["run", "-d", "-b", bundle.path(), "web"])
        .succeeds();
    warren
        .run(&["checkpoint", "--image-path", &images, "web"])
        .succeeds();
    bundle.set(|config| {
        let hook = json!([{"path": "/bin/false"}]);
        config["hooks"] = json!({"createRuntime": hook});
    });
    warren
        .run(&restore(&bundle, &images, &["-d"]))
        .exits(1)
        .complains("error running createRuntime hook #0");
    assert!(warren.is_empty());
    bundle.set(|config| config["hooks"] = Value::Null);
    // Of a process that criu needs nothing is there.
    fs::remove_file(Path::new(&images).join("core-1.img")).expect("it was written");
    warren
        .run(&restore(&bundle, &images, &["-d"]))
        .exits(1)
        .complains("criu failed: type RESTORE")
        .complains("restore.log");
    assert!(warren.is_empty());
}
