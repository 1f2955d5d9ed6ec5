//! `root`, `mounts`, `linux.maskedPaths`, `linux.readonlyPaths`, `linux.rootfsPropagation`
//! and `linux.devices`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use warren_testkit::{Test, program, run, scratch, tests};

use super::{Bundle, mapped};

pub const TESTS: &[Test] = tests! {
    Root:
        the_usual_mounts_are_those_of_runc,
        a_root_is_read_only_when_all_is_in_it,
        options_of_a_bind_are_of_the_mount,
        recursive_options_are_of_all_that_is_in_it,
        a_file_is_bound_where_nothing_was,
        a_destination_is_resolved_inside_the_root,
        a_tmpfs_has_its_size_and_mode,
        a_tmpfs_has_the_mode_of_what_it_covers,
        a_tmpfs_begins_with_what_it_covers,
        a_symlink_is_not_followed_where_the_mount_forbids_it,
        a_wrong_option_type_or_source_is_refused,
        an_overlay_has_more_layers_than_one_page_of_options,
        propagation_of_a_mount_is_what_it_says,
        propagation_of_the_root_is_what_it_says,
        files_have_the_owners_of_the_mounts_own_map,
        files_have_the_owners_of_the_containers_map,
        control_groups_are_shown_as_the_host_has_them,
        what_is_masked_reads_as_empty,
        what_is_read_only_stays_so,
        devices_are_made_with_mode_and_owner,
        the_usual_devices_and_links_are_there,
        in_a_user_namespace_devices_are_the_hosts,
        a_working_folder_is_made;
};

/// Each place, and with which options, but for those of what only masks.
const MOUNTS: &str = "mawk '{print $5, ($5 ~ /^.(proc|sys)./ ? \"\" : $6)}' /proc/self/mountinfo \
    | grep -v ^/sys/fs/cgroup";

fn the_usual_mounts_are_those_of_runc() {
    Bundle::new(&[]).as_runc(MOUNTS);
}

fn a_root_is_read_only_when_all_is_in_it() {
    let script = "touch /x 2>/dev/null || echo sealed; touch /tmp/x 2>/dev/null || echo tmp too; \
        ls -d /made/here";
    let mut bundle = Bundle::new(&[("root/readonly", json!(true))]);
    bundle.mount(json!({"destination": "/made/here", "type": "tmpfs"}));
    bundle.as_runc(script).says("sealed\ntmp too\n/made/here");
}

/// Options of the mount at `/mnt`, as the kernel says them.
const OPTIONS: &str = "mawk '$5 ~ /^\\/mnt/ {print $6}' /proc/self/mountinfo";

fn options_of_a_bind_are_of_the_mount() {
    for options in [
        &["bind", "ro"][..],
        &["bind", "nosuid", "nodev", "noexec"],
        &["bind", "noatime", "nodiratime"],
        &["rbind", "ro", "rw"],
        &["bind", "strictatime"],
    ] {
        let mount = json!({"destination": "/mnt", "source": "/usr", "options": options});
        Bundle::with_mount(mount).as_runc(OPTIONS);
    }
}

fn recursive_options_are_of_all_that_is_in_it() {
    let all = ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"];
    let mount = json!({"destination": "/mnt", "source": "/sys", "options": all});
    let output = Bundle::with_mount(mount.clone()).as_runc(OPTIONS);
    let is_whole = |line: &str| line.starts_with("ro,nosuid,nodev,noexec,noatime");
    output.expect("all of them", output.stdout.lines().all(is_whole));
    output.expect("more than one", output.stdout.lines().count() > 1);
    // Without the letter it is of the mount alone.
    let mut alone = mount;
    alone["options"] = json!(["rbind", "ro", "noatime"]);
    let output = Bundle::with_mount(alone).as_runc(OPTIONS);
    let lines = || output.stdout.lines();
    output.expect(
        "one",
        lines().filter(|line| line.contains("noatime")).count() == 1,
    );
}

fn a_file_is_bound_where_nothing_was() {
    let mount = json!({"destination": "/etc/new/passwd", "source": "/etc/passwd",
        "options": ["bind", "ro"]});
    Bundle::with_mount(mount)
        .as_runc("grep -c ^root: /etc/new/passwd; stat -c %F /etc/new");
    let relative =
        json!({"destination": "rel/../etc/x", "source": "/usr", "options": ["bind"]});
    Bundle::with_mount(relative).as_runc("ls -d /etc/x/bin");
    // A source is below the bundle.
    let own = json!({"destination": "/mnt", "source": "rootfs/etc", "options": ["bind"]});
    Bundle::with_mount(own).as_runc("touch /etc/own; ls /mnt");
}

