//! What a contained program sees.

use std::fs;

use warren_testkit::{Test, tests};

use super::{inside, inside_bubblewrap, inside_with};

pub const TESTS: &[Test] = tests! {
    Both:
        pid_one_is_the_init_and_the_command_comes_second,
        the_user_is_root_by_a_map_that_never_names_the_hosts_root,
        the_hostname_is_its_own,
        all_eight_namespaces_are_its_own,
        the_only_link_is_a_loopback_that_works,
        proc_shows_only_its_own_processes,
        system_folders_are_there_and_read_only,
        private_folders_are_empty_and_writable,
        the_home_is_an_empty_writable_folder,
        no_secret_is_readable,
        what_it_writes_is_gone_afterwards,
        dev_has_what_bubblewrap_gives_and_no_disk,
        every_mount_is_nosuid,
        standard_streams_are_the_callers;
};

fn pid_one_is_the_init_and_the_command_comes_second() {
    inside("cat /proc/1/comm; echo $$").says("warren-init\n2");
}

fn the_user_is_root_by_a_map_that_never_names_the_hosts_root() {
    let output = inside("id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map");
    let lines: Vec<&str> = output.succeeds().lines().collect();
    output.expect("user and group 0", lines[..2] == ["0", "0"]);
    for map in &lines[2..] {
        let numbers: Vec<u32> = map.split_whitespace().flat_map(str::parse).collect();
        output.expect("three numbers in each map line", numbers.len() == 3);
        output.expect("no map onto the host's user 0", numbers[1] != 0);
    }
}

fn the_hostname_is_its_own() {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").expect("read the host's name");
    inside_with(&["--hostname", "burrow"], "uname -n").says("burrow");
    let after =
        fs::read_to_string("/proc/sys/kernel/hostname").expect("read the host's name");
    assert_eq!(host, after, "the host kept its name");
}

fn all_eight_namespaces_are_its_own() {
    for kind in ["mnt", "net", "ipc", "user", "pid", "uts", "cgroup", "time"] {
        let output = inside(&format!("readlink /proc/self/ns/{kind}"));
        let own = output.succeeds();
        let hosts =
            fs::read_link(format!("/proc/self/ns/{kind}")).expect("read own namespace");
        output.expect(
            &format!("a {kind} namespace"),
            own.starts_with(&format!("{kind}:[")),
        );
        output.expect("another than the host's", own != hosts.to_string_lossy());
    }
}

fn the_only_link_is_a_loopback_that_works() {
    inside("sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '").says("lo");
    inside("cat /proc/net/fib_trie").has("127.0.0.1");
}

fn proc_shows_only_its_own_processes() {
    let output = inside("cd /proc; echo [0-9]*");
    output.expect("init and the shell alone", output.succeeds() == "1 2");
}

fn system_folders_are_there_and_read_only() {
    let script = "for d in / /usr /usr/lib /bin /sbin /lib /etc; do
        ls $d >/dev/null || echo no $d
        touch $d/x 2>/dev/null && echo wrote to $d
        done; echo done";
    inside(script).says("done");
}

fn private_folders_are_empty_and_writable() {
    let script = "for d in /home /root /var /run /srv /tmp; do
        [ -z \"$(ls -A $d)\" ] || echo $d has $(ls -A $d)
        touch $d/x || echo $d is not writable
        done; echo done";
    inside(script).says("done");
}

fn the_home_is_an_empty_writable_folder() {
    inside("cd \"$HOME\" && ls -A && echo new >file && cat file").says("new");
}

fn no_secret_is_readable() {
    let output = inside("cat /etc/shadow /etc/gshadow; find / -xdev -name id_test");
    output.expect("nothing read and nothing found", output.stdout.is_empty());
}

fn what_it_writes_is_gone_afterwards() {
    inside("for d in /tmp /var /run /home /dev/shm; do touch $d/warren-was-here || exit 1; done")
        .succeeds();
    inside("ls /tmp/warren* /var/warren* /run/warren* /home/warren* /dev/shm/warren*")
        .expect(
            "none of the files",
            !inside("ls -A /tmp /var").stdout.contains("warren"),
        );
    for folder in ["/tmp", "/var", "/run", "/home", "/dev/shm"] {
        let path = format!("{folder}/warren-was-here");
        assert!(
            fs::symlink_metadata(&path).is_err(),
            "{path} is on the host"
        );
    }
}

fn dev_has_what_bubblewrap_gives_and_no_disk() {
    let ours = inside("ls /dev");
    let theirs = inside_bubblewrap("ls /dev");
    let names: Vec<&str> = ours.succeeds().lines().collect();
    for name in theirs.succeeds().lines().filter(|name| *name != "core") {
        ours.expect(
            &format!("{name} in /dev as under bubblewrap"),
            names.contains(&name),
        );
    }
    inside("find /dev -type b; echo x >/dev/null; head -c 4 /dev/zero | wc -c").says("4");
}

fn every_mount_is_nosuid() {
    let output = inside("cut -d' ' -f5,6 /proc/self/mountinfo");
    for line in output.succeeds().lines() {
        let Some((point, options)) = line.split_once(' ') else {
            continue;
        };
        let nosuid = options.split(',').any(|option| option == "nosuid");
        output.expect(&format!("nosuid on {point}"), nosuid);
    }
}

fn standard_streams_are_the_callers() {
    let output = inside("echo out; echo err >&2");
    output.says("out");
    output.expect("standard error untouched", output.stderr == "err\n");
}
