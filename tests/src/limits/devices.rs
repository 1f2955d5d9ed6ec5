//! Device files: lists of v1, a program of v2.

use warren_testkit::{Test, run, tests};

use super::{limited, ways};

pub const TESTS: &[Test] = tests! {
    Root:
        what_is_denied_cannot_be_opened,
        one_may_be_denied_alone,
        access_is_told_apart;
};

const OPENS: &str = "
import os, sys
for word in sys.argv[1:]:
    path, mode = word.split(':')
    flags = {'r': os.O_RDONLY, 'w': os.O_WRONLY, 'rw': os.O_RDWR}[mode]
    try:
        os.close(os.open(path, flags))
        print('yes', end=' ')
    except PermissionError:
        print('no', end=' ')
";

fn opens(options: &[&str], files: &[&str], answers: &str) {
    for way in ways() {
        let mut command = limited(way, options);
        let output = run(command.args(["python3", "-c", OPENS]).args(files));
        output.says(&format!("{answers} "));
    }
}

fn what_is_denied_cannot_be_opened() {
    opens(
        &["--device-deny", "all", "--device-allow", "/dev/zero"],
        &["/dev/zero:r", "/dev/null:r", "/dev/urandom:r"],
        "yes no no",
    );
}

fn one_may_be_denied_alone() {
    opens(
        &["--device-deny", "c:1:5"],
        &["/dev/zero:r", "/dev/null:rw", "/dev/urandom:r"],
        "no yes yes",
    );
}

fn access_is_told_apart() {
    let options = ["--device-deny", "all", "--device-allow", "/dev/null:r"];
    opens(
        &options,
        &["/dev/null:r", "/dev/null:w", "/dev/null:rw"],
        "yes no no",
    );
}