fn a_destination_is_resolved_inside_the_root() {
    let bundle = Bundle::with_mount(
        json!({"destination": "/link/in", "source": "/usr", "options": ["bind", "ro"]}),
    );
    let outside = scratch().join("outside");
    fs::create_dir(&outside).expect("make a folder");
    let target = format!("../../../../../..{}", outside.display());
    symlink(target, bundle.root().join("link")).expect("make a link");
    bundle.as_runc("ls -d /link/in/bin");
    assert_eq!(fs::read_dir(&outside).expect("the folder").count(), 0);
}

fn a_tmpfs_has_its_size_and_mode() {
    let mount = json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuid", "noexec", "size=64k", "nr_inodes=9", "mode=1750", "sync"]});
    let bundle = Bundle::with_mount(mount);
    let output = bundle.ours("grep ' /mnt ' /proc/self/mounts; stat -c %a /mnt");
    output.has("rw,sync,nosuid,noexec,relatime,size=64k,nr_inodes=9,mode=1750");
    output.expect("its mode", output.stdout.ends_with("\n1750\n"));
    let script = "head -c 100000 /dev/zero >/mnt/x 2>/dev/null || stat -c %s /mnt/x";
    bundle.as_runc(script).says("65536");
    let mount = json!({"destination": "/mnt", "type": "tmpfs", "options": ["ro"]});
    Bundle::with_mount(mount).as_runc("touch /mnt/x 2>/dev/null || echo sealed");
}

fn a_tmpfs_has_the_mode_of_what_it_covers() {
    let bundle = Bundle::with_mount(json!({"destination": "/mnt", "type": "tmpfs"}));
    run(program("chmod").arg("2751").arg(bundle.root().join("mnt"))).succeeds();
    bundle.ours("stat -c %a /mnt").says("2751");
}

fn a_tmpfs_begins_with_what_it_covers() {
    let mount = json!({"destination": "/mnt", "type": "tmpfs", "options": ["tmpcopyup"]});
    let bundle = Bundle::with_mount(mount);
    let root = bundle.root().join("mnt");
    let script = "cd \"$1\" && mkdir -p deep/er && echo text >deep/er/file && chmod 645 deep/er/file \
        && ln -s /etc/shadow link && head -c 100000 /dev/zero >big && \
        chown 5:6 deep/er/file && chmod 4755 big";
    run(program("sh").args(["-c", script, "sh"]).arg(&root)).succeeds();
    let look = "cd /mnt && find . -printf '%p %y %m %U:%G %s %l\\n' | grep -v '^\\. ' | grep -v ' d ' \
        | sort && cat deep/er/file && touch new && grep -c ' /mnt tmpfs ' /proc/self/mounts";
    bundle.as_runc(look).has("./deep/er/file f 645 5:6");
    assert!(!root.join("new").exists(), "the copy is another");
}

fn a_symlink_is_not_followed_where_the_mount_forbids_it() {
    let bundle = Bundle::with_mount(
        json!({"destination": "/mnt", "source": "/usr/bin", "options": ["bind", "nosymfollow"]}),
    );
    let script = "find -P /mnt -maxdepth 1 -type l | head -n 1 >/tmp/link; \
        head -c 1 \"$(cat /tmp/link)\" >/dev/null 2>&1 || echo refused";
    bundle.ours(script).says("refused");
    // The link can be followed else.
    let mount = json!({"destination": "/mnt", "source": "/usr/bin", "options": ["bind"]});
    Bundle::with_mount(mount)
        .ours("test -n \"$(find -L /mnt -maxdepth 1 -type f -name sh)\" && echo followed")
        .says("followed");
}

fn a_wrong_option_type_or_source_is_refused() {
    let tmpfs =
        |options| json!({"destination": "/mnt", "type": "tmpfs", "options": options});
    for (mount, words) in [
        (
            tmpfs(json!(["flurb=3"])),
            "mount a tmpfs (flurb=3) at /mnt: Invalid argument",
        ),
        (tmpfs(json!(["size=x"])), "size=x"),
        (
            json!({"destination": "/mnt", "type": "nofs"}),
            "mount a nofs at /mnt: No such device",
        ),
        (
            json!({"destination": "/mnt", "source": "/no/such", "options": ["bind"]}),
            "/no/such: No such file or directory",
        ),
    ] {
        Bundle::with_mount(mount).is_refused_as_by_runc(words);
    }
    let file =
        json!({"destination": "/etc", "source": "/etc/passwd", "options": ["bind"]});
    Bundle::with_mount(file).is_refused_as_by_runc("Is a directory");
}

