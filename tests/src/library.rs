//! The library `warren`, in this test's own process, which has threads or gets them.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use warren::{Access, Child, Command, ErrorKind, Kind, Stdio};
use warren_testkit::{Test, eventually, patience, tests};

pub const TESTS: &[Test] = tests! {
    Both:
        eight_threads_launch_a_thousand,
        both_streams_of_a_large_output_are_whole,
        what_is_written_to_the_standard_input_arrives,
        kill_ends_all_that_was_started,
        the_status_has_the_exact_signal_and_code,
        a_launch_that_fails_leaves_no_process_and_no_descriptor,
        a_process_outlives_the_thread_that_launched_it,
        a_process_told_to_dies_with_that_thread,
        a_joined_namespace_is_that_of_the_other_process,
        a_child_tells_what_it_and_what_it_left_have_used;
};

const THREADS: usize = 8;

/// A thousand; fewer where all things take longer.
fn launches() -> usize {
    1000 / patience() as usize
}

/// Descriptors and children of this process.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: BTreeSet<String>,
    has_children: bool,
}

impl Held {
    fn now() -> Self {
        let entries = fs::read_dir("/proc/self/fd").expect("list own descriptors");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        Self {
            descriptors: names
                .map(|name| name.to_string_lossy().into_owned())
                .collect(),
            // A zombie is found and one that runs is 0: only ECHILD is none.
            has_children: !matches!(wait(WaitOptions::NOHANG), Err(Errno::CHILD)),
        }
    }
}

/// Does it and expects this process to hold what it held.
#[track_caller]
fn leaves_nothing(do_it: impl FnOnce()) {
    let before = Held::now();
    assert!(!before.has_children);
    do_it();
    assert_eq!(Held::now(), before);
}

fn eight_threads_launch_a_thousand() {
    leaves_nothing(|| {
        let launched = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        let (done, all_done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| hold_locks(&over));
            for _ in 0..THREADS {
                let (done, launched) = (done.clone(), &launched);
                scope.spawn(move || {
                    // Dropped with the thread's end, a panic too.
                    let _done = done;
                    launch_until_all_are(launched);
                });
            }
            drop(done);
            let limit = Duration::from_secs(50) * patience();
            let ended = all_done.recv_timeout(limit);
            over.store(true, Ordering::Relaxed);
            if ended == Err(mpsc::RecvTimeoutError::Timeout) {
                let launched = launched.load(Ordering::Relaxed);
                let words = format!("stuck at launch {launched} of {}\n", launches());
                // A thread that is stuck can be joined by no panic, and may hold any lock.
                let _ = rustix::io::write(rustix::stdio::stderr(), words.as_bytes());
                std::process::abort();
            }
        });
        assert!(launched.load(Ordering::Relaxed) >= launches());
    });
}

/// What a child that allocated or locked would wait for without end: each lock is taken
/// at almost every moment.
fn hold_locks(over: &AtomicBool) {
    let lock = Mutex::new(Vec::new());
    while !over.load(Ordering::Relaxed) {
        let mut held = lock.lock().expect("lock");
        *held = vec![0_u8; 300];
        held.extend_from_slice(&[1; 5000]);
        drop(held);
        drop(std::io::stderr().lock());
        thread::yield_now();
    }
}

fn launch_until_all_are(launched: &AtomicUsize) {
    loop {
        let number = launched.fetch_add(1, Ordering::Relaxed);
        if number >= launches() {
            return;
        }
        let code = number % 200;
        let mut command = match number % 4 {
            0 | 1 => Command::sandbox("sh"),
            2 => Command::new("sh"),
            _ => {
                let mut command = Command::new("sh");
                command.unshare([Kind::User, Kind::Pid, Kind::Net]);
                command
            }
        };
        let status = command.args(["-c", &format!("exit {code}")]).status();
        let status = status.unwrap_or_else(|error| panic!("launch {number}: {error}"));
        assert_eq!(status.code(), Some(code as i32), "launch {number}");
    }
}

fn both_streams_of_a_large_output_are_whole() {
    // Each is larger than a pipe, in turns: who reads one to its end first never ends.
    let script = "for i in 1 2 3 4 5 6 7 8; do
        head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; done; exit 4";
    leaves_nothing(|| {
        let output = Command::sandbox("sh").args(["-c", script]).output();
        let output = output.expect("run it");
        assert_eq!(output.status.code(), Some(4));
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (2_400_000, 1_600_000)
        );
    });
}

fn what_is_written_to_the_standard_input_arrives() {
    leaves_nothing(|| {
        let mut child = Command::sandbox("cat")
            .stdin(Stdio::Piped)
            .stdout(Stdio::Piped)
            .spawn()
            .expect("launch cat");
        let mut stdin = File::from(child.stdin.take().expect("a pipe"));
        stdin.write_all(b"through the pipe\n").expect("write");
        drop(stdin);
        assert_eq!(rest(&mut child), "through the pipe\n");
        assert!(child.wait().expect("wait").success());
    });
}

