//! `warren run --profile`: what a profile gives, and what other options put on top.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use warren_testkit::{Running, Test, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_profile_gives_what_it_says_and_no_more,
        what_may_be_absent_is_left_out_and_what_must_not_is_named,
        other_options_come_on_top_of_a_profile,
        a_later_profile_comes_on_top_of_an_earlier,
        an_included_profile_is_below_the_including,
        a_user_file_comes_before_a_shipped_one_and_can_include_it,
        a_list_of_calls_refuses_the_others,
        limits_are_set,
        the_longer_path_lies_on_the_shorter_whatever_the_lists,
        secrets_of_etc_stay_masked_where_etc_is_shown_again,
        the_home_is_not_given_away_by_running_in_it,
        a_wrong_profile_is_refused_with_its_line_before_anything_is_made,
        what_is_no_file_is_refused_and_not_waited_for,
        a_client_reaches_a_server_by_name_and_no_file_of_the_user,
        an_offline_tool_reads_the_folder_and_changes_nothing;
};

/// Ports and their server: it says its port, then answers each connection with a word.
const SERVER: &str = "$| = 1; $s = IO::Socket::INET->new(Listen => 5, \
    LocalAddr => '127.0.0.1') or die; print $s->sockport, \"\\n\"; \
    while ($c = $s->accept) { print $c \"burrow\\n\"; close $c }";

/// One line from that server, on the port that is the first argument.
const CLIENT: &str = "$c = IO::Socket::INET->new(PeerAddr => 'localhost', \
    PeerPort => $ARGV[0]) or die \"$@\\n\"; print <$c>";

/// Writes a profile into the scratch folder; gives its path.
fn profile(name: &str, text: &str) -> String {
    let file = scratch().join(name);
    fs::write(&file, format!("version = 1\n{text}")).expect("write a profile");
    file.display().to_string()
}

/// A project and a home, with something in each.
fn places() -> (PathBuf, PathBuf) {
    let (project, home) = (scratch().join("project"), scratch().join("home"));
    fs::create_dir_all(home.join(".cache/pip")).expect("make a folder");
    fs::create_dir_all(&project).expect("make a folder");
    fs::write(home.join("letter"), "dear\n").expect("write a file");
    fs::write(project.join("source"), "text\n").expect("write a file");
    (project, home)
}

/// A shell script in a project under these profiles.
fn under(profiles: &[&str], script: &str) -> Command {
    let (project, home) = places();
    let mut command = warren(["run"]);
    for profile in profiles {
        command.args(["--profile", profile]);
    }
    command.env("HOME", home).current_dir(project);
    command.args(["--", "sh", "-c", script]);
    command
}

fn a_profile_gives_what_it_says_and_no_more() {
    let text = "[files]\nroot = 'programs'\nread = ['~/letter']\nwrite = ['$PROJECT']\n\
                tmpfs = ['/srv/made']\n[process]\nworkdir = '$PROJECT'\nmap = 'single'\n\
                hostname = 'warm'\npass = ['GIVEN', 'LC_*']\nset = { PLACE = '~/x$$' }\n\
                [capabilities]\nadd = ['net_raw']\n";
    let file = profile("own.toml", text);
    let script = "cat ~/letter $HOME_OUT/letter; echo new > file; pwd; hostname; \
                  echo $GIVEN $LC_X $SECRET; echo $PLACE; ls -A /etc; ls -d /srv/made; \
                  grep -c : /proc/net/dev; grep CapEff /proc/self/status";
    let (project, home) = places();
    let mut command = under(&[&file], script);
    command
        .env("GIVEN", "given")
        .env("LC_X", "x")
        .env("SECRET", "s");
    command.env("HOME_OUT", &home);
    let output = run(&mut command);
    let home = home.display();
    let expected = format!(
        "{}\nwarm\ngiven x\n{home}/x$\n/srv/made\n1\nCapEff:\t0000000000002000",
        project.display()
    );
    output.says(&expected);
    let made = fs::read_to_string(project.join("file"));
    output.expect(
        "a file in the project",
        made.is_ok_and(|text| text == "new\n"),
    );
}

fn what_may_be_absent_is_left_out_and_what_must_not_is_named() {
    let there = profile("a.toml", "files.read = ['?/nonexistent/a']");
    run(&mut under(&[&there], "echo ran")).says("ran");
    let missing = profile("b.toml", "files.read = ['/nonexistent/b']");
    run(&mut under(&[&missing], "echo ran")).is_refused("/nonexistent/b");
}

