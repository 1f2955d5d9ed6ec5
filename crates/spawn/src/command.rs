//! [`std::process::Command`] with isolation.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use warren_confine::landlock::Landlock;
use warren_confine::{CapabilitySet, Rlimit};
use warren_namespaces::{Kind, NamespaceSet, NsFd};

use crate::error::Error;
use crate::launch::Streams;
use crate::spec::{Access, IdMapping, Join, Mount, Namespace, Root, Seccomp, Spec, User};
use crate::{Child, DEFAULT_PATH, Host, Output, Plan, system};

/// Builds a process in namespaces of its own, in the manner of
/// [`std::process::Command`].
///
/// [`Command::new`] isolates nothing: each thing is asked for. [`Command::sandbox`]
/// begins at the other end, as `warren run` does. Both can be used without root and from
/// any thread.
///
/// ```
/// use warren_spawn::Command;
///
/// let output = Command::sandbox("sh").args(["-c", "echo $$; id -u"]).output()?;
/// assert_eq!(output.stdout, b"2\n0\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Command {
    spec: Spec,
    inherit_env: bool,
    stdio: [Stdio; 3],
    /// Kept open as long as the command may be launched.
    joined: Vec<NsFd>,
}

/// What one of the standard streams of the process is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's own.
    #[default]
    Inherit,
    /// /dev/null.
    Null,
    /// A pipe, whose other end is in the [`Child`].
    Piped,
    /// This descriptor.
    Fd(OwnedFd),
}

impl Command {
    /// A command that runs `program` in the caller's own namespaces.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            spec: Spec::new(program.as_ref()),
            inherit_env: true,
            stdio: Default::default(),
            joined: Vec::new(),
        }
    }

    /// A command that runs `program` in eight new namespaces, on a root that shows the
    /// host's system read-only and nothing else of it ([`system::mounts`]), as root of
    /// its user namespace without a capability, under no_new_privs and the system-call
    /// filter, with only `PATH`, `HOME`, `USER` and `LANG` in its environment.
    pub fn sandbox(program: impl AsRef<OsStr>) -> Self {
        let mut command = Self::new(program);
        command.env_clear();
        command.envs([("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8")]);
        command.env("PATH", DEFAULT_PATH);
        let spec = &mut command.spec;
        confine(spec);
        spec.root = Root::Empty;
        spec.mounts = system::mounts();
        spec.cwd = Some("/root".into());
        command
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.spec.argv.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(
        &mut self,
        arguments: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        let arguments = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned());
        self.spec.argv.extend(arguments);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        let key = key.as_ref();
        self.spec.env.retain(|(known, _)| known != key);
        self.spec
            .env
            .push((key.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        for (key, value) in variables {
            self.env(key, value);
        }
        self
    }

    /// Begins with an empty environment instead of the caller's.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inherit_env = false;
        self.spec.env.clear();
        self
    }

    /// Sets the working directory, as the process will see it.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.spec.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets the standard input. Inherited unless set.
    pub fn stdin(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[0] = stdio;
        self
    }

    /// Sets the standard output. Inherited unless set.
    pub fn stdout(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[1] = stdio;
        self
    }

    /// Sets the standard error. Inherited unless set.
    pub fn stderr(&mut self, stdio: Stdio) -> &mut Self {
        self.stdio[2] = stdio;
        self
    }

    /// Gives the process new namespaces of these kinds.
    ///
    /// ```
    /// use warren_namespaces::Kind;
    /// use warren_spawn::{Command, Stdio};
    ///
    /// let status = Command::new("true").unshare([Kind::User, Kind::Net]).status()?;
    /// assert!(status.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unshare(&mut self, kinds: impl IntoIterator<Item = Kind>) -> &mut Self {
        for kind in kinds {
            self.spec.namespaces.set(kind, Namespace::New);
        }
        self
    }

    /// Leaves the process in the caller's namespace of this kind.
    pub fn share(&mut self, kind: Kind) -> &mut Self {
        self.spec.namespaces.set(kind, Namespace::Inherit);
        self
    }

    /// Lets the process enter a namespace that exists.
    pub fn join(&mut self, namespace: NsFd) -> &mut Self {
        let fd = namespace.as_fd().as_raw_fd();
        self.spec
            .namespaces
            .set(namespace.kind(), Namespace::Join(Join::Fd(fd)));
        self.joined.push(namespace);
        self
    }

    /// Shows a file or folder of the host, read-only or writable.
    pub fn bind(
        &mut self,
        source: impl Into<PathBuf>,
        target: impl Into<PathBuf>,
        access: Access,
    ) -> &mut Self {
        self.mount(Mount::bind(source.into(), target, access))
    }

    /// Adds something below the root; it needs a new mount namespace and a root.
    pub fn mount(&mut self, mount: Mount) -> &mut Self {
        self.spec.mounts.push(mount);
        self
    }

    /// Sets what the root is.
    pub fn root(&mut self, root: Root) -> &mut Self {
        self.spec.root = root;
        self
    }

    /// Sets the host name; it needs a new uts namespace.
    pub fn hostname(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.spec.hostname = Some(name.as_ref().to_owned());
        self
    }

    /// Sets who the process is, in the ids of its user namespace.
    pub fn user(&mut self, user: User) -> &mut Self {
        self.spec.user = Some(user);
        self
    }

    /// Sets the id maps of a new user namespace.
    pub fn id_map(&mut self, map: IdMapping) -> &mut Self {
        self.spec.id_map = map;
        self
    }

    /// Leaves the process exactly these capabilities.
    pub fn capabilities(&mut self, set: CapabilitySet) -> &mut Self {
        self.spec.capabilities = Some(set);
        self
    }

    /// Puts Landlock behind the mounts, with the same rules; it needs no_new_privs, as
    /// [`Command::sandbox`] has. `Landlock::default()` takes what the kernel has.
    ///
    /// ```
    /// use warren_confine::landlock::Landlock;
    /// use warren_spawn::Command;
    ///
    /// let status = Command::sandbox("true").landlock(Landlock::default()).status()?;
    /// assert!(status.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn landlock(&mut self, wanted: Landlock) -> &mut Self {
        self.spec.landlock = Some(wanted);
        self
    }

    /// Sets a resource limit.
    pub fn rlimit(&mut self, limit: Rlimit) -> &mut Self {
        self.spec.rlimits.push(limit);
        self
    }

    /// Kills the process when the *thread* that launches it ends. Off unless set: a
    /// program whose threads come and go would lose its children.
    pub fn kill_with_parent(&mut self, yes: bool) -> &mut Self {
        self.spec.parent_death_signal = yes.then_some(libc::SIGKILL);
        self
    }

    /// The Spec that is launched, to be looked at or changed as a whole.
    pub fn spec_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }

    /// The plan, as it would be carried out now.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn plan(&self) -> Result<Plan, Error> {
        let mut spec = self.spec.clone();
        if self.inherit_env {
            let own: Vec<(OsString, OsString)> = std::env::vars_os()
                .filter(|(key, _)| !spec.env.iter().any(|(known, _)| known == key))
                .collect();
            spec.env.extend(own);
        }
        Plan::new(&spec, &Host::probe())
    }

    /// Launches the process; returns when its program has been executed.
    ///
    /// # Errors
    /// The step that failed; nothing of the process is left then.
    pub fn spawn(&mut self) -> Result<Child, Error> {
        let plan = self.plan()?;
        let mut ours: [Option<OwnedFd>; 3] = Default::default();
        let mut theirs: [Option<OwnedFd>; 3] = Default::default();
        for (number, stdio) in self.stdio.iter().enumerate() {
            let stream = stream(stdio, number == 0).map_err(|error| {
                Error::step("open a standard stream", errno_of(&error))
            })?;
            (ours[number], theirs[number]) = stream;
        }
        let mut child = plan.launch_with(Streams(theirs), &mut |_| Ok(()))?;
        [child.stdin, child.stdout, child.stderr] = ours;
        Ok(child)
    }

    /// Runs the process to its end.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&mut self) -> Result<ExitStatus, Error> {
        let mut child = self.spawn()?;
        child
            .wait()
            .map_err(|error| Error::step("wait for the process", errno_of(&error)))
    }

    /// Runs the process to its end and collects what it writes. Standard input is empty
    /// unless set.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn output(&mut self) -> Result<Output, Error> {
        if matches!(self.stdio[0], Stdio::Inherit) {
            self.stdin(Stdio::Null);
        }
        self.stdout(Stdio::Piped).stderr(Stdio::Piped);
        let mut child = self.spawn()?;
        drop(child.stdin.take());
        let failed = |error: io::Error| Error::step("read the output", errno_of(&error));
        let [stdout, stderr] =
            read_both(child.stdout.take(), child.stderr.take()).map_err(failed)?;
        let status = child.wait().map_err(failed)?;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

