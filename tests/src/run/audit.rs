//! `--audit` names an option, and with that option it works.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use warren_testkit::{Output, Test, run, scratch, tests, warren};

use super::inside_with;

pub const TESTS: &[Test] = tests! {
    Both:
        a_hidden_file_is_shown_by_the_option_that_is_named,
        a_read_only_folder_is_writable_by_the_option_that_is_named,
        a_folder_that_is_not_shown_takes_files_by_the_option_that_is_named,
        a_program_that_is_not_shown_runs_by_the_option_that_is_named,
        a_name_moves_between_folders_by_the_option_that_is_named,
        a_port_of_the_host_is_reached_by_the_option_that_is_named,
        a_socket_of_the_host_is_reached_by_the_option_that_is_named,
        a_mount_is_made_by_the_option_that_is_named,
        a_low_port_is_taken_by_the_option_that_is_named,
        a_raw_socket_is_made_by_the_option_that_is_named,
        the_root_is_changed_by_the_option_that_is_named,
        a_call_passes_a_profile_by_the_option_that_is_named,
        what_threads_are_refused_is_told,
        what_fails_by_itself_is_no_refusal,
        what_no_option_allows_is_said_to_be_so,
        live_tells_before_the_end,
        json_has_what_the_words_say,
        a_file_that_cannot_be_written_is_an_error_before_the_run;
    Root:
        a_secret_of_the_system_is_shown_by_the_option_that_is_named,
        the_callers_files_are_writable_by_the_option_that_is_named;
};

/// The words in brackets at the end of a line that tells of a refusal.
fn advice(output: &Output) -> Vec<Vec<String>> {
    let refused = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("refused: "));
    let option = |line: &str| {
        let (_, words) = line.strip_suffix(')')?.rsplit_once(" (")?;
        words
            .starts_with("--")
            .then(|| words.split(' ').map(str::to_owned).collect())
    };
    refused.filter_map(option).collect()
}

/// Runs `command` with the options that its refusals name, until it succeeds.
#[track_caller]
pub fn follow_advice(options: &[&str], command: &[&str]) -> Output {
    let mut added: Vec<Vec<String>> = Vec::new();
    loop {
        let mut line = warren(["run", "--audit"]);
        line.args(options).args(added.concat());
        let output = run(line.arg("--").args(command));
        if output.code() == 0 {
            return output;
        }
        let new: Vec<_> = advice(&output)
            .into_iter()
            .filter(|words| !added.contains(words))
            .collect();
        output.expect("an option that was not tried", !new.is_empty());
        added.extend(new);
    }
}

/// Expects that `script` is refused, with this line, and that it works with what the line
/// says, so that nothing is refused any more.
#[track_caller]
fn is_cured(options: &[&str], script: &str, refusal: &str) {
    let options = [&["--audit", "--map", "single"], options].concat();
    let refused = inside_with(&options, script);
    refused.expect("a failure", refused.code() != 0);
    refused.complains(&format!("refused: {refusal}\n"));
    let (_, words) = refusal
        .trim_end_matches(')')
        .rsplit_once('(')
        .expect("an option");
    let with: Vec<&str> = options.iter().copied().chain(words.split(' ')).collect();
    let cured = inside_with(&with, script);
    cured.exits(0);
    cured.expect(
        "the same not refused",
        !cured.stderr.contains(&format!("refused: {refusal}")),
    );
}

/// A folder of the host that no run shows by itself.
fn folder(name: &str) -> String {
    let folder = scratch().join(name);
    fs::create_dir(&folder).expect("make a folder");
    folder.display().to_string()
}

fn a_hidden_file_is_shown_by_the_option_that_is_named() {
    let key = folder(".ssh") + "/id";
    fs::write(&key, "secret\n").expect("write a file");
    is_cured(
        &[],
        &format!("cat {key}"),
        &format!("open {key} to read: not shown (--ro-bind {key} {key})"),
    );
}

