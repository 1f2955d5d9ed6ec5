//! What a hostile image or a hostile neighbour can try.
//!
//! `cargo xtask weaken` holds these tests against builds of which one defence is switched
//! off (docs/testing.md).

pub mod ids;
pub mod mounts;
pub mod processes;

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use warren_testkit::{Running, Test, eventually, scratch, staged, tests};

use super::{Bundle, Runtime};

pub const TESTS: &[Test] = tests! {
    Root:
        the_binary_cannot_be_written_by_an_image_that_executes_it,
        the_binary_cannot_be_written_by_who_meets_an_exec,
        the_binary_cannot_be_written_where_it_is_executed_again,
        a_container_has_no_descriptor_of_the_host,
        a_working_folder_does_not_lead_out,
        a_program_is_none_of_the_host,
        nothing_is_made_through_a_dev_that_is_a_link,
        proc_and_sys_are_what_they_are_called,
        state_is_its_owners_alone;
};

const WARREN: Runtime = Runtime::Warren;

/// CVE-2019-5736: the image has the runtime executed in its stead, and holds it.
fn the_binary_cannot_be_written_by_an_image_that_executes_it() {
    let mut bundle = Bundle::new(&["/bin/entry"]);
    let entry = bundle.root().join("bin/entry");
    fs::write(&entry, "#!/proc/self/exe\n").expect("write a script");
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)).expect("chmod");
    everything_allowed(&mut bundle);
    // It is this binary that runs inside, and says that it knows no such command.
    WARREN.run_bundle(&bundle, "web").complains("warren");
    let script = "exec 3</proc/self/exe; exec 4<&-; echo well";
    bundle.set(|config| config["process"]["args"] = json!(["sh", "-c", script]));
    WARREN.run_bundle(&bundle, "web").says("well");
    bundle.set(|config| config["process"]["args"] = json!(["/proc/self/exe", "ls"]));
    let words = ["run", "-d", "--bundle", bundle.path(), "web"];
    let _ = WARREN.run(&words);
    let _ = WARREN.run(&["delete", "--force", "web"]);
    let maps = hold_and_write(&mut bundle, None);
    assert!(!has_written_pages_of_a_file(&maps), "{maps}");
}

/// What cannot be exchanged is executed again, from the same mount.
fn the_binary_cannot_be_written_where_it_is_executed_again() {
    let mut bundle = Bundle::new(&["true"]);
    let maps = hold_and_write(&mut bundle, Some("mremap"));
    assert!(has_written_pages_of_a_file(&maps), "{maps}");
    bundle.set(|config| config["process"]["args"] = json!(["echo", "well"]));
    let words = ["run", "--bundle", bundle.path(), "web"];
    WARREN.run_without(Some("mremap"), &words).says("well");
    assert!(WARREN.is_empty());
}

/// As a program has that the kernel executed: those of an exchanged one are of no file.
fn has_written_pages_of_a_file(maps: &str) -> bool {
    maps.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, access, _, _, inode, ..] if *access == "rw-p" && *inode != "0")
    })
}

/// So that all of /dev is the image's.
fn mount_nothing_on_dev(config: &mut Value) {
    let is_dev = |path: &str| path.starts_with("/dev");
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|one| !one["destination"].as_str().is_some_and(is_dev));
}

fn everything_allowed(bundle: &mut Bundle) {
    bundle.set(|config| {
        let all = json!([
            "CAP_DAC_OVERRIDE",
            "CAP_DAC_READ_SEARCH",
            "CAP_FOWNER",
            "CAP_SYS_PTRACE",
            "CAP_SYS_ADMIN",
            "CAP_KILL"
        ]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone();
        }
        config["process"]["noNewPrivileges"] = json!(false);
    });
}

/// A container that waits for its start is this binary: what is opened of it through /proc,
/// by whoever may see it, cannot be written. Gives what it has mapped.
fn hold_and_write(bundle: &mut Bundle, without: Option<&str>) -> String {
    bundle.set(|config| config["process"]["args"] = json!(["sleep", "100"]));
    WARREN
        .run_without(without, &["create", "-b", bundle.path(), "web"])
        .succeeds();
    let pid = WARREN.state_of("web")["pid"].clone();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("root may look");
    let exe = format!("/proc/{pid}/exe");
    let held = fs::File::open(&exe).expect("root may look");
    WARREN.run(&["delete", "-f", "web"]).succeeds();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
    let error = OpenOptions::new()
        .write(true)
        .open(again)
        .expect_err("it is read-only");
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    let whole = fs::metadata(staged("warren")).expect("it is there");
    assert_eq!(whole.len(), held.metadata().expect("it is open").len());
    maps
}

/// CVE-2016-9962 and 2019-5736: a process with CAP_SYS_PTRACE looks at all that comes in.
fn the_binary_cannot_be_written_by_who_meets_an_exec() {
    let script = "while :; do for exe in /proc/[0-9]*/exe; do \
        case $(readlink $exe) in *busybox*|'') ;; *) \
            if echo x 2>/dev/null >>$exe; then echo written; else echo met; fi;; \
        esac; done; done";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    everything_allowed(&mut bundle);
    let words = ["run", "--bundle", bundle.path(), "web"];
    let mut watch = Running::start(&mut WARREN.command(&words));
    until_it_runs("web");
    let before = fs::read(staged("warren")).expect("it is there").len();
    for _ in 0..20 {
        WARREN.run(&["exec", "web", "true"]).succeeds();
    }
    WARREN.run(&["kill", "web", "KILL"]).succeeds();
    while let Some(line) = watch.line_or_end() {
        assert_ne!(line, "written");
    }
    watch.ends();
    assert_eq!(
        fs::read(staged("warren")).expect("it is there").len(),
        before
    );
    assert!(WARREN.is_empty());
}

