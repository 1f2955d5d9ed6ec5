//! Who has names in an image, a volume or a procfs lead elsewhere.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use serde_json::{Value, json};
use warren_testkit::{Test, program, run, scratch, tests, warren};

use super::super::run_to_files;
use super::{Bundle, WARREN, mount_nothing_on_dev};

pub const TESTS: &[Test] = tests! {
    Root:
        a_place_that_is_exchanged_meanwhile_leads_nowhere,
        a_null_device_of_the_image_covers_nothing,
        a_terminal_by_its_name_would_be_anothers,
        a_setting_is_written_to_the_kernel_alone,
        control_groups_cannot_be_written,
        a_user_can_write_no_group_that_is_shown_with_sys,
        hundreds_of_long_mounts_are_all_there;
};

fn mount(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("a list").push(mount);
}

/// A folder of the host that nothing may be made in.
fn outside() -> PathBuf {
    let folder = scratch().join("outside");
    fs::create_dir(&folder).expect("make a folder");
    folder
}

/// CVE-2021-30465, CVE-2024-45310, CVE-2019-18837: a neighbour exchanges a folder of a shared
/// volume with a link, all the time that containers are made with mounts in it.
fn a_place_that_is_exchanged_meanwhile_leads_nowhere() {
    const ROUNDS: usize = 30;
    const ENOUGH: Duration = Duration::from_secs(6);
    const EXCHANGE: &str = "import ctypes, os, sys\n\
        libc = ctypes.CDLL(None)\n\
        os.chdir(sys.argv[1])\n\
        while True:\n    libc.renameat2(-100, b'folder', -100, b'link', 2)\n";
    let outside = outside();
    let shared = scratch().join("shared");
    fs::create_dir_all(shared.join("folder")).expect("make a folder");
    symlink(&outside, shared.join("link")).expect("make a link");
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| {
        let volume = json!({"destination": "/mnt", "source": shared,
            "options": ["bind"]});
        mount(config, volume);
        for (place, kind) in [("made/here", "tmpfs"), ("else/where", "tmpfs")] {
            let place = format!("/mnt/folder/{place}");
            mount(config, json!({"destination": place, "type": kind}));
        }
        mount(
            config,
            json!({"destination": "/mnt/folder/file", "source": "/etc/hostname",
                "options": ["bind"]}),
        );
    });
    let mut racer = program("python3")
        .args(["-c", EXCHANGE])
        .arg(&shared)
        .spawn()
        .expect("start the racer");
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        if begin.elapsed() > ENOUGH {
            break;
        }
        // It may fail, as the link leads to nothing inside.
        let _ = WARREN.run_bundle(&bundle, "web");
        assert!(WARREN.is_empty());
        let made = fs::read_dir(&outside).expect("it is there").count();
        if made > 0 {
            let _ = racer.kill();
        }
        assert_eq!(made, 0, "something was made on the host");
        for name in ["made", "else", "file"] {
            let place = shared.join("folder").join(name);
            let _ = fs::remove_dir_all(&place).or_else(|_| fs::remove_file(&place));
        }
    }
    racer.kill().expect("end the racer");
    racer.wait().expect("wait for the racer");
}

/// CVE-2025-31133: the null device with which files are masked is not the image's, which may
/// be a link to what is to be written.
fn a_null_device_of_the_image_covers_nothing() {
    let mut bundle = Bundle::new(&["sh", "-c", "cat /etc/secret /etc/other; echo end"]);
    fs::write(bundle.root().join("etc/secret"), "secret").expect("make a file");
    fs::write(bundle.root().join("etc/other"), "other").expect("make a file");
    symlink("../etc/other", bundle.root().join("dev/null")).expect("make a link");
    bundle.set(|config| {
        mount_nothing_on_dev(config);
        config["linux"]["maskedPaths"] = json!(["/etc/secret", "/proc/kcore"]);
    });
    WARREN.run_bundle(&bundle, "web").says("otherend");
}

/// CVE-2025-52565: names in /dev/pts are the image's, where no devpts is mounted; here each
/// leads to a terminal of somebody else's.
fn a_terminal_by_its_name_would_be_anothers() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let master = rustix::pty::openpt(flags).expect("make a terminal");
    rustix::pty::unlockpt(&master).expect("unlock it");
    let other = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
    let other = other.to_str().expect("its name is text");
    let mut bundle = Bundle::new(&["echo", "well"]);
    let names = bundle.root().join("dev/pts");
    fs::create_dir(&names).expect("make a folder");
    symlink("/dev/ptmx", names.join("ptmx")).expect("make a link");
    for number in 0..64 {
        symlink(other, names.join(number.to_string())).expect("make a link");
    }
    bundle.set(|config| {
        mount_nothing_on_dev(config);
        config["process"]["terminal"] = json!(true);
    });
    // Kept open, for what nobody has open cannot be read.
    let slave = rustix::fs::open(other, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
    let slave = slave.expect("open it");
    // What nobody has opened has no end that could be waited for.
    let command = WARREN.command(&["run", "--bundle", bundle.path(), "web"]);
    let mut timeout = program("timeout");
    timeout
        .args(["-s", "KILL", "10"])
        .arg(command.get_program());
    let output = run_to_files(timeout.args(command.get_args()));
    rustix::io::ioctl_fionbio(&master, true).expect("not to wait");
    let said = rustix::io::read(&master, &mut [0; 64]);
    assert_eq!(
        said,
        Err(rustix::io::Errno::AGAIN),
        "written to another's terminal"
    );
    drop(slave);
    output.complains("open a terminal");
    assert!(WARREN.is_empty());
}