fn a_read_only_folder_is_writable_by_the_option_that_is_named() {
    let out = folder("out");
    let here = scratch().display().to_string();
    is_cured(
        &["--ro-bind", &here, &here],
        &format!(": >{out}/new"),
        &format!("open {out}/new to create: read-only (--bind {out} {out})"),
    );
    assert!(scratch().join("out/new").exists());
    is_cured(
        &["--ro-bind", &here, "/srv"],
        "echo >/srv/out/new",
        &format!("open /srv/out/new to write: read-only (--bind {out}/new /srv/out/new)"),
    );
}

fn a_folder_that_is_not_shown_takes_files_by_the_option_that_is_named() {
    let out = folder("out");
    is_cured(
        &[],
        &format!("mkdir {out}/new"),
        &format!("mkdir {out}/new: not shown (--bind {out} {out})"),
    );
    assert!(scratch().join("out/new").is_dir());
}

fn a_program_that_is_not_shown_runs_by_the_option_that_is_named() {
    let program = folder("bin") + "/program";
    fs::copy("/bin/true", &program).expect("copy a program");
    let command = [program.as_str()];
    // As the command itself it never starts, and there is nothing to watch.
    run(warren(["run", "--audit", "--"]).args(command)).exits(127);
    is_cured(
        &[],
        &format!("exec {program}"),
        &format!("run {program}: not shown (--ro-bind {program} {program})"),
    );
}

fn a_name_moves_between_folders_by_the_option_that_is_named() {
    let (a, b) = (folder("a"), folder("b"));
    let here = scratch().display().to_string();
    fs::write(format!("{a}/x"), "").expect("write a file");
    is_cured(
        &["--bind", &a, &a, "--bind", &b, &b],
        &format!("perl -e 'rename(\"{a}/x\", \"{b}/x\") or exit 1'"),
        &format!("rename {b}/x: shown as a mount of its own (--bind {here} {here})"),
    );
}

fn a_port_of_the_host_is_reached_by_the_option_that_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    is_cured(
        &[],
        &format!("bash -c ': </dev/tcp/127.0.0.1/{port}'"),
        &format!("connect 127.0.0.1:{port}: a loopback of its own (--share net)"),
    );
    let far = inside_with(&["--audit"], "bash -c ': </dev/tcp/192.0.2.1/443'");
    far.complains("refused: connect 192.0.2.1:443: no network (--share net)\n");
}

fn a_socket_of_the_host_is_reached_by_the_option_that_is_named() {
    let path = folder("run") + "/x.sock";
    let _listener = UnixListener::bind(&path).expect("a new socket");
    let script = format!(
        "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Peer => \"{path}\") or exit 1'"
    );
    is_cured(
        &[],
        &script,
        &format!("connect {path}: not shown (--ro-bind {path} {path})"),
    );
}

fn a_mount_is_made_by_the_option_that_is_named() {
    is_cured(
        &[],
        "mount -t tmpfs none /srv",
        "mount(2): system-call filter (--cap-add SYS_ADMIN)",
    );
}

fn a_low_port_is_taken_by_the_option_that_is_named() {
    let script = "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(
        LocalAddr => \"127.0.0.1:80\", Listen => 1) or exit 1'";
    is_cured(
        &[],
        script,
        "bind 127.0.0.1:80: a capability that the run has not (--cap-add NET_BIND_SERVICE)",
    );
}

fn a_raw_socket_is_made_by_the_option_that_is_named() {
    is_cured(
        &[],
        "perl -e 'use Socket; socket(S, AF_INET, SOCK_RAW, 1) or exit 1'",
        "socket(2): a capability that the run has not (--cap-add NET_RAW)",
    );
}

fn the_root_is_changed_by_the_option_that_is_named() {
    is_cured(
        &[],
        "chroot / true",
        "chroot(2): system-call filter (--cap-add SYS_CHROOT)",
    );
}

