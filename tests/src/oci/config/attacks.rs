//! Attacks on container runtimes by what a bundle says or an image has in it: each is tried
//! on what falls to it, a runtime of Debian's or the plain command, and on Warren.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;
use warren_testkit::{Test, program, run, scratch, tests};

use super::Bundle;

pub const TESTS: &[Test] = tests! {
    Root:
        a_dev_that_is_a_link_makes_nothing_on_the_host,
        a_proc_or_sys_that_is_a_link_is_refused,
        nothing_but_a_procfs_is_mounted_on_proc,
        a_working_folder_behind_a_descriptor_is_refused,
        a_null_device_that_is_a_link_unmasks_nothing,
        a_destination_that_changes_meanwhile_leads_nowhere,
        a_setting_cannot_carry_another,
        a_program_has_no_descriptor_of_the_host,
        a_passwd_that_is_a_link_tells_nothing_of_the_host,
        the_hosts_mounts_are_the_same_afterwards;
};

/// A folder of the host that nothing may be made in.
fn outside() -> PathBuf {
    let folder = scratch().join("outside");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("make a folder");
    folder
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).expect("the folder").count()
}

/// An image in which `name` is a link to a folder of the host.
fn linked(mut bundle: Bundle, name: &str, target: &Path) -> Bundle {
    let place = bundle.root().join(name);
    fs::remove_dir(&place).expect("remove the folder");
    symlink(target, place).expect("make a link");
    let destination = format!("/{name}");
    let mounts = bundle.config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|mount| {
        let path = mount["destination"].as_str().unwrap_or_default();
        name != "dev" || !path.starts_with(&destination)
    });
    bundle
}

/// CVE-2026-41579 of runc, CVE-2026-47766 of crun: where nothing is mounted on /dev, its
/// devices are made wherever it leads.
fn a_dev_that_is_a_link_makes_nothing_on_the_host() {
    let outside = outside();
    let bundle = linked(Bundle::new(&[]), "dev", &outside);
    // Debian's falls to it.
    bundle.runc("true");
    assert!(entries(&outside) > 0, "the attack is one");
    let outside = self::outside();
    bundle.ours("true").is_refused("usual links in /dev");
    assert_eq!(entries(&outside), 0);
}

/// CVE-2023-27561, CVE-2023-28642, CVE-2025-54867: what is masked and labelled would be
/// elsewhere.
fn a_proc_or_sys_that_is_a_link_is_refused() {
    for name in ["proc", "sys"] {
        let bundle = linked(Bundle::new(&[]), name, Path::new("/tmp"));
        bundle.is_refused_as_by_runc(&format!(
            "at /{name}: Too many levels of symbolic links"
        ));
        // A plain mount follows it.
        let place = bundle.root().join(name);
        let script = format!(
            "mount -t {name}fs{} none {} 2>/dev/null || mount -t proc none {}; \
             stat -f -c %T /tmp",
            if name == "proc" { "x" } else { "" },
            place.display(),
            place.display()
        );
        let output = run(program("unshare").args(["--mount", "sh", "-c", &script]));
        output.expect(
            "followed",
            output.stdout.contains("proc") || output.stdout.contains("sysfs"),
        );
    }
}

/// CVE-2019-16884, CVE-2019-19921.
fn nothing_but_a_procfs_is_mounted_on_proc() {
    for (destination, what) in [
        ("/proc", json!({"type": "tmpfs", "source": "tmpfs"})),
        ("/proc", json!({"source": "/tmp", "options": ["bind"]})),
        ("/proc/self", json!({"source": "/tmp", "options": ["bind"]})),
        ("/proc/self/attr", json!({"type": "tmpfs"})),
        (
            "/proc/sys/kernel/core_pattern",
            json!({"source": "/etc/passwd", "options": ["bind"]}),
        ),
        ("/link/self", json!({"source": "/tmp", "options": ["bind"]})),
    ] {
        let mut mount = what;
        mount["destination"] = json!(destination);
        let bundle = Bundle::with_mount(mount);
        symlink("/proc", bundle.root().join("link")).expect("make a link");
        bundle.ours("true").is_refused("a procfs");
    }
    // A plain mount does it.
    let script = "mount -t tmpfs none /proc && stat -f -c %T /proc";
    run(program("unshare").args(["--mount", "sh", "-c", script])).says("tmpfs");
    // Figures of the machine may be covered, as LXCFS does.
    let mount = json!({"destination": "/proc/uptime", "source": "/etc/hostname",
        "options": ["bind", "ro"]});
    Bundle::with_mount(mount).as_runc("stat -c %s /proc/uptime");
}

/// CVE-2024-21626.
fn a_working_folder_behind_a_descriptor_is_refused() {
    for fd in 3..12 {
        let cwd = format!("/proc/self/fd/{fd}");
        let bundle = Bundle::new(&[("process/cwd", json!(cwd))]);
        bundle.ours("pwd").is_refused(&cwd);
        let bundle = Bundle::new(&[("process/cwd", json!("/work"))]);
        symlink(&cwd, bundle.root().join("work")).expect("make a link");
        bundle.ours("pwd").is_refused("/work");
    }
    // Whoever follows such a link is out.
    let script = format!(
        "exec 5<{}; chroot {} 2>/dev/null; cd /proc/self/fd/5 && pwd -P",
        "/usr", "/"
    );
    run(program("sh").args(["-c", &script])).says("/usr");
}

