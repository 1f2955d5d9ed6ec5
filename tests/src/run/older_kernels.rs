//! A kernel that lacks a newer call: the run works all the same, or says which it needs.

use warren_testkit::{Output, Test, run, tests, without_call};

use super::shell;

pub const TESTS: &[Test] = tests! {
    Both:
        clone3_may_be_missing,
        close_range_may_be_missing,
        fsopen_may_be_missing,
        mount_setattr_may_be_missing,
        move_mount_may_be_missing,
        open_tree_may_be_missing,
        openat2_may_be_missing,
        pidfd_open_may_be_missing,
        pidfd_send_signal_may_be_missing,
        the_simulation_answers_enosys;
};

/// Runs the same job without `call`: code 7 from inside, or a refusal with a version.
#[track_caller]
fn works_or_tells(call: &str) {
    // An ordinary user's newuidmap has no power under the simulation's no_new_privs.
    let command = shell(&["--map", "single"], "[ $$ = 2 ] && touch /tmp/x && exit 7");
    let output: Output = run(&mut without_call(call, &command));
    if output.code() != 7 {
        output.is_refused("needs Linux ").complains(call);
    }
}

fn clone3_may_be_missing() {
    works_or_tells("clone3");
}

fn close_range_may_be_missing() {
    works_or_tells("close_range");
}

fn fsopen_may_be_missing() {
    works_or_tells("fsopen");
}

fn mount_setattr_may_be_missing() {
    works_or_tells("mount_setattr");
}

fn move_mount_may_be_missing() {
    works_or_tells("move_mount");
}

fn open_tree_may_be_missing() {
    works_or_tells("open_tree");
}

fn openat2_may_be_missing() {
    works_or_tells("openat2");
}

fn pidfd_open_may_be_missing() {
    works_or_tells("pidfd_open");
}

fn pidfd_send_signal_may_be_missing() {
    works_or_tells("pidfd_send_signal");
}

fn the_simulation_answers_enosys() {
    let mut perl = warren_testkit::program("perl");
    // pidfd_open(2) is 434 everywhere but on alpha; ENOSYS is 38.
    perl.args(["-e", "print syscall(434, $$+0, 0) < 0 ? $!+0 : \"fd\""]);
    run(&mut without_call("pidfd_open", &perl)).says("38");
    run(&mut without_call("openat2", &perl)).says("fd");
}