fn a_call_passes_a_profile_by_the_option_that_is_named() {
    let policy = scratch().join("policy");
    fs::write(&policy, "default allow\ndeny ENOSYS mkdir\n").expect("write a policy");
    let policy = policy.display().to_string();
    is_cured(
        &["--seccomp", &policy],
        "mkdir /tmp/a",
        "mkdir(2): system-call filter (--allow-call mkdir)",
    );
}

fn what_threads_are_refused_is_told() {
    let script = "
import threading
def look():
    try: open('/usr/x', 'w')
    except OSError as error: print(error.errno)
threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
";
    let mut command = warren(["run", "--audit", "--", "/usr/bin/python3", "-c", script]);
    let output = run(&mut command);
    output.exits(0);
    let told = output
        .stderr
        .matches("refused: open /usr/x to create")
        .count();
    output.expect("one line for all of them", told == 1);
}

fn what_fails_by_itself_is_no_refusal() {
    let script = "cat /usr/no-such-file /no-such-file; mkdir /tmp; rmdir /tmp/none; \
                  bash -c ': </dev/tcp/127.0.0.1/9'; ls -l /proc/self/fd >/dev/null; true";
    let output = inside_with(&["--audit"], script);
    output.exits(0);
    output.expect("no refusal", !output.stderr.contains("refused:"));
}

fn what_no_option_allows_is_said_to_be_so() {
    inside_with(
        &["--audit"],
        "cat /proc/kcore; echo 1 >/proc/sys/kernel/panic",
    )
    .complains("refused: open /proc/sys/kernel/panic to write: ")
    .complains("(no option allows it)");
}

fn live_tells_before_the_end() {
    let script = "mkdir /usr/x 2>/dev/null; echo said >&2";
    let at_once = inside_with(&["--audit=live"], script);
    let place = |output: &Output, part: &str| output.stderr.find(part).expect(part);
    at_once.expect(
        "the refusal first",
        place(&at_once, "refused: mkdir") < place(&at_once, "said"),
    );
    let late = inside_with(&["--audit"], script);
    late.expect(
        "the refusal last",
        place(&late, "refused: mkdir") > place(&late, "said"),
    );
}

fn json_has_what_the_words_say() {
    let file = scratch().join("refusals.json");
    let path = file.display().to_string();
    inside_with(&["--audit-json", &path], "chroot / true; exit 6")
        .exits(6)
        .expect("no words", true);
    let text = fs::read_to_string(&file).expect("read the file");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["code"], 6);
    assert_eq!(json["command"][0], "sh");
    let refusal = &json["refusals"][0];
    assert_eq!(refusal["call"], "chroot", "{text}");
    assert_eq!(
        refusal["options"],
        serde_json::json!(["--cap-add", "SYS_CHROOT"])
    );
    assert_eq!(refusal["needs_root"], false);
    assert_eq!(refusal["errno"], 1);
}

fn a_file_that_cannot_be_written_is_an_error_before_the_run() {
    for option in ["--audit-json", "--learn"] {
        let mut command = warren(["run", option, "/no/such/file", "--", "echo", "ran"]);
        run(&mut command)
            .is_refused("write /no/such/file")
            .lacks("ran");
    }
    run(&mut warren(["run", "--audit=never", "--", "true"])).exits(125);
}

fn a_secret_of_the_system_is_shown_by_the_option_that_is_named() {
    is_cured(
        &[],
        "cat /etc/shadow",
        "open /etc/shadow to read: hidden (--ro-bind /etc/shadow /etc/shadow)",
    );
}

fn the_callers_files_are_writable_by_the_option_that_is_named() {
    let out = folder("out");
    let refusal = format!(
        "refused: mkdir {out}/new: owned by an id that is not in the run (--map single)"
    );
    let script = format!("mkdir {out}/new");
    inside_with(&["--audit", "--bind", &out, &out], &script).complains(&refusal);
    follow_advice(&["--bind", &out, &out], &["sh", "-c", &script]);
    assert!(scratch().join("out/new").is_dir());
}
