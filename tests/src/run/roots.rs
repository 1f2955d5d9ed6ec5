//! `--host-root`, `--root` and what is bound into them.

use std::fs;
use std::path::Path;

use warren_testkit::{Test, run, scratch, tests, warren};

use super::{inside, inside_with};

pub const TESTS: &[Test] = tests! {
    Both:
        the_host_root_is_whole_and_read_only,
        each_folder_of_an_overlaid_host_is_an_overlay,
        no_root_has_another_one_below_it,
        here_is_the_folder_it_was_started_in,
        a_bind_is_writable_and_a_read_only_bind_is_not,
        binds_happen_in_the_order_given,
        a_symlink_and_a_tmpfs_are_made,
        another_root_is_read_only_unless_told,
        an_ephemeral_root_takes_writes_and_keeps_none,
        a_missing_source_of_a_bind_is_refused_by_name,
        a_missing_root_is_refused_by_name;
    Root:
        an_overlay_of_the_host_takes_any_change_and_keeps_none,
        the_contained_root_is_nobody_to_the_hosts_files;
};

fn the_host_root_is_whole_and_read_only() {
    let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let output = inside_with(&["--host-root"], "cat /etc/passwd");
    assert_eq!(output.succeeds(), passwd.trim_end_matches('\n'));
    inside_with(&["--host-root"], "touch /usr/x")
        .complains("Read-only file system")
        .exits(1);
}

/// The filesystem types of all mounts at `point`, the covered ones too.
#[track_caller]
fn mounted_at(point: &str, options: &[&str]) -> Vec<String> {
    let output = inside_with(
        options,
        "while read -r line; do echo \"$line\"; done \
        </proc/self/mountinfo",
    );
    let lines = output.succeeds().lines();
    let here = lines.filter(|line| line.split(' ').nth(4) == Some(point));
    here.filter_map(|line| line.split_once(" - ")?.1.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn each_folder_of_an_overlaid_host_is_an_overlay() {
    for folder in ["/usr", "/etc", "/var"] {
        assert_eq!(mounted_at(folder, &["--host-root=overlay"]), ["overlay"]);
    }
}

fn no_root_has_another_one_below_it() {
    let root = small_root();
    let usr = ["--ro-bind", "/usr", "/usr"];
    for options in [
        &[][..],
        &["--host-root"],
        &["--host-root=overlay"],
        &["--root", &root, usr[0], usr[1], usr[2]],
        &["--root", &root, "--writable", usr[0], usr[1], usr[2]],
        &["--root", &root, "--ephemeral", usr[0], usr[1], usr[2]],
    ] {
        let roots = mounted_at("/", options);
        assert_eq!(roots.len(), 1, "{options:?}: {roots:?}");
    }
}

fn an_overlay_of_the_host_takes_any_change_and_keeps_none() {
    let script = "touch /usr/x && echo new >/etc/passwd && rm -r /usr/share/doc \
        && [ ! -e /usr/share/doc ] && cat /etc/passwd";
    let before = fs::read("/etc/passwd").expect("read /etc/passwd");
    inside_with(&["--host-root=overlay"], script).says("new");
    assert!(!Path::new("/usr/x").exists(), "/usr/x came to the host");
    assert!(
        Path::new("/usr/share/doc/bash").exists(),
        "/usr/share/doc went from the host"
    );
    assert_eq!(fs::read("/etc/passwd").expect("read /etc/passwd"), before);
}

fn the_contained_root_is_nobody_to_the_hosts_files() {
    let secret = scratch().join("secret");
    fs::write(&secret, "root's\n").expect("write a secret");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("hide the secret");
    let secret = secret.display().to_string();
    inside_with(&["--ro-bind", &secret, "/tmp/secret"], "cat /tmp/secret")
        .exits(1)
        .complains("Permission denied");
}

fn here_is_the_folder_it_was_started_in() {
    let folder = scratch();
    fs::write(folder.join("given"), "given\n").expect("write a file");
    inside_with(&["--here"], "cat given && pwd")
        .says(&format!("given\n{}", folder.display()));
    inside("cat given").exits(1);
}

fn a_bind_is_writable_and_a_read_only_bind_is_not() {
    let folder = scratch().join("data");
    fs::create_dir(&folder).expect("make a folder");
    // The contained root is another user on the host when root runs this.
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("open the folder");
    let source = folder.display().to_string();
    inside_with(
        &["--bind", &source, "/srv/data"],
        "echo hello >/srv/data/file",
    )
    .succeeds();
    let written = fs::read_to_string(folder.join("file")).expect("read what was written");
    assert_eq!(written, "hello\n");
    inside_with(
        &["--ro-bind", &source, "/srv/data"],
        "cat /srv/data/file; touch /srv/data/x",
    )
    .exits(1)
    .has("hello")
    .complains("Read-only file system");
    fs::remove_file(folder.join("file")).expect("remove what was written");
}

fn binds_happen_in_the_order_given() {
    let folder = scratch();
    fs::write(folder.join("below"), "").expect("write a file");
    let source = folder.display().to_string();
    let bind_first = ["--ro-bind", &source, "/srv", "--tmpfs", "/srv"];
    inside_with(&bind_first, "ls /srv").says("");
    let bind_last = ["--tmpfs", "/srv", "--ro-bind", &source, "/srv"];
    inside_with(&bind_last, "ls /srv").says("below");
}

fn a_symlink_and_a_tmpfs_are_made() {
    let options = [
        "--symlink",
        "/srv/target",
        "/srv/link",
        "--tmpfs",
        "/srv/fresh",
    ];
    inside_with(
        &options,
        "readlink /srv/link; touch /srv/fresh/x && ls /srv/fresh",
    )
    .says("/srv/target\nx");
}

/// A tree with nothing in it but folders: the shell comes by a read-only bind.
fn small_root() -> String {
    let root = scratch().join("root");
    for folder in ["usr", "proc", "dev", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder)).expect("make a small root");
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).expect("link");
    }
    root.display().to_string()
}

fn another_root_is_read_only_unless_told() {
    let root = small_root();
    let usr = ["--root", &root, "--ro-bind", "/usr", "/usr"];
    inside_with(&usr, "cd / && echo * && touch /etc/x")
        .exits(1)
        .has("bin dev etc lib lib64 proc sbin tmp usr")
        .complains("Read-only file system");
}

fn an_ephemeral_root_takes_writes_and_keeps_none() {
    let root = small_root();
    fs::set_permissions(
        Path::new(&root).join("etc"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .expect("open etc");
    let options = ["--root", &root, "--ephemeral", "--ro-bind", "/usr", "/usr"];
    inside_with(&options, "echo new >/etc/x && cat /etc/x").says("new");
    assert!(
        !Path::new(&root).join("etc/x").exists(),
        "the write reached the root"
    );
}

fn a_missing_source_of_a_bind_is_refused_by_name() {
    let command = ["run", "--bind", "/no/such", "/srv", "--", "true"];
    run(&mut warren(command))
        .is_refused("/no/such")
        .complains("No such file or directory");
}

fn a_missing_root_is_refused_by_name() {
    run(&mut warren(["run", "--root", "/no/such", "--", "true"])).is_refused("/no/such");
}
