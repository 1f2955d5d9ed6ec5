//! An older kernel, simulated: a seccomp filter that answers ENOSYS to one call.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use linux_raw_sys::general as raw;
use warren_sys::{BpfInstruction, Errno, seccomp_load};

use crate::stage::staged;

/// The hidden argument by which the test binary becomes the runner.
pub(crate) const ARGUMENT: &str = "--without-call";

/// The calls that Warren prefers and an older kernel may lack.
const CALLS: &[(&str, u32)] = &[
    ("clone3", raw::__NR_clone3),
    ("close_range", raw::__NR_close_range),
    ("fsconfig", raw::__NR_fsconfig),
    ("fsmount", raw::__NR_fsmount),
    ("fsopen", raw::__NR_fsopen),
    ("landlock_create_ruleset", raw::__NR_landlock_create_ruleset),
    ("listmount", raw::__NR_listmount),
    ("mount_setattr", raw::__NR_mount_setattr),
    ("move_mount", raw::__NR_move_mount),
    // Of no use to a kernel without it; but one that cannot checkpoint fails alike.
    ("mremap", raw::__NR_mremap),
    ("open_tree", raw::__NR_open_tree),
    ("openat2", raw::__NR_openat2),
    ("pidfd_getfd", raw::__NR_pidfd_getfd),
    ("pidfd_open", raw::__NR_pidfd_open),
    ("pivot_root", raw::__NR_pivot_root),
    ("pidfd_send_signal", raw::__NR_pidfd_send_signal),
    ("setns", raw::__NR_setns),
];

/// The same command with the same environment on a kernel that lacks `call`.
///
/// An ordinary user's command runs under no_new_privs too, as the kernel asks of a
/// filter: set-user-id helpers such as newuidmap then have no power.
pub fn without_call(call: &str, command: &Command) -> Command {
    let mut wrapped = Command::new(staged("warren-tests"));
    wrapped.env_clear().args([ARGUMENT, call]);
    wrapped.arg(command.get_program()).args(command.get_args());
    let set = |(key, value): (_, Option<_>)| value.map(|value| (key, value));
    wrapped.envs(command.get_envs().filter_map(set));
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Loads the filter and becomes the program: `CALL PROGRAM ARGUMENTS...`.
pub(crate) fn become_program(arguments: &[OsString]) -> io::Error {
    let [call, program, arguments @ ..] = arguments else {
        return io::Error::other(format!("usage: {ARGUMENT} CALL PROGRAM ARGUMENTS..."));
    };
    let Some((_, number)) = CALLS.iter().find(|(name, _)| call == name) else {
        return io::Error::other(format!("no call {call:?} in the table"));
    };
    if let Err(error) = refuse(*number) {
        return error;
    }
    Command::new(program).args(arguments).exec()
}

fn refuse(number: u32) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(seccomp_load(&filter(number))?)
}

/// Load the call's number; ENOSYS where it is this one, else let it pass.
fn filter(number: u32) -> [BpfInstruction; 4] {
    let instruction = |code, jump_false, k| BpfInstruction {
        code,
        jump_true: 0,
        jump_false,
        k,
    };
    const LOAD_WORD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ANSWER_ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    [
        instruction(LOAD_WORD, 0, 0),
        instruction(JUMP_EQUAL, 1, number),
        instruction(RETURN, 0, ANSWER_ERRNO | Errno::NOSYS.raw_os_error() as u32),
        instruction(RETURN, 0, ALLOW),
    ]
}
