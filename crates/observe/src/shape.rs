//! Which arguments of a system call name files and addresses.
//!
//! One line a call, by the manual page of each. Calls that take a descriptor alone are
//! here only where the right was not settled when that was opened.

use crate::wants::Wants;

/// How a call names what it works on.
#[derive(Debug)]
pub struct Shape {
    /// The call.
    pub name: &'static str,
    /// The files.
    pub files: &'static [File],
    /// The address of a socket.
    pub address: Option<Address>,
}

/// An argument, from 0 to 5.
type Argument = u8;

/// How a file is named.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// The folder that a relative path starts in; the working folder if `None`.
    pub folder: Option<Argument>,
    /// The path; `None` where the descriptor of `folder` is the file.
    pub path: Option<Argument>,
    /// What is wanted.
    pub wants: Wanted,
    /// Whether a symlink at the end is followed.
    pub links: Links,
}

/// What is wanted of a file.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Always this.
    Always(Wants),
    /// What the flags of open(2) in that argument say.
    OpenFlags(Argument),
    /// The same at the place in memory that the argument says: `struct open_how`.
    OpenHow(Argument),
    /// What the mode of access(2) in that argument says.
    AccessMode(Argument),
}

/// Whether a symlink at the end of a path is followed.
#[derive(Clone, Copy, Debug)]
pub enum Links {
    /// It is.
    Followed,
    /// It is not: the call is about the symlink.
    Kept,
    /// It is, unless that argument has `AT_SYMLINK_NOFOLLOW`.
    UnlessTold(Argument),
    /// It is not, unless that argument has `AT_SYMLINK_FOLLOW`.
    IfTold(Argument),
}

/// Where an address is.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// `struct sockaddr *` and its length.
    At(Argument, Argument, Talk),
    /// Its name is in a `struct msghdr`.
    Message(Argument),
    /// It is in the first of several.
    Messages(Argument),
}

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// It is taken.
    Bind,
    /// Something is sent or a connection is made to it.
    Reach,
}

const fn path(path: Argument, wants: Wants) -> File {
    File {
        folder: None,
        path: Some(path),
        wants: Wanted::Always(wants),
        links: Links::Followed,
    }
}

const fn at(folder: Argument, path: Argument, wants: Wants) -> File {
    File {
        folder: Some(folder),
        path: Some(path),
        wants: Wanted::Always(wants),
        links: Links::Followed,
    }
}

const fn descriptor(fd: Argument, wants: Wants) -> File {
    File {
        folder: Some(fd),
        path: None,
        wants: Wanted::Always(wants),
        links: Links::Followed,
    }
}

impl File {
    const fn wants(self, wants: Wanted) -> Self {
        Self { wants, ..self }
    }

    const fn links(self, links: Links) -> Self {
        Self { links, ..self }
    }

    const fn kept(self) -> Self {
        self.links(Links::Kept)
    }
}

const fn files(name: &'static str, files: &'static [File]) -> Shape {
    Shape {
        name,
        files,
        address: None,
    }
}

const fn address(name: &'static str, address: Address) -> Shape {
    Shape {
        name,
        files: &[],
        address: Some(address),
    }
}

const LOOK: Wants = Wants::LOOK;
const READ: Wants = Wants::READ;
const WRITE: Wants = Wants::WRITE;
const CREATE: Wants = Wants::CREATE;
const REMOVE: Wants = Wants::REMOVE;
const EXECUTE: Wants = Wants::EXECUTE;

