//! Processes and threads.

use warren_testkit::{Test, run, tests};

use super::{limited, ways};

pub const TESTS: &[Test] = tests! {
    Root: the_hundred_and_first_process_is_refused;
};

/// Forks until that is refused and says how many processes there were.
const FORKS: &str = "
import os, signal, errno
children = []
try:
    while len(children) < 200:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
except OSError as error:
    print(errno.errorcode[error.errno], end=' ')
print(len(children) + 1)
for pid in children:
    os.kill(pid, signal.SIGKILL)
";

fn the_hundred_and_first_process_is_refused() {
    for way in ways() {
        // The init is one of them.
        let mut command = limited(way, &["--pids", "100"]);
        run(command.args(["python3", "-c", FORKS])).says("EAGAIN 99");
        let mut alone = limited(way, &["--pids", "100", "--no-init"]);
        run(alone.args(["python3", "-c", FORKS])).says("EAGAIN 100");
    }
}
