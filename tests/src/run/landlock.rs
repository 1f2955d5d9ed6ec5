//! The second wall: what holds where the mounts and namespaces no longer do.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use warren_testkit::{
    Output, Test, program, run, scratch, staged, tests, warren, without_call,
};

use super::{inside_with, shell};

pub const TESTS: &[Test] = tests! {
    Both:
        ordinary_programs_notice_nothing,
        a_terminal_of_its_own_works,
        the_standard_streams_can_be_opened_again,
        a_folder_that_slipped_in_leads_nowhere,
        cap_sys_admin_can_neither_mount_nor_remount,
        the_hosts_abstract_sockets_are_out_of_reach,
        the_hosts_processes_get_no_signal,
        only_the_named_ports_can_be_connected_to,
        only_the_named_ports_can_be_bound,
        a_kernel_without_it_is_good_enough_unless_it_is_required,
        ports_are_refused_where_nothing_holds_them,
        the_report_names_each_rule_and_what_holds_it,
        the_report_says_what_is_only_best_effort,
        the_report_is_json_too;
};

fn ordinary_programs_notice_nothing() {
    let script = "set -e
        ls / /usr >/dev/null
        mkdir /tmp/a /home/b
        echo 1 >/tmp/a/x; mv /tmp/a/x /tmp/y; ln /tmp/y /tmp/a/z; ln -s z /tmp/a/link
        cat /tmp/a/link; : >/tmp/y; rm -r /tmp/a
        cp /bin/true /home/b/true; chmod +x /home/b/true; /home/b/true
        echo kept >/dev/shm/x; cat /dev/shm/x; rm /dev/shm/x
        tr '\\0' ' ' </proc/self/cmdline >/dev/null; echo 5 >/proc/self/oom_score_adj
        head -c 2 /dev/zero | wc -c; test -s /proc/self/exe
        perl -MPOSIX -e 'print \"perl\\n\"'";
    for options in [
        &["--landlock"][..],
        &["--require", "landlock", "--host-root"],
    ] {
        let options: Vec<_> = options
            .iter()
            .chain(&["--tmpfs", "/home"])
            .copied()
            .collect();
        inside_with(&options, script).says("1\nkept\n2\nperl");
    }
}

fn a_terminal_of_its_own_works() {
    let script = "tty; stty size; echo seen >/dev/tty; cat /dev/null <$(tty) & echo end";
    let output = inside_with(&["--landlock", "-t"], script);
    let text = output.succeeds().replace('\r', "");
    output.expect("a terminal", text == "/dev/pts/0\n24 80\nseen\nend");
}

fn the_standard_streams_can_be_opened_again() {
    let file = scratch().join("out");
    fs::write(&file, "").expect("write a file");
    // Contained root is somebody else on the host.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("chmod");
    let open = fs::File::options()
        .append(true)
        .open(&file)
        .expect("open it");
    let mut command = shell(
        &["--landlock"],
        "echo again >/dev/stdout; echo x >/dev/null",
    );
    let status = command.stdout(open).status().expect("warren runs");
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_to_string(&file).expect("read it"), "again\n");
}