/// The calls that name something, by name.
pub const SHAPES: &[Shape] = &[
    files("access", &[path(0, LOOK).wants(Wanted::AccessMode(1))]),
    address("bind", Address::At(1, 2, Talk::Bind)),
    files("chdir", &[path(0, LOOK)]),
    files("chmod", &[path(0, WRITE)]),
    files("chown", &[path(0, WRITE)]),
    files("chroot", &[path(0, LOOK)]),
    address("connect", Address::At(1, 2, Talk::Reach)),
    files("creat", &[path(0, WRITE.union(CREATE))]),
    files("execve", &[path(0, EXECUTE)]),
    files("execveat", &[at(0, 1, EXECUTE).links(Links::UnlessTold(4))]),
    files("faccessat", &[at(0, 1, LOOK).wants(Wanted::AccessMode(2))]),
    files(
        "faccessat2",
        &[at(0, 1, LOOK)
            .wants(Wanted::AccessMode(2))
            .links(Links::UnlessTold(3))],
    ),
    files("fchmod", &[descriptor(0, WRITE)]),
    files("fchmodat", &[at(0, 1, WRITE)]),
    files("fchmodat2", &[at(0, 1, WRITE).links(Links::UnlessTold(3))]),
    files("fchown", &[descriptor(0, WRITE)]),
    files("fchownat", &[at(0, 1, WRITE).links(Links::UnlessTold(4))]),
    files("fremovexattr", &[descriptor(0, WRITE)]),
    files("fsetxattr", &[descriptor(0, WRITE)]),
    files("futimesat", &[at(0, 1, WRITE)]),
    files("getdents", &[descriptor(0, Wants::LIST)]),
    files("getdents64", &[descriptor(0, Wants::LIST)]),
    files("getxattr", &[path(0, LOOK)]),
    files("inotify_add_watch", &[path(1, READ)]),
    files("lchown", &[path(0, WRITE).kept()]),
    files("lgetxattr", &[path(0, LOOK).kept()]),
    files("link", &[path(0, READ).kept(), path(1, CREATE).kept()]),
    files(
        "linkat",
        &[
            at(0, 1, READ).links(Links::IfTold(4)),
            at(2, 3, CREATE).kept(),
        ],
    ),
    files("listxattr", &[path(0, LOOK)]),
    files("llistxattr", &[path(0, LOOK).kept()]),
    files("lremovexattr", &[path(0, WRITE).kept()]),
    files("lsetxattr", &[path(0, WRITE).kept()]),
    files("lstat", &[path(0, LOOK).kept()]),
    files("mkdir", &[path(0, CREATE).kept()]),
    files("mkdirat", &[at(0, 1, CREATE).kept()]),
    files("mknod", &[path(0, CREATE).kept()]),
    files("mknodat", &[at(0, 1, CREATE).kept()]),
    files("mount", &[path(1, LOOK)]),
    files(
        "name_to_handle_at",
        &[at(0, 1, LOOK).links(Links::IfTold(4))],
    ),
    files("newfstatat", &[at(0, 1, LOOK).links(Links::UnlessTold(3))]),
    files("open", &[path(0, READ).wants(Wanted::OpenFlags(1))]),
    files("openat", &[at(0, 1, READ).wants(Wanted::OpenFlags(2))]),
    files("openat2", &[at(0, 1, READ).wants(Wanted::OpenHow(2))]),
    files("readlink", &[path(0, LOOK).kept()]),
    files("readlinkat", &[at(0, 1, LOOK).kept()]),
    files("removexattr", &[path(0, WRITE)]),
    files("rename", &[path(0, REMOVE).kept(), path(1, CREATE).kept()]),
    files(
        "renameat",
        &[at(0, 1, REMOVE).kept(), at(2, 3, CREATE).kept()],
    ),
    files(
        "renameat2",
        &[at(0, 1, REMOVE).kept(), at(2, 3, CREATE).kept()],
    ),
    files("rmdir", &[path(0, REMOVE).kept()]),
    address("sendmmsg", Address::Messages(1)),
    address("sendmsg", Address::Message(1)),
    address("sendto", Address::At(4, 5, Talk::Reach)),
    files("setxattr", &[path(0, WRITE)]),
    files("stat", &[path(0, LOOK)]),
    files("statfs", &[path(0, LOOK)]),
    files("statx", &[at(0, 1, LOOK).links(Links::UnlessTold(2))]),
    files("symlink", &[path(1, CREATE).kept()]),
    files("symlinkat", &[at(1, 2, CREATE).kept()]),
    files("truncate", &[path(0, WRITE)]),
    files("unlink", &[path(0, REMOVE).kept()]),
    files("unlinkat", &[at(0, 1, REMOVE).kept()]),
    files("utime", &[path(0, WRITE)]),
    files("utimensat", &[at(0, 1, WRITE).links(Links::UnlessTold(3))]),
    files("utimes", &[path(0, WRITE)]),
];

/// The calls of which two names must be below one mount: what crosses one is `EXDEV`.
pub const JOINING: [&str; 5] = ["link", "linkat", "rename", "renameat", "renameat2"];

/// How the call of that name names things.
#[must_use]
pub fn of(name: &str) -> Option<&'static Shape> {
    let place = SHAPES.binary_search_by(|shape| shape.name.cmp(name)).ok()?;
    SHAPES.get(place)
}

#[cfg(test)]
mod tests {
    use warren_confine::seccomp::table::Call;

    use super::*;

    #[test]
    fn the_calls_exist_and_are_in_order() {
        assert!(SHAPES.is_sorted_by_key(|shape| shape.name));
        for shape in SHAPES {
            assert!(Call::find(shape.name).is_some(), "{}", shape.name);
        }
        for name in JOINING {
            assert_eq!(of(name).map(|shape| shape.files.len()), Some(2), "{name}");
        }
    }
}
