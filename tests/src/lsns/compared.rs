//! Tables of command lines that Debian's lsns answers too. A line is a case.

use std::fs;
use std::process::Command;

use warren_testkit::{Test, program, run, scratch, staged, tests};

use super::{Burrow, ours, same, theirs};

pub const TESTS: &[Test] = tests! {
    Both:
        the_namespaces_of_a_process_are_listed_alike,
        the_processes_of_a_namespace_are_listed_alike,
        columns_are_chosen_alike,
        trees_of_owners_and_parents_are_alike,
        complaints_are_alike,
        prefixes_of_options_are_alike,
        locales_are_alike,
        command_lines_are_shown_alike,
        zombies_are_listed_alike,
        output_that_cannot_be_written_is_told_alike;
    Root:
        all_namespaces_are_listed_alike,
        mount_points_are_listed_alike,
        numbers_of_network_namespaces_are_listed_alike;
};

/// Runs a table; gives the number of its cases.
#[track_caller]
fn compare(burrow: &Burrow, table: &str) -> usize {
    let cases = table.lines().map(str::trim).filter(|line| !line.is_empty());
    cases
        .map(|line| {
            let words = burrow.fill(line);
            same(&mut theirs(&words), &mut ours(&words));
        })
        .count()
}

fn the_namespaces_of_a_process_are_listed_alike() {
    let burrow = Burrow::dig();
    let cases = compare(
        &burrow,
        "-p {P}
         -p {P} -l
         -p {P} -n
         -p {P} -J
         -p {P} -J -n
         -p {P} -r -l
         -p {P} -r -l -n
         -p {P} -u -W
         -p {OUT} -l -t mnt -t uts
         -p {ALONE}
         -p {ALONE} -J
         --task={P} --list --type=net
         -p {P} -t net
         -p {P} -t net -J
         -p {P} -t net -t uts
         -p {P} -t net -t uts -l -r
         -p {P} -t pid -n
         -p {P} --output-all
         -p {P} --output-all -J
         -p {P} --output-all -r -l
         -p {P} -Tprocess
         -p {P} --tree=process -J
         -p 999999999 -p {P} -t ipc
         -p {P} -lnt time",
    );
    assert_eq!(cases, 24);
}

fn the_processes_of_a_namespace_are_listed_alike() {
    let burrow = Burrow::dig();
    let cases = compare(
        &burrow,
        "{pid}
         {pid} -l
         {pid} -n
         {pid} -J
         {pid} -J -l
         {pid} -r -l
         {pid} --output-all
         {pid} --output-all -J
         {pid} --output-all -l -r
         {pid} -T
         {pid} -Tparent -J
         {pid} -Tprocess
         {net}
         {user} -J
         {mnt} -o PID,COMMAND,PPID
         {ipc} -o COMMAND,PID
         {uts}
         {OWNUTS}
         {cgroup} -o +NS,PNS
         {time} -o NS,TYPE,PATH,NPROCS,UID,USER,NETNSID,NSFS,PNS,ONS
         {net} -t net
         {net} -t net -t mnt -l
         {net} {pid}
         +{net}
         -- {net}
         -o PID,COMMAND,COMMAND {uts}",
    );
    assert_eq!(cases, 26);
}

fn columns_are_chosen_alike() {
    let burrow = Burrow::dig();
    let cases = compare(
        &burrow,
        "-p {P} -o NS
         -p {P} -o ns,Type,pid
         -p {P} -o NS,NS
         -p {P} -o PID
         -p {P} -o PPID,PATH
         -p {P} -o TYPE,NPROCS -n -r
         -p {P} -o NETNSID,NS
         -p {P} -o NS,NETNSID
         -p {P} -o NSFS
         -p {P} -o NSFS,PNS,ONS,UID -J
         -p {P} -o COMMAND
         -p {P} -o COMMAND,NS
         -p {P} -o +PATH
         -p {P} -o +NS -o +PID
         -p {P} -o PID -o +UID
         -p {P} -o +UID -o PID
         -p {P} -o NS -o TYPE
         -p {P} --output-all -o NS
         -p {P} -o NS --output-all
         -p {P} -o +NS --output-all
         -p {P} -t net -o NS
         -p {P} -t net -o +PATH
         -p {P} -oNS,USER
         -p {P} --output=UID,USER",
    );
    assert_eq!(cases, 24);
}

