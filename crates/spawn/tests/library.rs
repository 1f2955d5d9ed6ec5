//! The library as a program with threads uses it: every test is a thread of one process.

use std::os::unix::process::ExitStatusExt;

use warren_spawn::{Command, ErrorKind, Stdio};

#[test]
fn the_init_shows_nothing_of_the_callers_arguments() {
    let output = Command::sandbox("cat")
        .arg("/proc/1/cmdline")
        .output()
        .expect("a run");
    let shown = String::from_utf8_lossy(&output.stdout);
    let shown = shown.trim_end_matches('\0');
    assert!(
        "warren-init".starts_with(shown) && !shown.is_empty(),
        "{shown:?}"
    );
}

#[test]
fn the_exact_signal_comes_through_the_init() {
    let status = Command::sandbox("sh")
        .args(["-c", "kill -SEGV $$"])
        .status();
    assert_eq!(status.expect("a run").signal(), Some(11));
}

#[test]
fn a_missing_program_is_an_error_of_spawn() {
    let error = Command::sandbox("/no/such")
        .spawn()
        .expect_err("no such program");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.raw_os_error(), Some(2));
}

#[test]
fn kill_ends_everything_inside() {
    let mut child = Command::sandbox("sleep")
        .arg("1000")
        .spawn()
        .expect("a run");
    child.kill().expect("it runs");
    assert_eq!(child.wait().expect("it ended").signal(), Some(9));
    child.kill().expect("to kill what has ended is nothing");
}

#[test]
fn both_outputs_are_read_however_much_there_is() {
    let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2";
    let output = Command::sandbox("sh")
        .args(["-c", script])
        .output()
        .expect("a run");
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (300_000, 300_000)
    );
}

#[test]
fn input_is_what_is_written_to_the_pipe() {
    use std::io::Write;
    let mut command = Command::sandbox("grep");
    command
        .arg("-q")
        .arg("needle")
        .stdin(Stdio::Piped)
        .stdout(Stdio::Null);
    let mut child = command.spawn().expect("a run");
    let mut stdin = std::fs::File::from(child.stdin.take().expect("a pipe"));
    stdin.write_all(b"hay needle hay\n").expect("grep reads");
    drop(stdin);
    assert!(child.wait().expect("it ended").success());
}
