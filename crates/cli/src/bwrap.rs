//! The personality `bwrap`: what bubblewrap 0.12 does, for the programs that call it.

mod descriptors;
mod options;
mod status;
mod translate;
mod words;

use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{DumpableBehavior, Signal};
use warren_spawn::{Child, Error, Host, Plan, Spec};
use warren_sys::signal;

use crate::failure::{self, Failure};
use crate::supervise;
use descriptors::Descriptors;
use options::{Options, Request};
use status::Status;

/// What this is a stand-in for, as callers read it.
const VERSION: &str = "bubblewrap 0.12.0\n";

const NAME: &str = "bwrap";

const HELP: &str = " [OPTIONS...] [--] COMMAND [ARGS...]

Runs COMMAND in a root that is put together from these options, as bubblewrap does.

  --help                       this text
  --version                    the version of bubblewrap that this stands in for
  --args FD                    take options from FD, each ended by a NUL
  --argv0 NAME                 tell COMMAND that it is called NAME
  --level-prefix               begin each message with a syslog level

namespaces:
  --unshare-all                all that are new by default
  --share-net                  but not that of the network
  --unshare-user               user and group ids; always for who is not root
  --unshare-user-try           the same, if they can be had
  --unshare-ipc                System V IPC and message queues
  --unshare-pid                process ids
  --unshare-net                network
  --unshare-uts                host name
  --unshare-cgroup             the root of the cgroup tree
  --unshare-cgroup-try         the same, if it can be had
  --userns FD                  enter this user namespace
  --userns2 FD                 enter this one when all is set up
  --disable-userns             let COMMAND make no user namespace
  --assert-userns-disabled     fail if it can
  --pidns FD                   be born in this pid namespace
  --uid UID                    have this user id in the user namespace
  --gid GID                    have this group id there
  --hostname NAME              set the host name of the uts namespace

environment:
  --chdir DIR                  work in DIR
  --clearenv                   begin with no variable
  --setenv VAR VALUE           set a variable
  --unsetenv VAR               unset it

files, in the order given:
  --bind SRC DEST              show SRC of the host at DEST, writable
  --bind-try SRC DEST          the same, if SRC is there
  --ro-bind SRC DEST           read-only
  --ro-bind-try SRC DEST
  --dev-bind SRC DEST          writable, with device files that can be opened
  --dev-bind-try SRC DEST
  --bind-fd FD DEST            show the file or folder that FD is open on
  --ro-bind-fd FD DEST
  --remount-ro DEST            make the mount at DEST alone read-only
  --overlay-src SRC            a layer of the overlay that follows, the lowest first
  --overlay RWSRC WORKDIR DEST changes go to RWSRC
  --tmp-overlay DEST           changes vanish
  --ro-overlay DEST            there can be none
  --proc DEST                  a procfs
  --dev DEST                   a minimal /dev
  --tmpfs DEST                 an empty filesystem in memory
  --mqueue DEST                a message-queue filesystem
  --dir DEST                   a folder
  --file FD DEST               a file with what FD has
  --bind-data FD DEST          the same, in memory and mounted at DEST
  --ro-bind-data FD DEST
  --symlink TARGET DEST        a symlink
  --chmod OCTAL PATH           permissions of what is there
  --perms OCTAL                permissions of what the next option makes
  --size BYTES                 size of the next --tmpfs

confinement:
  --seccomp FD                 load a compiled filter
  --add-seccomp-fd FD          load another, after those before
  --cap-add CAP                keep a capability; ALL for all
  --cap-drop CAP               lose one; ALL for all
  --new-session                a session of its own, apart from the terminal
  --exec-label LABEL           refused: there is no SELinux here
  --file-label LABEL

life:
  --die-with-parent            end when the caller ends
  --as-pid-1                   run COMMAND as pid 1, without an init
  --lock-file PATH             hold a lock on PATH as long as it runs
  --sync-fd FD                 hold FD open as long as it runs
  --block-fd FD                wait for FD before COMMAND is executed
  --userns-block-fd FD         wait for FD, and let somebody else write the id maps
  --info-fd FD                 say there which process and namespaces were made
  --json-status-fd FD          the same, and how it ended
  --not-a-security-boundary    taken, and changes nothing
";

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let (called, words) = match arguments.split_first() {
        Some((called, words)) => (called.as_os_str(), words),
        None => (OsStr::new(NAME), arguments),
    };
    let mut descriptors = Descriptors::default();
    let request = options::parse(words, &mut |fd| arguments_of(&mut descriptors, fd))?;
    let options = match request {
        Request::Help => {
            failure::print(&usage(called))?;
            return Ok(0);
        }
        Request::Version => {
            failure::print(VERSION)?;
            return Ok(0);
        }
        Request::Run(options) => ManuallyDrop::new(options),
    };
    let result = checked(&options, called, descriptors);
    if !options.level_prefix {
        return result;
    }
    result.or_else(|failure| Ok(failure.of_personality("<3>bwrap").report()))
}