fn other_options_come_on_top_of_a_profile() {
    let text = "files.root = 'empty'\n[process]\nhostname = 'one'\nmap = 'single'\n\
                workdir = '/usr'\nset = { A = '1', B = '1' }\n[capabilities]\n\
                add = ['net_raw', 'chown']\n";
    let file = profile("own.toml", text);
    let mut command = warren(["run", "--profile", &file, "--hostname", "two"]);
    command.args(["--workdir", "/srv", "--env", "A=2", "--cap-drop", "chown"]);
    command.args(["--host-root", "--tmpfs", "/mnt", "--", "sh", "-c"]);
    command.arg("hostname; pwd; echo $A$B; grep CapEff /proc/self/status; ls -A /mnt; ls -d /var/lib");
    run(&mut command).says("two\n/srv\n21\nCapEff:\t0000000000002000\n/var/lib");
    let mut command = warren(["run", "--profile", &file, "--clear-env", "--host-root"]);
    run(command.args(["--", "/usr/bin/env"])).says("");
}

fn a_later_profile_comes_on_top_of_an_earlier() {
    let one = profile("1.toml", "process.hostname = 'one'\nprocess.set.A = '1'");
    let two = profile("2.toml", "process.hostname = 'two'\nprocess.set.B = '2'");
    run(&mut under(&[&one, &two], "hostname; echo $A$B")).says("two\n12");
    run(&mut under(&[&two, &one], "hostname; echo $A$B")).says("one\n12");
}

fn an_included_profile_is_below_the_including() {
    profile(
        "below.toml",
        "process.hostname = 'below'\nfiles.write = ['/srv/x', '$PROJECT']",
    );
    let text = "include = ['./below.toml', 'offline']\nprocess.hostname = 'above'\n\
                files.tmpfs = ['/srv/x']";
    let above = profile("above.toml", text);
    // Of `offline` after `below`: the project can be read alone.
    run(&mut under(
        &[&above],
        "hostname; cat source; echo > new || ls -d /srv/x",
    ))
    .says("above\ntext\n/srv/x");
    profile("below.toml", "include = ['./above.toml']");
    run(&mut under(&[&above], "true")).is_refused("it includes itself");
    profile("below.toml", "include = ['./none.toml']");
    run(&mut under(&[&above], "true")).is_refused("none.toml: No such file or directory");
}

fn a_user_file_comes_before_a_shipped_one_and_can_include_it() {
    let (_, home) = places();
    let folder = home.join(".config/warren/profiles");
    fs::create_dir_all(&folder).expect("make a folder");
    let text = "version = 1\ninclude = ['offline']\nprocess.hostname = 'mine'\n";
    fs::write(folder.join("offline.toml"), text).expect("write a profile");
    run(&mut under(
        &["offline"],
        "hostname; cat source; pwd | grep -c project",
    ))
    .says("mine\ntext\n1");
}

fn a_list_of_calls_refuses_the_others() {
    let text =
        "[syscalls]\ndefault = 'allow'\ndeny = ['mkdir', 'mkdirat', '?unheard_of']\n";
    let file = profile("own.toml", text);
    run(&mut under(&[&file], "mkdir /tmp/x; echo $?"))
        .says("1")
        .complains("Operation not permitted");
    fs::write(
        scratch().join("policy"),
        "default allow\ndeny EACCES mkdir mkdirat\n",
    )
    .expect("write a policy");
    let file = profile("own.toml", "syscalls.file = './policy'");
    run(&mut under(&[&file], "mkdir /tmp/x")).complains("Permission denied");
    let file = profile("own.toml", "syscalls.deny = ['mkdir']");
    run(&mut under(&[&file], "true")).is_refused("what happens to the calls of no list");
}

fn limits_are_set() {
    let text = "[limits]\ncpu-time = '1m'\nfile-size = '1M'\nopen-files = 64\n\
                processes = 77\naddress-space = '4G'\n";
    let file = profile("own.toml", text);
    let script = "tr -s ' ' < /proc/self/limits";
    let output = run(&mut under(&[&file], script));
    output.succeeds();
    for line in [
        "Max cpu time 60 60",
        "Max file size 1048576 1048576",
        "Max open files 64 64",
        "Max processes 77 77",
        "Max address space 4294967296",
    ] {
        output.has(line);
    }
}