/// A folder of the host with a file that everybody may read and write.
fn open_folder() -> PathBuf {
    let folder = scratch();
    let file = folder.join("file");
    fs::write(&file, "of the host\n").expect("write a file");
    for (path, mode) in [(&folder, 0o777), (&file, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
    folder
}

fn a_folder_that_slipped_in_leads_nowhere() {
    let folder = open_folder();
    let read = |options: &str| {
        let (warren, folder) = (staged("warren"), folder.display());
        let script = format!(
            "exec 5<{folder}; {} run --keep-fd 5 {options} -- cat /proc/self/fd/5/file",
            warren.display()
        );
        run(program("sh").args(["-c", &script]))
    };
    read("").says("of the host");
    read("--landlock").complains("Permission denied");
}

fn cap_sys_admin_can_neither_mount_nor_remount() {
    let folder = open_folder();
    let source = folder.to_str().expect("UTF-8");
    let write = |landlock: &[&str]| {
        let options = ["--cap-add", "sys_admin", "--ro-bind", source, "/srv/x"];
        // From 2.39 on mount(8) calls mount_setattr(2), which Landlock does not see.
        let old_call = ["--env", "LIBMOUNT_FORCE_MOUNT2=always"];
        let options = [&options[..], &old_call].concat();
        let options: Vec<_> = options.iter().chain(landlock).copied().collect();
        let script = "mount -o remount,bind,rw /srv/x && echo more >>/srv/x/file
            mount -t tmpfs none /opt && echo covered
            cat /srv/x/file";
        inside_with(&options, script)
    };
    write(&["--landlock"]).says("of the host");
    // The test itself is right: without the second wall the mounts do not hold.
    let widened = write(&[]);
    widened.expect("written", widened.stdout.contains("of the host\nmore"));
}

fn the_hosts_abstract_sockets_are_out_of_reach() {
    let name = format!("warren-test-landlock-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("an abstract socket");
    let connect = format!(
        "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
         print connect($s, pack_sockaddr_un(\"\\0{name}\")) ? \"connected\" : $!+0"
    );
    let inside = |options: &[&str]| {
        let mut command = warren(["run", "--share", "net"]);
        run(command.args(options).args(["--", "perl", "-e", &connect]))
    };
    inside(&[]).says("connected");
    inside(&["--landlock"]).says("1");
}

/// A process of the host that is killed in the end.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut sleep = Command::new("sleep");
        sleep.arg("1000").stdin(Stdio::null());
        Self(sleep.spawn().expect("sleep runs"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn the_hosts_processes_get_no_signal() {
    let sleeper = Sleeper::start();
    // Who has the same uid outside may send signals: root without a user namespace, and
    // an ordinary user as root inside.
    let share = if rustix::process::geteuid().is_root() {
        "user,pid"
    } else {
        "pid"
    };
    let script = format!("kill -0 {}", sleeper.0.id());
    let send = |options: &[&str]| {
        let options: Vec<_> = ["--share", share].iter().chain(options).copied().collect();
        inside_with(&options, &script)
    };
    send(&[]).succeeds();
    send(&["--landlock"]).complains("Operation not permitted");
    let own = "sleep 1000 & kill -TERM $!; wait $!; echo $?";
    inside_with(&["--landlock"], own).says("143");
}

/// The errno of connecting to or binding each of these TCP ports, 0 if there is none.
fn tcp(options: &[&str], call: &str, ports: &[u16]) -> Output {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let script = format!(
        "use Socket; for my $port ({}) {{
            socket(my $s, AF_INET, SOCK_STREAM, 0) or die;
            my $at = pack_sockaddr_in($port, INADDR_LOOPBACK);
            print {call}($s, $at) ? 0 : $!+0, \"\\n\"
        }}",
        ports.join(", ")
    );
    let mut command = warren(["run"]);
    run(command.args(options).args(["--", "perl", "-e", &script]))
}

// EACCES is 13, ECONNREFUSED 111.

fn only_the_named_ports_can_be_connected_to() {
    let ports = [80, 443, 8080];
    tcp(&["--connect-port", "80,443"], "connect", &ports).says("111\n111\n13");
    tcp(&["--bind-port", "80"], "connect", &ports).says("13\n13\n13");
    tcp(&["--landlock"], "connect", &ports).says("111\n111\n111");
}

fn only_the_named_ports_can_be_bound() {
    let ports = [8000, 8001, 0];
    let both = ["--bind-port", "8000", "--bind-port", "0"];
    tcp(&both, "bind", &ports).says("0\n13\n0");
    tcp(&["--connect-port", "8000"], "bind", &ports).says("13\n13\n13");
}

fn without_landlock(command: &Command) -> Output {
    run(&mut without_call("landlock_create_ruleset", command))
}

fn a_kernel_without_it_is_good_enough_unless_it_is_required() {
    let single = ["--map", "single"];
    let with = |option: &[&str]| {
        let options: Vec<_> = single.iter().chain(option).copied().collect();
        without_landlock(&shell(&options, "exit 7"))
    };
    assert_eq!(with(&["--landlock"]).code(), 7);
    let refused = with(&["--require", "landlock"]);
    refused
        .is_refused("this kernel has no Landlock, which rules on files need")
        .complains("hint: it needs Linux 5.13");
    assert_eq!(refused.code(), 125);
}

fn ports_are_refused_where_nothing_holds_them() {
    let command = shell(&["--map", "single", "--connect-port", "80"], "exit 7");
    without_landlock(&command)
        .is_refused("this kernel has no Landlock, which rules on TCP ports need");
}

/// The engines of the rule on `what`.
#[track_caller]
fn held_by<'a>(output: &'a Output, what: &str) -> &'a str {
    let columns = |line: &'a str| line.split("  ").filter(|cell| !cell.is_empty());
    let line = output
        .succeeds()
        .lines()
        .find(|line| columns(line).nth(1).is_some_and(|cell| cell.trim() == what));
    columns(line.unwrap_or_default())
        .last()
        .map_or("", str::trim)
}

fn report(options: &[&str]) -> Command {
    let mut command = warren(["run", "--report"]);
    command.args(options).args(["--", "/no/such/program"]);
    command
}

fn the_report_names_each_rule_and_what_holds_it() {
    let options = ["--landlock", "--connect-port", "80", "--cap-add", "bpf"];
    let output = run(&mut report(&options));
    for (what, engines) in [
        ("/usr", "mounts, landlock"),
        ("/tmp", "mounts, landlock"),
        ("/etc/shadow", "mounts"),
        ("all other files of the host", "mounts, landlock"),
        ("port 80", "landlock"),
        ("its own lo", "namespaces"),
        ("io_uring", "seccomp"),
        ("capabilities, and no way to more", "capabilities"),
    ] {
        output.expect(what, held_by(&output, what) == engines);
    }
    output.expect("bpf is allowed", held_by(&output, "bpf").is_empty());
}

fn the_report_says_what_is_only_best_effort() {
    let output = without_landlock(&report(&["--landlock", "--cap-add", "sys_admin"]));
    output.expect("mounts alone", held_by(&output, "/usr") == "mounts");
    let text = output.stdout.replace('\n', " ");
    for told in [
        "landlock: this kernel has no Landlock",
        "best effort: --landlock holds nothing",
        "best effort: with CAP_SYS_ADMIN mounts can be changed",
    ] {
        output.expect(told, text.contains(told));
    }
}

fn the_report_is_json_too() {
    let output = run(&mut report(&["--json", "--landlock"]));
    let text = output.succeeds();
    output.expect("its version", text.starts_with("{\n  \"version\": 1,"));
    output.expect("an engine", text.contains("\"landlock\""));
    assert!(!Path::new("/no/such/program").exists());
    run(&mut warren(["run", "--json", "--", "true"])).is_refused("--report");
}