fn trees_of_owners_and_parents_are_alike() {
    // Two user namespaces without processes lie between.
    let script = "exec unshare --user --map-root-user unshare --user --map-root-user \
        --net --pid --fork --kill-child sh -c 'sleep 1000 & echo ready; sleep 1001; :'";
    let burrow = Burrow::with(&["--user", "--map-root-user"], script, 2);
    // The counts of the machine's first user namespace change all the time.
    let cases = compare(
        &burrow,
        "-T -p {P} -o NS,TYPE,USER
         -Towner -p {P} -o NS,TYPE,USER,PNS,ONS
         -Tparent -p {P} -o NS,TYPE,USER
         -Tparent -p {P} -o NS,TYPE,USER -J
         -Towner -p {P} -o TYPE,NS -J
         -Towner -p {P} -t net -o NS,TYPE,NPROCS,PID,USER,COMMAND
         -Tparent -p {P} -t net -o NS,TYPE,NPROCS,PID
         -Tparent -p {P} -t pid -o NS,TYPE,USER
         -Towner -p {P} -t pid -o NS,TYPE,USER
         -Towner -p {P} -t user -o NS,TYPE,USER,UID -J
         -Tparent -p {P} -t user -t mnt -o NS,TYPE
         -T=owner -p {P} -o USER,NS
         -l -T -p {P} -o NS
         -T -l -p {P} -n -o NS
         -Towner -p {P} -o TYPE
         -Tparent -p {P} -o TYPE,USER -J
         -Tprocess -l -p {P} -t pid -t net -o PID,COMMAND",
    );
    assert_eq!(cases, 17);
}

fn complaints_are_alike() {
    let burrow = Burrow::dig();
    let cases = compare(
        &burrow,
        "-t foo
         -t mnt,net
         -t MNT
         -t mount
         -t
         -t ''
         -o FOO
         -o NS,FOO,BAR
         -o NS,,
         -o NS,
         -o =NS
         -o +FOO
         -o
         -T foo
         -T parent
         -Tfoo
         --tree=foo
         --tree=
         -p x
         -p ''
         -p 2x
         -p 99999999999999999999
         -p 4294967298
         -p
         1x
         ''
         99999999999999999999
         18446744073709551615
         0x10
         -- -5
         12 {net}
         -t uts {net}
         -J -r
         --raw --json
         -r -J -h
         -p {P} {net}
         --foo
         --foo=1
         --json=1
         -z
         -Jz
         -1
         ---",
    );
    assert_eq!(cases, 43);
}

fn prefixes_of_options_are_alike() {
    let burrow = Burrow::dig();
    let cases = compare(
        &burrow,
        "--n
         --no
         --o
         --ou
         --t
         --noh -p {P}
         --not -p {P}
         --now -p {P}
         --out NS -p {P}
         --output- -p {P}
         --outputa
         --ra -l -p {P}
         --js -p {P}
         --ta {P}
         --ty net -p {P}
         --tr=owner -t net -p {P} -o NS
         --tas=x",
    );
    // `--li` is that of 2.43, which has --list-columns too.
    assert_eq!(cases, 17);
}