fn the_longer_path_lies_on_the_shorter_whatever_the_lists() {
    let text = "files.write = ['$PROJECT']\nfiles.read = ['$PROJECT/kept']\n\
                files.tmpfs = ['~']\nprocess.workdir = '$PROJECT'\nprocess.map = 'single'";
    let file = profile("own.toml", text);
    let (project, home) = places();
    // The project lies in the home, which is empty but for it.
    let project_in_home = home.join("project");
    fs::rename(&project, &project_in_home).expect("move the project");
    fs::create_dir(project_in_home.join("kept")).expect("make a folder");
    let mut command = warren(["run", "--profile", &file, "--", "sh", "-c"]);
    command.arg(format!(
        "cat source; ls -A {0}; touch kept/x; touch y; mv kept z",
        home.display()
    ));
    command.env("HOME", &home).current_dir(&project_in_home);
    run(&mut command)
        .has("text\nproject\n")
        .complains("'kept/x': Read-only file system")
        .complains("Device or resource busy");
    assert!(project_in_home.join("y").exists());
}

fn secrets_of_etc_stay_masked_where_etc_is_shown_again() {
    let file = profile("own.toml", "files.read = ['/etc']\nprocess.map = 'single'");
    run(&mut under(&[&file], "cat /etc/shadow"))
        .exits(1)
        .complains("Permission denied");
}

fn the_home_is_not_given_away_by_running_in_it() {
    for name in ["build", "agent", "install"] {
        let (_, home) = places();
        let mut command = warren(["run", "--profile", name, "--", "cat", "letter"]);
        command.env("HOME", &home).current_dir(&home);
        run(&mut command)
            .is_refused("is in files.tmpfs too")
            .complains("cd to a project's folder");
    }
    let mut command = warren(["run", "--profile", "offline", "--", "true"]);
    run(command.current_dir("/")).is_refused("it would cover everything with /");
}

fn a_wrong_profile_is_refused_with_its_line_before_anything_is_made() {
    let file = profile("own.toml", "[files]\nraed = ['/usr']\n");
    run(&mut under(&[&file], "echo ran"))
        .is_refused(&format!("{file}, line 3, files.raed: unknown key 'raed'"));
    run(&mut under(&["nosuch"], "echo ran"))
        .is_refused("read the profile nosuch: there is no profile of this name")
        .complains("there are agent build client install offline");
    run(&mut under(&["own.toml"], "echo ran")).complains("./own.toml");
    run(&mut under(&["./nosuch.toml"], "echo ran"))
        .is_refused("No such file or directory");
}

fn what_is_no_file_is_refused_and_not_waited_for() {
    let fifo = scratch().join("fifo");
    run(program("mkfifo").arg(&fifo)).succeeds();
    for (path, why) in [
        (fifo.display().to_string(), "it is no regular file"),
        ("/dev/zero".to_owned(), "it is no regular file"),
        ("/".to_owned(), "it is no regular file"),
        ("/proc/self/mem".to_owned(), ""),
    ] {
        run(&mut under(&[&path], "echo ran")).is_refused(why);
    }
    let large = scratch().join("large");
    let file = fs::File::create(&large).expect("make a file");
    file.set_len(1 << 40).expect("make it large");
    run(&mut under(&[&large.display().to_string()], "echo ran"))
        .is_refused("more than 1 MiB");
}

fn a_client_reaches_a_server_by_name_and_no_file_of_the_user() {
    let mut perl = program("perl");
    let mut server = Running::start(perl.args(["-MIO::Socket::INET", "-e", SERVER]));
    let port = server.line();
    let client = |profile: &str| {
        let mut command = warren(["run", "--profile", profile, "--", "perl"]);
        let (project, home) = places();
        command.args(["-MIO::Socket::INET", "-e", CLIENT, &port]);
        command.env("HOME", home).current_dir(project);
        run(&mut command)
    };
    client("client").says("burrow");
    let output = client("offline");
    output.expect("no way to the server", !output.status.success());
    let script = "ls -A $0 2>&1; cat /etc/shadow /etc/passwd 2>&1 | wc -l; ls /etc/ssl/certs | head -1 | wc -l";
    let (_, home) = places();
    let mut command = warren(["run", "--profile", "client", "--", "sh", "-c", script]);
    let output = run(command.arg(&home).env("HOME", &home));
    output.has("No such file or directory").lacks("letter");
}

fn an_offline_tool_reads_the_folder_and_changes_nothing() {
    let script = "wc -c < source; echo x >> source; touch new; rm source; grep -c : /proc/net/dev; \
                  cat ~/letter 2>&1";
    run(&mut under(&["offline"], script))
        .has("5\n1\n")
        .has("No such file or directory")
        .complains("Read-only file system");
    let (project, _) = places();
    let source = fs::read_to_string(project.join("source")).expect("read the file");
    assert_eq!(source, "text\n");
    assert!(!project.join("new").exists());
}