fn an_overlay_has_more_layers_than_one_page_of_options() {
    let mut lower = Vec::new();
    for number in 0..60 {
        let name = format!("{number:0>80}");
        let folder = scratch().join(&name);
        fs::create_dir(&folder).expect("make a layer");
        fs::write(folder.join(format!("of{number}")), "").expect("make a file");
        lower.push(folder.display().to_string());
    }
    let option = format!("lowerdir={}", lower.join(":"));
    assert!(option.len() > 4096, "mount(2) takes one page");
    let mount = json!({"destination": "/mnt", "type": "overlay", "source": "overlay",
        "options": [option]});
    let output = Bundle::with_mount(mount).ours("ls /mnt | wc -l");
    // Kernels before 6.5 take no more by any call.
    let is_old = output.stderr.contains("Invalid argument");
    output.expect(
        "60 layers, or one page",
        is_old || output.stdout.trim() == "60",
    );
    let few = format!("lowerdir={}", lower[..3].join(":"));
    let mount = json!({"destination": "/mnt", "type": "overlay", "source": "overlay",
        "options": [few]});
    Bundle::with_mount(mount)
        .as_runc("ls /mnt")
        .says("of0\nof1\nof2");
}

/// Whether the mount at a place is shared, a slave or unbindable.
fn spreads(place: &str) -> String {
    format!(
        "mawk '$5 == \"{place}\" {{for (i = 7; $i != \"-\"; i++) print $i}}' \
         /proc/self/mountinfo | sed 's/:.*//'"
    )
}

fn propagation_of_a_mount_is_what_it_says() {
    for word in [
        "shared",
        "slave",
        "private",
        "unbindable",
        "rshared",
        "rslave",
        "rprivate",
    ] {
        let mount = json!({"destination": "/mnt", "source": "/usr",
            "options": ["rbind", word]});
        Bundle::with_mount(mount).as_runc(&spreads("/mnt"));
    }
}

fn propagation_of_the_root_is_what_it_says() {
    for (word, seen) in [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
    ] {
        let bundle = Bundle::new(&[("linux/rootfsPropagation", json!(word))]);
        let output = bundle.ours(&spreads("/"));
        assert_eq!(output.succeeds().trim(), seen, "{word}: {output}");
    }
    // Below a shared mount, the root is its slave, and nothing of it reaches the host.
    let script = "mount -t tmpfs t \"$1\" && mount --make-shared \"$1\" && cp -r \"$2\"/. \"$1\" && \
        before=$(wc -l </proc/self/mountinfo); \"$3\" run --from oci \"$1\" && \
        [ $before = $(wc -l </proc/self/mountinfo) ] && echo same";
    for (word, seen) in [("slave", "master\nsame"), ("shared", "shared\nsame")] {
        let bundle = Bundle::new(&[("linux/rootfsPropagation", json!(word))]);
        bundle.write(&spreads("/"));
        let place = scratch().join(word);
        fs::create_dir(&place).expect("make a folder");
        let mut shell = program("unshare");
        shell
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&place);
        shell
            .arg(&bundle.folder)
            .arg(warren_testkit::staged("warren"));
        run(&mut shell).says(seen);
    }
}

