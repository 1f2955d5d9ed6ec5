//! The words of bwrap for what failed.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use warren_namespaces::errno_text;
use warren_spawn::{Error, ErrorKind, Host, Mount, Node, Plan, Spec, Step, Target, Tree};

use crate::failure::Failure;

/// What was being done, and what the kernel said.
pub fn with_errno(what: &str, errno: Errno) -> Failure {
    Failure::new(format!("{what}: {}", errno_text(errno)))
}

/// A filter that the kernel does not take.
pub fn no_filter() -> Failure {
    Failure::new(
        "Unable to set up system call filtering as requested: prctl(PR_SET_SECCOMP) \
         reported EINVAL. (Hint: this requires a kernel configured with CONFIG_SECCOMP \
         and CONFIG_SECCOMP_FILTER.)",
    )
}

/// A plan that could not be made or carried out.
pub fn of_failure(error: &Error, spec: &Spec, host: &Host) -> Failure {
    let failure = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotExecutable => not_executed(error, spec),
        ErrorKind::Spec => not_planned(error, spec),
        ErrorKind::Step | ErrorKind::Cgroup => of_step(error, spec, host),
    };
    // One that names an option is for who calls `run`.
    let hints = error.hints().iter().filter(|hint| !hint.contains("--"));
    failure.with_hints(hints)
}