/// CVE-2025-31133: what is masked is covered by the image's own /dev/null.
fn a_null_device_that_is_a_link_unmasks_nothing() {
    let bundle = Bundle::new(&[("linux/maskedPaths", json!(["/etc/secret"]))]);
    fs::write(bundle.root().join("etc/secret"), "text").expect("make a file");
    fs::write(bundle.root().join("etc/other"), "other").expect("make a file");
    let null = bundle.root().join("dev/null");
    symlink("../etc/other", &null).expect("make a link");
    bundle.ours("cat /etc/secret | wc -c").says("0");
    // A bind of what the path leads to shows that.
    let script = format!(
        "mount --bind {} {1} && cat {1}",
        null.display(),
        bundle.root().join("etc/secret").display()
    );
    run(program("unshare").args(["--mount", "sh", "-c", &script])).says("other");
}

/// CVE-2021-30465, CVE-2024-45310: a folder that another container can write is exchanged
/// with a link between the look and the mount.
fn a_destination_that_changes_meanwhile_leads_nowhere() {
    const ROUNDS: usize = 40;
    let outside = outside();
    let shared = scratch().join("shared");
    fs::create_dir_all(shared.join("folder/in")).expect("make a folder");
    symlink(
        format!("../../../../../..{}", outside.display()),
        shared.join("link"),
    )
    .expect("make a link");
    let mut bundle = Bundle::with_mount(
        json!({"destination": "/mnt", "source": shared, "options": ["bind"]}),
    );
    bundle.mount(json!({"destination": "/mnt/folder/in", "type": "tmpfs"}));
    bundle.mount(
        json!({"destination": "/mnt/folder/made/here", "source": "/usr",
        "options": ["bind"]}),
    );
    bundle.mount(
        json!({"destination": "/mnt/folder/file", "source": "/etc/passwd",
        "options": ["bind"]}),
    );
    let exchange = "import ctypes, os, sys\n\
        libc = ctypes.CDLL(None)\n\
        os.chdir(sys.argv[1])\n\
        while os.getppid() != 1:\n    libc.renameat2(-100, b'folder', -100, b'link', 2)\n";
    let mut racer = program("python3")
        .args(["-c", exchange])
        .arg(&shared)
        .spawn()
        .expect("start the racer");
    for _ in 0..ROUNDS {
        // It may fail, as the link leads to nothing inside.
        bundle.ours("true");
        assert_eq!(entries(&outside), 0, "something was made on the host");
    }
    racer.kill().expect("end the racer");
    racer.wait().expect("wait for the racer");
    // By the path of the host, as runtimes did it, the link is followed.
    let path = shared.join("folder");
    let path = if path.is_symlink() {
        path
    } else {
        shared.join("link")
    };
    let place = outside.join("there");
    let script = format!(
        "cd {} && ln -sfn {} direct && mkdir direct/there",
        shared.display(),
        outside.display()
    );
    run(program("sh").args(["-c", &script])).succeeds();
    assert!(path.is_symlink() && place.exists(), "the attack is one");
}

/// CVE-2022-0811: the value of one setting brings another along.
fn a_setting_cannot_carry_another() {
    for value in ["1+kernel.core_pattern=|/x", "1\nkernel.core_pattern=|/x"] {
        let settings = json!({"kernel.shm_rmid_forced": value});
        let bundle = Bundle::new(&[("linux/sysctl", settings)]);
        let before = fs::read("/proc/sys/kernel/core_pattern").expect("a setting");
        bundle.ours("true");
        let after = fs::read("/proc/sys/kernel/core_pattern").expect("a setting");
        assert_eq!(before, after);
    }
}

fn a_program_has_no_descriptor_of_the_host() {
    let bundle = Bundle::new(&[]);
    bundle.as_runc("ls /proc/self/fd | sort -n | head -n 4 | tr '\\n' ' '");
    let output =
        bundle.ours("readlink /proc/$$/fd/* | grep -v -e pipe: -e /dev/null -e socket:");
    output.expect("none", output.stdout.trim().is_empty());
}

/// HOME is read from the image's passwd by the host's process.
fn a_passwd_that_is_a_link_tells_nothing_of_the_host() {
    let bundle = Bundle::new(&[]);
    let passwd = bundle.root().join("etc/passwd");
    symlink("/etc/passwd", &passwd).expect("make a link");
    bundle.ours("echo $HOME").says("/");
    fs::remove_file(&passwd).expect("remove it");
    let root = format!("../../../../../../..{}", scratch().display());
    fs::write(scratch().join("theirs"), "r:x:0:0::/secret:\n").expect("make a file");
    symlink(format!("{root}/theirs"), &passwd).expect("make a link");
    bundle.ours("echo $HOME").says("/");
    fs::remove_file(&passwd).expect("remove it");
    // One that never ends, or never begins.
    run(program("mkfifo").arg(&passwd)).succeeds();
    bundle.ours("echo $HOME").says("/");
    let kind = fs::symlink_metadata(&passwd)
        .expect("it is there")
        .file_type();
    assert!(kind.is_fifo());
}

fn the_hosts_mounts_are_the_same_afterwards() {
    let script = "mount --make-rshared /; cd /; before=$(wc -l </proc/self/mountinfo); \
        \"$1\" run --from oci \"$2\"; [ $before = $(wc -l </proc/self/mountinfo) ] && echo same";
    for word in ["", "slave", "shared", "rshared", "rslave", "private"] {
        let mut bundle = Bundle::new(&[]);
        if !word.is_empty() {
            bundle.set("linux/rootfsPropagation", json!(word));
        }
        bundle.write("true");
        let mut shell = program("unshare");
        shell.args(["--mount", "sh", "-c", script, "sh"]);
        run(shell
            .arg(warren_testkit::staged("warren"))
            .arg(&bundle.folder))
        .says("same");
    }
}