/// Whoever has just been told to make it may not have begun.
fn until_it_runs(id: &str) {
    let is_there = || WARREN.run(&["state", id]).code() == 0;
    eventually("its run", || is_there() && WARREN.status(id) == "running");
}

/// CVE-2024-21626.
fn a_container_has_no_descriptor_of_the_host() {
    let bundle = Bundle::new(&["ls", "-l", "/proc/self/fd"]);
    let file = fs::File::open("/etc").expect("a folder of the host");
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).expect("inherited");
    let output = WARREN.run_bundle(&bundle, "web");
    let text = output.succeeds();
    assert!(!text.contains("/etc"), "{text}");
    // 0 to 2; the folder that ls(1) reads is closed when its name is looked up.
    assert_eq!(text.matches(" -> ").count(), 3, "{text}");
}

/// CVE-2024-21626.
fn a_working_folder_does_not_lead_out() {
    for number in 3..20 {
        let mut bundle = Bundle::new(&["ls", "../../../../etc/passwd"]);
        bundle.set(|config| {
            config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        });
        let output = WARREN.run_bundle(&bundle, "web");
        assert_ne!(output.code(), 0, "{number}");
        assert!(WARREN.is_empty());
        fs::remove_dir_all(&bundle.folder).expect("remove the bundle");
    }
}

/// CVE-2024-21626: what an image names as its program, or as the interpreter of that, is
/// looked for while descriptors of the host may be open, which lead to its whole tree.
fn a_program_is_none_of_the_host() {
    // By its name it says what it is called with.
    let outside = scratch().join("echo");
    let busybox = Bundle::new(&["true"]).root().join("bin/busybox");
    fs::copy(busybox, &outside).expect("a program of the host");
    let mut bundle = Bundle::new(&["sleep", "100"]);
    WARREN
        .run(&["run", "-d", "--bundle", bundle.path(), "running"])
        .succeeds();
    let entry = bundle.root().join("bin/entry");
    for number in 3..30 {
        let up = "../".repeat(8);
        let leads_out = format!("/proc/self/fd/{number}/{up}{}", outside.display());
        fs::write(&entry, format!("#!{leads_out}\n")).expect("write a script");
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o755)).expect("chmod");
        for words in [[leads_out.as_str(), "reached"], ["/bin/entry", "reached"]] {
            bundle.set(|config| {
                config["process"]["args"] = json!(words);
                let group = format!("/warren-oci-{}-web", std::process::id());
                config["linux"]["cgroupsPath"] = json!(group);
            });
            let ran = WARREN.run_bundle(&bundle, "web");
            assert_ne!(ran.code(), 0, "{words:?} as the first program");
            let ran = WARREN.run(&["exec", "running", words[0], words[1]]);
            assert_ne!(ran.code(), 0, "{words:?} in a container that runs");
        }
    }
    WARREN.run(&["delete", "--force", "running"]).succeeds();
    assert!(WARREN.is_empty());
}

/// CVE-2026-41579.
fn nothing_is_made_through_a_dev_that_is_a_link() {
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    for has_mount in [true, false] {
        let mut bundle = Bundle::new(&["true"]);
        fs::remove_dir(bundle.root().join("dev")).expect("remove /dev");
        symlink(&outside, bundle.root().join("dev")).expect("make a link");
        bundle.set(|config| {
            if !has_mount {
                mount_nothing_on_dev(config);
            }
        });
        let _ = WARREN.run_bundle(&bundle, "web");
        let entries = fs::read_dir(&outside).expect("it is there").count();
        assert_eq!(entries, 0, "with a mount: {has_mount}");
        assert!(WARREN.is_empty());
    }
}

/// CVE-2023-27561, 2023-28642, 2025-54867 and 2019-19921.
fn proc_and_sys_are_what_they_are_called() {
    for name in ["proc", "sys"] {
        let bundle = Bundle::new(&["true"]);
        fs::remove_dir(bundle.root().join(name)).expect("remove it");
        symlink("tmp", bundle.root().join(name)).expect("make a link");
        let output = WARREN.run_bundle(&bundle, "web");
        assert_eq!(output.code(), 1, "{name}");
        assert!(WARREN.is_empty());
    }
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| config["mounts"][0]["type"] = json!("tmpfs"));
    WARREN
        .run_bundle(&bundle, "web")
        .exits(1)
        .complains("/proc");
}

fn state_is_its_owners_alone() {
    let bundle = Bundle::new(&["sleep", "100"]);
    WARREN
        .run(&["create", "-b", bundle.path(), "web"])
        .succeeds();
    let mode = |path: &std::path::Path| {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    let folder = WARREN.state().join("web");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("state.json")), 0o600);
    WARREN.run(&["delete", "web"]).succeeds();
}