/// CVE-2025-52881: what is written goes to a procfs, whatever is mounted in it.
fn a_setting_is_written_to_the_kernel_alone() {
    let fake = "/proc/sys/net/ipv4/ip_forward";
    let script = format!(
        "mount -t tmpfs none /proc/sys/net && mkdir /proc/sys/net/ipv4 && echo 0 >{fake}; \
         \"$@\"; code=$?; cat {fake}; exit $code"
    );
    let mut bundle = Bundle::new(&["true"]);
    bundle.set(|config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    });
    let command = WARREN.command(&["run", "--bundle", bundle.path(), "web"]);
    let mut unshare = program("unshare");
    unshare.args(["--mount", "sh", "-c", &script, "sh"]);
    let output = run(unshare.arg(command.get_program()).args(command.get_args()));
    output.exits(1).complains("ip_forward").has("0");
    assert!(WARREN.is_empty());
}

/// CVE-2022-0492, CVE-2023-25809: no group can be changed from inside, its own included, nor
/// is there a release agent.
fn control_groups_cannot_be_written() {
    let script = "cd /sys/fs/cgroup; for group in . * */*; do \
        for file in cgroup.procs notify_on_release release_agent; do \
        [ -e $group/$file ] && echo $file && true >>$group/$file && echo opened; done; \
        mkdir $group/new && echo made; done 2>/dev/null; echo end";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.set(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
        }
    });
    let output = WARREN.run_bundle(&bundle, "web");
    let text = output.has("cgroup.procs").lacks("opened").lacks("made");
    text.lacks("release_agent").has("end");
}

/// CVE-2023-25809: a group that belongs to the user is mounted with /sys, which is shown to
/// who has no network namespace of its own.
fn a_user_can_write_no_group_that_is_shown_with_sys() {
    const USER: u32 = 100_000;
    let bundle = Bundle::new(&["true"]);
    let name = format!("{}-owned", bundle.group());
    let groups = groups(&name);
    for group in &groups {
        fs::create_dir(group).expect("make a group");
        for file in ["", "cgroup.procs"] {
            chown(group.join(file), Some(USER), Some(USER)).expect("give it away");
        }
    }
    let folder = scratch().join("rootless");
    fs::create_dir(&folder).expect("make a folder");
    let path = folder.to_str().expect("a scratch folder is text");
    run(&mut warren(["oci", "spec", "--rootless", "--bundle", path])).succeeds();
    let text = fs::read_to_string(folder.join("config.json")).expect("it was written");
    let mut config: Value = serde_json::from_str(&text).expect("it is JSON");
    let script = format!(
        "for group in /sys/fs/cgroup/{name} /sys/fs/cgroup/*/{name}; do \
         [ -e $group/cgroup.procs ] || continue; echo found; \
         mkdir $group/in 2>/dev/null && echo made; done; id -u"
    );
    config["process"]["args"] = json!(["sh", "-c", script]);
    config["process"]["terminal"] = json!(false);
    config["root"]["path"] = json!(bundle.root());
    for map in ["uidMappings", "gidMappings"] {
        config["linux"][map][0]["hostID"] = json!(USER);
    }
    config["linux"]["cgroupsPath"] = json!(format!("/{}", bundle.group()));
    fs::write(folder.join("config.json"), config.to_string()).expect("write it");
    let output = WARREN.run(&["run", "--bundle", path, "web"]);
    for group in &groups {
        let _ = fs::remove_dir(group.join("in"));
        fs::remove_dir(group).expect("remove the group");
    }
    output.has("found").has("0").lacks("made");
}

/// A group of this name in each hierarchy in which one can be made at once.
fn groups(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let all = fs::read_dir(root).expect("it is mounted").flatten();
    let all = all.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let roots = all.map(|entry| entry.path()).chain([root.to_owned()]);
    let is_root = |path: &PathBuf| {
        // A group of v2 below the root is none of a hierarchy.
        path.join("cgroup.procs").exists()
            && (path == root || !root.join("cgroup.procs").exists())
    };
    roots.filter(is_root).map(|path| path.join(name)).collect()
}

/// CVE-2021-43784: a length that was told in 16 bits.
fn hundreds_of_long_mounts_are_all_there() {
    let script = "ls /mnt | wc -l; cat /mnt/399/*/*/file";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    let long = format!("{}/{}", "a".repeat(120), "b".repeat(120));
    let source = scratch().join("source").join(&long);
    fs::create_dir_all(&source).expect("make a folder");
    fs::write(source.join("file"), "last").expect("make a file");
    symlink("busybox", bundle.root().join("bin/wc")).expect("make a link");
    bundle.set(|config| {
        for number in 0..400 {
            let place = format!("/mnt/{number}/{long}");
            let bind = json!({"destination": place, "source": source,
                "options": ["bind"]});
            mount(config, bind);
        }
    });
    WARREN.run_bundle(&bundle, "web").says("400\nlast");
}