/// What a line of bwrap's asks for, for who does something else with it than bwrap would.
/// The descriptors that it names stay open.
pub fn described(words: &[OsString]) -> Result<Spec, Failure> {
    let mut descriptors = Descriptors::default();
    let request = options::parse(words, &mut |fd| arguments_of(&mut descriptors, fd))?;
    let Request::Run(options) = request else {
        return Err(Failure::usage("the line of bwrap runs nothing"));
    };
    if options.command.is_empty() {
        return Err(Failure::usage("the line of bwrap has no command"));
    }
    check(&options)?;
    let of_the_personality = [
        ("--userns", options.userns),
        ("--pidns", options.pidns),
        ("--info-fd", options.info_fd),
        ("--json-status-fd", options.json_status_fd),
        ("--userns-block-fd", options.userns_block_fd),
    ];
    if let Some((name, _)) = of_the_personality.iter().find(|(_, fd)| fd.is_some()) {
        return Err(Failure::usage(format!("{name} is of a bwrap that runs"))
            .hint("`warren bwrap` takes the line as it is"));
    }
    let real = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let status = Status::new(&options, &mut descriptors)?;
    let host = Host::probe();
    let spec = translate::spec(&options, &host, real, &status, &mut descriptors)?;
    // The Spec has their numbers.
    std::mem::forget(descriptors);
    Ok(spec)
}

fn usage(called: &OsStr) -> String {
    format!("usage: {}{HELP}", called.display())
}

/// The words behind a descriptor, each ended by a NUL.
fn arguments_of(
    descriptors: &mut Descriptors,
    fd: i32,
) -> Result<Vec<OsString>, Failure> {
    let data = descriptors
        .read(fd)
        .map_err(|errno| words::with_errno("Can't read --args data", errno))?;
    let data = data.strip_suffix(b"\0").unwrap_or(&data);
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let words = data.split(|byte| *byte == 0);
    Ok(words
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect())
}

fn checked(
    options: &Options,
    called: &OsStr,
    descriptors: Descriptors,
) -> Result<u8, Failure> {
    let level = if options.level_prefix { "<4>" } else { "" };
    for warning in &options.warnings {
        failure::print_error(&format!("{level}{NAME}: {warning}\n"))?;
    }
    refuse_privilege()?;
    if options.command.is_empty() {
        failure::print_error(&usage(called))?;
        return Ok(1);
    }
    check(options)?;
    start(options, descriptors)
}

/// Whoever is not root gets a user namespace, asked for or not.
fn check(options: &Options) -> Result<(), Failure> {
    let is_root = rustix::process::getuid().is_root();
    options.check(!is_root && options.userns.is_none())
}

/// Whoever makes the file set-user-id, or gives it capabilities, would have it do for
/// everybody what its options say.
fn refuse_privilege() -> Result<(), Failure> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let set_id = uid != rustix::process::geteuid() || gid != rustix::process::getegid();
    if set_id {
        return Err(
            Failure::new("Unexpected setuid or setgid, which is not supported")
                .hint("take the bit away: chmod ug-s on the file"),
        );
    }
    let has_capabilities = !uid.is_root()
        && rustix::thread::capabilities(None)
            .is_ok_and(|sets| !sets.permitted.is_empty());
    if has_capabilities {
        return Err(Failure::new(
            "Unexpected capabilities but not setuid, old file caps config?",
        )
        .hint("take them away: setcap -r on the file, or lower the ambient ones"));
    }
    Ok(())
}

fn start(options: &Options, mut descriptors: Descriptors) -> Result<u8, Failure> {
    // Who started us may ignore it, which is inherited: then nothing could be waited for.
    signal::default_action(signal::SIGCHLD);
    if options.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|errno| words::with_errno("Can't set parent death signal", errno))?;
    }
    let real = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let mut status = Status::new(options, &mut descriptors)?;
    translate::enter_namespaces(options, &mut descriptors)?;
    let host = Host::probe();
    let spec = translate::spec(options, &host, real, &status, &mut descriptors)?;
    // Not dropped: the process ends when the command has ended, and its memory with it.
    let spec = ManuallyDrop::new(spec);
    let failed = |error: Error| words::of_failure(&error, &spec, &host);
    let plan = Plan::new(&spec, &host).map_err(failed)?;
    let new = spec.namespaces.created();
    let mut descriptors = Some(descriptors);
    let child = plan
        .to_its_end()
        .launch_announced(&mut |pid| {
            status.announce(pid, new)?;
            // The child has its own. Whoever reads what the command writes there must see
            // its end.
            if let Some(descriptors) = descriptors.take() {
                descriptors.close_all(&spec.keep_fds);
            }
            if options.userns.is_some() {
                // Who lives in that user namespace may have the right to trace us.
                let hidden = DumpableBehavior::NotDumpable;
                let _ = rustix::process::set_dumpable_behavior(hidden);
            }
            Ok(())
        })
        .map_err(failed)?;
    attend(ManuallyDrop::new(child), &mut status)
}

fn attend(mut child: ManuallyDrop<Child>, status: &mut Status) -> Result<u8, Failure> {
    let ended = child
        .wait()
        .map_err(|error| Failure::new(format!("wait for the command: {error}")))?;
    let code = supervise::code(ended);
    status.ended(code);
    Ok(code)
}