/// The standard output up to its end, which comes when nothing inside has it any more.
fn rest(child: &mut Child) -> String {
    let mut stdout = File::from(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("read");
    text
}

/// A sandbox that says `ready` and sleeps, with a child that does so too.
fn sleeper() -> (Command, &'static str) {
    let mut command = Command::sandbox("sh");
    let script = "setsid sleep 1000 & echo ready; sleep 1000; echo slept";
    command.args(["-c", script]).stdout(Stdio::Piped);
    (command, "ready\n")
}

/// Waits for `ready`.
fn is_ready(child: &Child, ready: &str) {
    let mut text = vec![0; ready.len()];
    let stdout = child.stdout.as_ref().expect("a pipe");
    let mut at = 0;
    while at < text.len() {
        let length = rustix::io::read(stdout, &mut text[at..]).expect("read");
        assert!(length > 0, "the output ended");
        at += length;
    }
    assert_eq!(text, ready.as_bytes());
}

fn kill_ends_all_that_was_started() {
    leaves_nothing(|| {
        let (mut command, ready) = sleeper();
        let mut child = command.spawn().expect("launch");
        is_ready(&child, ready);
        assert!(child.try_wait().expect("look").is_none());
        child.kill().expect("kill");
        let limit = Timespec {
            tv_sec: 10 * i64::from(patience()),
            tv_nsec: 0,
        };
        let ended = poll(
            &mut [PollFd::new(&child.pidfd(), PollFlags::IN)],
            Some(&limit),
        );
        assert_eq!(ended, Ok(1), "the pidfd tells of the end");
        assert_eq!(child.wait().expect("wait").signal(), Some(9));
        assert_eq!(rest(&mut child), "");
        child.kill().expect("killing what has ended is no error");
        assert_eq!(child.wait().expect("wait again").signal(), Some(9));
    });
}

fn the_status_has_the_exact_signal_and_code() {
    leaves_nothing(|| {
        for signal in [1, 2, 3, 6, 9, 11, 13, 14, 15, 64] {
            let script = format!("ulimit -c 0; kill -{signal} $$; sleep 10");
            let status = Command::sandbox("sh").args(["-c", &script]).status();
            let status = status.expect("run it");
            assert_eq!((status.signal(), status.code()), (Some(signal), None));
        }
        // What a shell says of a signal is a code like any other.
        let status = Command::sandbox("sh").args(["-c", "exit 143"]).status();
        let status = status.expect("run it");
        assert_eq!((status.signal(), status.code()), (None, Some(143)));
    });
}

fn a_launch_that_fails_leaves_no_process_and_no_descriptor() {
    leaves_nothing(|| {
        for _ in 0..20 {
            let missing = Command::sandbox("no-such-program")
                .stdout(Stdio::Piped)
                .spawn();
            let error = missing.expect_err("there is no such program");
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            let folder = Command::sandbox("/usr").output();
            let error = folder.expect_err("a folder is no program");
            assert_eq!(error.kind(), ErrorKind::NotExecutable, "{error}");
            let mount = Command::sandbox("true")
                .bind("/etc", "/proc/1/no-such", Access::ReadOnly)
                .status();
            let error = mount.expect_err("nothing can be made there");
            assert_eq!(error.kind(), ErrorKind::Step, "{error}");
        }
    });
}

fn launched_by_a_thread_that_ends(kill_with_parent: bool) -> Child {
    let launch = move || {
        let (mut command, ready) = sleeper();
        let child = command.kill_with_parent(kill_with_parent).spawn();
        let child = child.expect("launch");
        is_ready(&child, ready);
        child
    };
    thread::spawn(launch).join().expect("the thread's end")
}

fn a_process_outlives_the_thread_that_launched_it() {
    leaves_nothing(|| {
        let mut child = launched_by_a_thread_that_ends(false);
        thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().expect("look").is_none());
        child.kill().expect("kill");
        child.wait().expect("wait");
    });
}

fn a_process_told_to_dies_with_that_thread() {
    leaves_nothing(|| {
        let mut child = launched_by_a_thread_that_ends(true);
        let mut status = None;
        eventually("the process to die with its thread", || {
            status = child.try_wait().expect("look");
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.signal()), Some(9));
    });
}

fn a_joined_namespace_is_that_of_the_other_process() {
    leaves_nothing(|| {
        let mut child = Command::new("sleep")
            .arg("1000")
            .unshare([Kind::User, Kind::Uts])
            .hostname("burrow")
            .spawn()
            .expect("launch");
        let mut second = Command::new("uname");
        for kind in [Kind::User, Kind::Uts] {
            let path = format!("/proc/{}/ns/{}", child.id(), kind.name());
            let open = warren::NsFd::open(path.as_ref());
            second.join(open.expect("open the namespace"));
        }
        let output = second.arg("-n").output().expect("run uname");
        assert_eq!(output.stdout, b"burrow\n");
        child.kill().expect("kill");
        child.wait().expect("wait");
    });
}

fn a_child_tells_what_it_and_what_it_left_have_used() {
    leaves_nothing(|| {
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let script = format!(
            "trap 'exit 0' USR1; \
             sh -c '{busy}; kill -USR1 $PPID; exec sleep 1000' & wait"
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .unshare([Kind::User, Kind::Pid])
            .spawn()
            .expect("launch");
        assert_eq!(child.usage(), None);
        child.wait().expect("wait");
        let usage = child.usage().expect("waited for");
        assert!(usage.user > Duration::from_millis(10), "{usage:?}");
        assert!(usage.max_rss > 500_000, "{usage:?}");
    });
}