fn locales_are_alike() {
    let burrow = Burrow::dig();
    let locales: &[&[(&str, &str)]] = &[
        &[("LC_ALL", "C")],
        &[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")],
        &[("LC_ALL", "C.UTF-8")],
        &[("LC_ALL", "C.utf8"), ("LANG", "C")],
        &[("LC_ALL", ""), ("LC_CTYPE", "C"), ("LANG", "C.UTF-8")],
        &[("LC_CTYPE", "C.UTF-8"), ("LANG", "C")],
        &[("LC_CTYPE", ""), ("LANG", "C.UTF-8")],
        &[("LANG", "C")],
    ];
    let mut cases = 0;
    for locale in locales {
        for words in ["{pid}", "-T -p {P} -o NS,TYPE", "{pid} -J"] {
            let words = burrow.fill(words);
            let (mut theirs, mut ours) = (theirs(&words), ours(&words));
            theirs.env_remove("LANG").envs(locale.iter().copied());
            ours.env_remove("LANG").envs(locale.iter().copied());
            same(&mut theirs, &mut ours);
            cases += 1;
        }
    }
    assert_eq!(cases, 24);
}

/// Hostile and odd arguments. Characters that turn or hide the text around them, and
/// bytes that are no UTF-8 in JSON, are in `mended`.
fn command_lines_are_shown_alike() {
    // Escapes of bash's $'...'.
    let arguments = r#"$'\e[31m\xff\xc3\xa9\t"q\\uot' $'a\nb' $'中文 😀 À \xcc\x81x' \
        $'a\\xb\\x20 \\X \\' $'\xc2\x80\xc2\x85 \xed\xa0\x80' $'\xee\x80\x80\xc2\xa0' ''"#;
    let long = "x".repeat(6000);
    let file = scratch().join("hostile");
    let text =
        format!("exec -a $'hos\\ttile' sh -c 'sleep 1000; :' {arguments} {long} ''\n");
    fs::write(&file, text).expect("write the script");
    let script = format!("bash '{}' & echo ready; wait", file.display());
    let burrow = Burrow::with(&["--user", "--map-root-user"], &script, 1);
    let line = fs::read(format!("/proc/{}/cmdline", super::children(burrow.pid)[0]));
    let line = line.expect("read the command line");
    assert!(
        line.len() > 6000 && line.starts_with(b"hos\ttile\0-c\0"),
        "{line:?}"
    );
    let mut cases = 0;
    for locale in ["C", "C.UTF-8"] {
        for words in [
            "{pid}",
            "{pid} -l -r",
            "{pid} -o COMMAND,PID -l",
            "{time} -r -l -n",
            "{pid} -l -n -o COMMAND",
        ] {
            let words = burrow.fill(words);
            let (mut theirs, mut ours) = (theirs(&words), ours(&words));
            same(theirs.env("LC_ALL", locale), ours.env("LC_ALL", locale));
            cases += 1;
        }
    }
    assert_eq!(cases, 10);
}

fn zombies_are_listed_alike() {
    // `sleep` never asks how its child ended.
    let script = "sleep 0.1 & echo ready; exec sleep 1000";
    let burrow = Burrow::with(&["--user", "--map-root-user"], script, 1);
    let zombie = super::children(burrow.pid)[0];
    warren_testkit::eventually("the zombie", || {
        let stat = fs::read_to_string(format!("/proc/{zombie}/stat"));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    });
    let table = "-p ZOMBIE
         -p ZOMBIE -J
         -p ZOMBIE --output-all
         {pid}
         {user} -J
         {ipc}";
    assert_eq!(
        compare(&burrow, &table.replace("ZOMBIE", &zombie.to_string())),
        6
    );
}

fn output_that_cannot_be_written_is_told_alike() {
    let full = || {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("open")
    };
    // So little that it is written in one piece: else the original has lost the errno.
    let words = ["-t", "time", "-o", "NS", "-l"].map(str::to_owned);
    let (mut theirs, mut ours) = (theirs(&words), ours(&words));
    for command in [&mut theirs, &mut ours] {
        let output = run(command.stdout(full()));
        output.exits(1);
        assert_eq!(
            output.stderr,
            "lsns: write error: No space left on device\n"
        );
    }
}

/// The whole machine, with columns that do not change while processes come and go. The
/// original does not find namespaces without processes.
fn all_namespaces_are_listed_alike() {
    let burrow = Burrow::dig();
    let table = [
        "-t cgroup -l -o NS,TYPE,PID,PPID,UID,USER,COMMAND,PNS,ONS",
        "-t time -o NS,PATH -J",
        "-t ipc -t uts -o NS,PID",
    ];
    for words in table {
        let words = burrow.fill(words);
        let mut ours = ours(&words);
        same(&mut theirs(&words), ours.args(["-Q", "NPROCS > 0"]));
    }
    assert_eq!(table.len(), 3);
}

/// Both in one mount namespace of the test's own, after `script`.
#[track_caller]
fn same_after(unshare: &[&str], script: &str, words: &[String]) {
    let after = |lsns: &str| {
        let mut command: Command = program("unshare");
        command.args(unshare);
        command.args(["sh", "-ec", &format!("{script}\nexec {lsns} \"$@\""), "sh"]);
        command.args(words);
        command
    };
    let ours = format!("{} lsns", staged("warren").display());
    same(&mut after("lsns"), &mut after(&ours));
}

fn mount_points_are_listed_alike() {
    let burrow = Burrow::dig();
    let folder = scratch().join("a place");
    fs::create_dir(&folder).expect("create a folder");
    let mut script = "mount -t tmpfs none .\n".to_owned();
    for name in ["one", "two 2", "three"] {
        script.push_str(&format!(
            "touch '{name}'; mount --bind /proc/{}/ns/net '{name}'\n",
            burrow.pid
        ));
    }
    let script = format!("cd '{}'; {script}cd '{0}'", folder.display());
    let table = [
        "-p {P} -t net",
        "-p {P} -t net -W",
        "-p {P} -t net -r -l",
        "-p {P} -t net -J",
        "-p {P} -o NS,NSFS",
        "-p {P} -o NSFS,NS",
        "-p {P} -o NSFS",
        "-p {P} -o NSFS,NS,NSFS -n",
        "{net} -o NSFS",
        "{net} -o NS,NSFS,NETNSID,PID,COMMAND",
        "{net} -l --output-all -W",
        "-T -p {P} -t net -t uts -o NS,NSFS,TYPE",
    ];
    for words in table {
        same_after(&["--mount"], &script, &burrow.fill(words));
    }
    assert_eq!(table.len(), 12);
}

fn numbers_of_network_namespaces_are_listed_alike() {
    let burrow = Burrow::dig();
    let script = format!(
        "ip link add v0 type veth peer name v$$ netns {}; ip link show v0 | grep -q netnsid",
        burrow.pid
    );
    let table = [
        "-p {P} -t net -o NS,NETNSID",
        "-p {P} -t net -J",
        "{net} -o NETNSID,PID",
        "-p {P} -o TYPE,NETNSID -r -l",
    ];
    for words in table {
        same_after(&["--net"], &script, &burrow.fill(words));
    }
    assert_eq!(table.len(), 4);
}