/// The posture of everything that is not trusted: all namespaces, no capability, no way
/// to more.
pub(crate) fn confine(spec: &mut Spec) {
    spec.namespaces = crate::Namespaces::new_of(NamespaceSet::ALL);
    spec.user = Some(User::ROOT);
    spec.capabilities = Some(CapabilitySet::EMPTY);
    spec.no_new_privs = true;
    spec.seccomp = Seccomp::Sandbox;
    spec.no_nested_user_namespaces = true;
    spec.loopback = true;
}

/// Our end and theirs.
type Ends = (Option<OwnedFd>, Option<OwnedFd>);

fn stream(stdio: &Stdio, is_input: bool) -> io::Result<Ends> {
    match stdio {
        Stdio::Inherit => Ok((None, None)),
        Stdio::Null => {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
            Ok((None, Some(null)))
        }
        Stdio::Fd(fd) => Ok((None, Some(fd.try_clone()?))),
        Stdio::Piped => {
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            let (ours, theirs) = if is_input {
                (writer, reader)
            } else {
                (reader, writer)
            };
            Ok((Some(ours), Some(theirs)))
        }
    }
}

/// Reads both pipes to their ends, whichever has something, so that neither fills up.
fn read_both(
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
) -> io::Result<[Vec<u8>; 2]> {
    let mut pipes = [stdout, stderr];
    let mut texts = [Vec::new(), Vec::new()];
    let mut buffer = vec![0; 64 * 1024];
    while pipes.iter().any(Option::is_some) {
        let open: Vec<usize> = (0..2).filter(|number| pipes[*number].is_some()).collect();
        let mut polled: Vec<PollFd<'_>> = pipes
            .iter()
            .flatten()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut polled, None) {
            Err(warren_sys::Errno::INTR) => continue,
            result => result?,
        };
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        for number in open
            .into_iter()
            .zip(ready)
            .filter_map(|(n, ready)| ready.then_some(n))
        {
            let Some(pipe) = &pipes[number] else { continue };
            match rustix::io::read(pipe, &mut buffer)? {
                0 => pipes[number] = None,
                length => texts[number].extend_from_slice(&buffer[..length]),
            }
        }
    }
    Ok(texts)
}

fn errno_of(error: &io::Error) -> warren_sys::Errno {
    warren_sys::Errno::from_io_error(error).unwrap_or(warren_sys::Errno::IO)
}