fn errno_of(error: &Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

fn not_executed(error: &Error, spec: &Spec) -> Failure {
    let name = spec.argv.first().map_or(OsStr::new(""), |name| name);
    let errno = errno_of(error).unwrap_or(Errno::NOENT);
    with_errno(&format!("execvp {}", name.display()), errno)
}

/// What of the host is missing is looked for only now, since it seldom is.
fn not_planned(error: &Error, spec: &Spec) -> Failure {
    let sources = spec.mounts.iter().flat_map(|mount| match mount {
        Mount::Bind {
            source: Tree::Path(path),
            ..
        } => std::slice::from_ref(path),
        Mount::Overlay { lower, .. } => lower,
        _ => &[],
    });
    for path in sources {
        if let Err(error) = std::fs::metadata(path) {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            return with_errno(
                &format!("Can't find source path {}", path.display()),
                errno,
            );
        }
    }
    Failure::new(error)
}

fn of_step(error: &Error, spec: &Spec, host: &Host) -> Failure {
    let (Some(number), Some(errno)) = (error.step_number(), errno_of(error)) else {
        return Failure::new(error);
    };
    // The plan is gone with its launch; the same Spec gives the same again.
    let Ok(plan) = Plan::new(spec, host) else {
        return Failure::new(error);
    };
    match plan.steps().get(number) {
        Some(step) => told(step, errno, spec).unwrap_or_else(|| Failure::new(error)),
        None => Failure::new(error),
    }
}

fn told(step: &Step, errno: Errno, spec: &Spec) -> Option<Failure> {
    let what = match step {
        Step::Clone { .. } if errno == Errno::NOSPC => {
            return Some(Failure::new(
                "Creating new namespace failed: nesting depth or \
                 /proc/sys/user/max_*_namespaces exceeded (ENOSPC)",
            ));
        }
        Step::Clone { .. } if errno == Errno::PERM => {
            return Some(Failure::new(
                "No permissions to create new namespace, likely because the kernel does \
                 not allow non-privileged user namespaces.",
            ));
        }
        Step::Clone { .. } | Step::InnerUserNamespace { .. } => {
            "Creating new namespace failed".to_owned()
        }
        Step::WriteOwnMaps { .. } => "setting up uid map".to_owned(),
        Step::EnterUserNamespace(_) => "Setting userns2 failed".to_owned(),
        Step::AllowOneUserNamespace => "cannot limit user namespaces".to_owned(),
        Step::CheckNoUserNamespaces => {
            return Some(Failure::new(
                "creation of new user namespaces was not disabled as requested",
            ));
        }
        Step::Hostname(name) => format!("Can't set hostname to {}", text(name)),
        Step::Loopback => "loopback: Failed to bring lo up".to_owned(),
        Step::RootEmpty { .. } => "Failed to mount tmpfs".to_owned(),
        Step::WorkDir(paths) => {
            let first = paths.first().map(|path| text(path)).unwrap_or_default();
            format!("Can't chdir to {first}")
        }
        Step::LockFile(path) => format!("Unable to open lock file {}", text(path)),
        Step::DropBounding { .. } => "Dropping capability from bounds".to_owned(),
        Step::SetCapabilities(_) => "Setting capabilities".to_owned(),
        Step::LoadFilter(_) if errno == Errno::INVAL => return Some(no_filter()),
        Step::LoadFilter(_) => "prctl(PR_SET_SECCOMP)".to_owned(),
        step => return of_files(step, errno, spec),
    };
    Some(with_errno(&what, errno))
}

fn of_files(step: &Step, errno: Errno, spec: &Spec) -> Option<Failure> {
    let what = match step {
        Step::Bind { target, node, .. } => {
            return Some(not_mounted(target, *node, errno, spec));
        }
        Step::Overlay { target, .. }
            if errno == Errno::LOOP && !is_symlink(target, spec) =>
        {
            return Some(Failure::new(format!(
                "Can't make overlay mount on /newroot{target}: Overlay directories may \
                 not overlap"
            )));
        }
        Step::Overlay { target, .. } if is_of_overlay(errno) => {
            format!("Can't make overlay mount on /newroot{target}")
        }
        Step::Tmpfs { target, .. }
        | Step::Overlay { target, .. }
        | Step::DevFolder { target, .. }
            if errno != Errno::PERM =>
        {
            return Some(not_mounted(target, Node::Folder, errno, spec));
        }
        Step::Proc { target } if errno == Errno::PERM => {
            format!("Can't mount proc on /newroot{target}")
        }
        Step::Mqueue { target } if errno == Errno::PERM => {
            format!("Can't mount mqueue on /newroot{target}")
        }
        Step::Proc { target } | Step::ProcOfHost { target } | Step::Mqueue { target } => {
            return Some(not_mounted(target, Node::Folder, errno, spec));
        }
        Step::DevPts { .. } => "Can't mount devpts on /newroot/dev/pts".to_owned(),
        Step::Folder { target, .. } => not_made(target, errno, spec),
        Step::Symlink { target, .. } => return Some(no_symlink(target, errno, spec)),
        Step::File {
            target, mounted, ..
        } => {
            let at = if mounted.is_some() { " at" } else { "" };
            match errno {
                Errno::BADF | Errno::IO | Errno::NOSPC | Errno::INVAL => {
                    format!("Can't write data to file {target}")
                }
                Errno::LOOP => return Some(on_symlink(target)),
                _ => format!("Can't create file{at} {target}"),
            }
        }
        Step::Mode { target, mode } => {
            format!("Can't chmod {mode:#05o} {target}").replace("0o", "0")
        }
        Step::Forbid { target, .. } => {
            let target = target.as_ref().map_or("/".to_owned(), Target::to_string);
            if errno == Errno::INVAL {
                return Some(Failure::new(format!(
                    "Can't remount readonly on /newroot{target}: Unable to find \
                     \"/newroot{target}\" in mount table"
                )));
            }
            format!("Can't remount readonly on /newroot{target}")
        }
        _ => return None,
    };
    Some(with_errno(&what, errno))
}

/// Whether an errno is of the making of an overlay and not of its place.
fn is_of_overlay(errno: Errno) -> bool {
    !matches!(
        errno,
        Errno::ROFS | Errno::NOTDIR | Errno::LOOP | Errno::NOENT | Errno::EXIST
    )
}

fn not_mounted(target: &Target, node: Node, errno: Errno, spec: &Spec) -> Failure {
    let parent_is_file = view(parent(target), before(target, spec)) == View::File;
    match (errno, node) {
        (Errno::LOOP, _) => on_symlink(target),
        (Errno::NOTDIR, Node::Folder) if !parent_is_file => {
            Failure::new(format!("Can't mount on {target}: not a directory"))
        }
        (Errno::ISDIR, Node::File) => {
            Failure::new(format!("Can't mount on {target}: not a file"))
        }
        (errno, Node::Folder) => with_errno(&not_made(target, errno, spec), errno),
        (Errno::NOTDIR, Node::File) => {
            with_errno(&format!("Can't mkdir parents for {target}"), errno)
        }
        (errno, Node::File) => {
            with_errno(&format!("Can't create file at {target}"), errno)
        }
    }
}

fn on_symlink(target: &Target) -> Failure {
    Failure::new(format!("Can't mount on symlink destination {target}"))
        .hint("a symlink there could lead elsewhere: name the place that it leads to")
}

fn not_made(target: &Target, errno: Errno, spec: &Spec) -> String {
    let parent_is_file = view(parent(target), before(target, spec)) == View::File;
    if errno == Errno::NOTDIR && parent_is_file {
        return format!("Can't mkdir parents for {target}");
    }
    format!("Can't mkdir {target}")
}

fn no_symlink(target: &Target, errno: Errno, spec: &Spec) -> Failure {
    let what = format!("Can't make symlink at {target}");
    if errno != Errno::EXIST {
        return with_errno(&what, errno);
    }
    match view(path(target), before_last(target, spec)) {
        View::Symlink(content) => Failure::new(format!(
            "{what}: existing destination is {}",
            content.display()
        )),
        View::File | View::Folder => {
            Failure::new(format!("{what}: destination exists and is not a symlink"))
        }
        View::Unknown => with_errno(&what, errno),
    }
}

/// What is at a place of a root that is gone again, as far as can be told from what was
/// put there.
#[derive(Debug, PartialEq, Eq)]
enum View {
    Symlink(PathBuf),
    File,
    Folder,
    Unknown,
}

fn is_symlink(target: &Target, spec: &Spec) -> bool {
    matches!(view(path(target), before(target, spec)), View::Symlink(_))
}

fn path(target: &Target) -> PathBuf {
    PathBuf::from(target.to_string())
}

fn parent(target: &Target) -> PathBuf {
    let mut path = path(target);
    path.pop();
    path
}

/// The mounts before the first that changes what is at `target` from outside.
fn before<'a>(target: &Target, spec: &'a Spec) -> &'a [Mount] {
    let path = path(target);
    let mounts = &spec.mounts;
    let made = |mount: &Mount| {
        *mount.target() == path
            && !matches!(
                mount,
                Mount::Symlink { .. } | Mount::File { mounted: None, .. }
            )
    };
    let end = mounts.iter().position(made).unwrap_or(mounts.len());
    &mounts[..end]
}