fn files_have_the_owners_of_the_mounts_own_map() {
    let folder = scratch().join("owned");
    fs::create_dir(&folder).expect("make a folder");
    fs::write(folder.join("file"), "").expect("make a file");
    let map = json!([{"containerID": 0, "hostID": 1005, "size": 10}]);
    let mount = json!({"destination": "/mnt", "source": folder, "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map});
    let bundle = Bundle::with_mount(mount);
    // Debian's runc and crun of now know no map of a mount's own without a user namespace.
    let script = "stat -c %u:%g /mnt/file; touch /mnt/new 2>/dev/null || echo unmapped";
    bundle.ours(script).says("1005:1005\nunmapped");
}

fn files_have_the_owners_of_the_containers_map() {
    let folder = scratch().join("owned");
    fs::create_dir(&folder).expect("make a folder");
    let mount =
        json!({"destination": "/mnt", "source": folder, "options": ["bind", "idmap"]});
    let plain = json!({"destination": "/etc", "source": folder, "options": ["bind"]});
    let mut bundle = Bundle::with_mount(mount);
    bundle.mount(plain);
    mapped(&mut bundle, 100_000);
    run(program("chown")
        .args(["-R", "100000:100000"])
        .arg(bundle.root()))
    .succeeds();
    let script = "touch /mnt/new; stat -c %u /mnt/new /etc/new";
    bundle.ours(script).says("0\n65534");
    let stat = run(program("stat").args(["-c", "%u"]).arg(folder.join("new")));
    stat.says("0");
}

fn control_groups_are_shown_as_the_host_has_them() {
    let mut bundle = Bundle::new(&[]);
    let names = "ls /sys/fs/cgroup | grep -v '^cgroup\\.' | sort | head -n 9; \
        stat -f -c %T /sys/fs/cgroup; touch /sys/fs/cgroup/x 2>/dev/null || echo sealed";
    bundle.as_runc(names);
    bundle.set("linux/namespaces/-", json!({"type": "cgroup"}));
    bundle.as_runc(names);
    // What is shown is the group of the container alone.
    let script = "mawk -F: '{print $3}' /proc/self/cgroup | sort -u";
    bundle.ours(script).says("/");
}

fn what_is_masked_reads_as_empty() {
    // One that does not begin with a slash is meant from the root.
    let paths = json!(["/proc/timer_list", "/etc/secret", "etc/folder", "/no/such"]);
    let bundle = Bundle::new(&[("linux/maskedPaths", paths)]);
    let etc = bundle.root().join("etc");
    fs::write(etc.join("secret"), "text").expect("make a file");
    fs::create_dir_all(etc.join("folder/in")).expect("make a folder");
    let script = "cat /etc/secret | wc -c; ls /etc/folder | wc -l; \
        touch /etc/folder/x 2>/dev/null || echo sealed; wc -c </proc/timer_list";
    bundle.as_runc(script).says("0\n0\nsealed\n0");
}

fn what_is_read_only_stays_so() {
    let bundle = Bundle::new(&[(
        "linux/readonlyPaths",
        json!(["/etc", "/no/such", "/proc/sys"]),
    )]);
    let script = "touch /etc/x 2>/dev/null || echo etc; touch /tmp/x && echo tmp; \
        echo x 2>/dev/null >/proc/sys/kernel/hostname || echo sys";
    bundle.as_runc(script).says("etc\ntmp\nsys");
}

fn devices_are_made_with_mode_and_owner() {
    let devices = json!([
        {"path": "/dev/own", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640,
            "uid": 7, "gid": 8},
        {"path": "/dev/block", "type": "b", "major": 7, "minor": 0},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
        {"path": "/deep/er/zero", "type": "c", "major": 1, "minor": 5},
    ]);
    let bundle = Bundle::new(&[("linux/devices", devices)]);
    let script =
        "stat -c '%n %F %a %u:%g %t:%T' /dev/own /dev/block /dev/pipe /deep/er/zero";
    bundle
        .as_runc(script)
        .has("/dev/own character special file 640 7:8 1:3");
}

fn the_usual_devices_and_links_are_there() {
    let script =
        "find /dev ! -type d -printf '%p %y %m %U:%G %l\\n' | grep -v /pts/ | sort";
    Bundle::new(&[]).as_runc(script).has("/dev/null c 666 0:0");
}

fn in_a_user_namespace_devices_are_the_hosts() {
    let mut bundle = Bundle::new(&[]);
    mapped(&mut bundle, 100_000);
    run(program("chown")
        .args(["-R", "100000:100000"])
        .arg(bundle.root()))
    .succeeds();
    let script =
        "echo x >/dev/null && head -c 2 /dev/zero | wc -c; stat -c %t:%T /dev/full";
    bundle.ours(script).says("2\n1:7");
}

fn a_working_folder_is_made() {
    let mut bundle = Bundle::new(&[("process/cwd", json!("/new/place"))]);
    bundle
        .as_runc("pwd; stat -c %a:%u .")
        .says("/new/place\n755:0");
    let fresh = Bundle::new(&[
        ("process/cwd", json!("/new/place")),
        ("root/readonly", json!(true)),
    ]);
    fresh.ours("pwd").says("/new/place");
    bundle.set("process/cwd", json!("/etc/../usr"));
    bundle.as_runc("pwd").says("/usr");
}