/// The mounts before the last symlink at `target`.
fn before_last<'a>(target: &Target, spec: &'a Spec) -> &'a [Mount] {
    let path = path(target);
    let is_it =
        |mount: &Mount| *mount.target() == path && matches!(mount, Mount::Symlink { .. });
    let end = spec.mounts.iter().rposition(is_it).unwrap_or_default();
    &spec.mounts[..end]
}

fn view(path: PathBuf, mounts: &[Mount]) -> View {
    for mount in mounts.iter().rev() {
        let Ok(rest) = path.strip_prefix(mount.target()) else {
            continue;
        };
        let exactly = rest.as_os_str().is_empty();
        match mount {
            Mount::Symlink { content, .. } if exactly => {
                return View::Symlink(content.clone());
            }
            Mount::File { .. } if exactly => return View::File,
            Mount::Bind {
                source: Tree::Path(source),
                ..
            } => {
                return look(&if exactly {
                    source.clone()
                } else {
                    source.join(rest)
                });
            }
            Mount::Mode { .. } | Mount::Forbid { .. } => {}
            _ if exactly => return View::Folder,
            Mount::Tmpfs { .. } | Mount::Overlay { .. } | Mount::Bind { .. } => {
                return View::Unknown;
            }
            _ => {}
        }
    }
    View::Unknown
}

fn look(path: &Path) -> View {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            std::fs::read_link(path).map_or(View::Unknown, View::Symlink)
        }
        Ok(found) if found.is_dir() => View::Folder,
        Ok(_) => View::File,
        Err(_) => View::Unknown,
    }
}

fn text(path: &CStr) -> String {
    OsStr::from_bytes(path.to_bytes()).display().to_string()
}
