//! The rights that Landlock knows, by the version that brought them.

use std::fmt;

use linux_raw_sys::landlock as raw;

use super::Abi;

bitflags::bitflags! {
    /// What can be done with files: `LANDLOCK_ACCESS_FS_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Files: u64 {
        /// Execute a file.
        const EXECUTE = raw::LANDLOCK_ACCESS_FS_EXECUTE as u64;
        /// Open a file for writing.
        const WRITE = raw::LANDLOCK_ACCESS_FS_WRITE_FILE as u64;
        /// Open a file for reading.
        const READ = raw::LANDLOCK_ACCESS_FS_READ_FILE as u64;
        /// Open a folder, to list it.
        const LIST = raw::LANDLOCK_ACCESS_FS_READ_DIR as u64;
        /// Remove or rename a folder.
        const REMOVE_FOLDER = raw::LANDLOCK_ACCESS_FS_REMOVE_DIR as u64;
        /// Remove or rename any other file.
        const REMOVE_FILE = raw::LANDLOCK_ACCESS_FS_REMOVE_FILE as u64;
        /// Make a character device.
        const MAKE_CHARACTER = raw::LANDLOCK_ACCESS_FS_MAKE_CHAR as u64;
        /// Make a folder.
        const MAKE_FOLDER = raw::LANDLOCK_ACCESS_FS_MAKE_DIR as u64;
        /// Make a regular file, by any name that it gets.
        const MAKE_FILE = raw::LANDLOCK_ACCESS_FS_MAKE_REG as u64;
        /// Make a socket.
        const MAKE_SOCKET = raw::LANDLOCK_ACCESS_FS_MAKE_SOCK as u64;
        /// Make a named pipe.
        const MAKE_PIPE = raw::LANDLOCK_ACCESS_FS_MAKE_FIFO as u64;
        /// Make a block device.
        const MAKE_BLOCK = raw::LANDLOCK_ACCESS_FS_MAKE_BLOCK as u64;
        /// Make a symlink.
        const MAKE_SYMLINK = raw::LANDLOCK_ACCESS_FS_MAKE_SYM as u64;
        /// Move or link files between folders.
        const REFER = raw::LANDLOCK_ACCESS_FS_REFER as u64;
        /// Empty a file.
        const TRUNCATE = raw::LANDLOCK_ACCESS_FS_TRUNCATE as u64;
        /// ioctl(2) of a device file that is opened from now on.
        const IOCTL_DEVICE = raw::LANDLOCK_ACCESS_FS_IOCTL_DEV as u64;
        /// Connect to a unix socket that somebody else has made.
        const RESOLVE_UNIX = 1 << 16;

        /// What a rule on anything but a folder may allow.
        const OF_A_FILE = Self::EXECUTE.bits()
            | Self::WRITE.bits()
            | Self::READ.bits()
            | Self::TRUNCATE.bits()
            | Self::IOCTL_DEVICE.bits()
            | Self::RESOLVE_UNIX.bits();
    }
}

bitflags::bitflags! {
    /// What can be done with a TCP port: `LANDLOCK_ACCESS_NET_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Tcp: u64 {
        /// bind(2) to it.
        const BIND = raw::LANDLOCK_ACCESS_NET_BIND_TCP as u64;
        /// connect(2) to it.
        const CONNECT = raw::LANDLOCK_ACCESS_NET_CONNECT_TCP as u64;
    }
}

bitflags::bitflags! {
    /// What is kept among the restricted processes: `LANDLOCK_SCOPE_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Scopes: u64 {
        /// Connections to abstract unix sockets.
        const ABSTRACT_SOCKETS = raw::LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET as u64;
        /// Signals.
        const SIGNALS = raw::LANDLOCK_SCOPE_SIGNAL as u64;
    }
}

impl Files {
    /// Those that a version knows. None of the first: it would keep every restricted
    /// process from moving files between folders, its own included.
    #[must_use]
    pub fn of(abi: Abi) -> Self {
        if abi < Abi::REFER {
            return Self::empty();
        }
        let later = [
            (Abi::TRUNCATE, Self::TRUNCATE),
            (Abi::IOCTL_DEVICE, Self::IOCTL_DEVICE),
            (Abi::RESOLVE_UNIX, Self::RESOLVE_UNIX),
        ];
        later
            .into_iter()
            .filter(|(since, _)| abi < *since)
            .fold(Self::all(), |rights, (_, right)| rights - right)
    }
}

impl Tcp {
    /// Those that a version knows.
    #[must_use]
    pub fn of(abi: Abi) -> Self {
        match abi < Abi::TCP {
            true => Self::empty(),
            false => Self::all(),
        }
    }
}

impl Scopes {
    /// Those that a version knows.
    #[must_use]
    pub fn of(abi: Abi) -> Self {
        match abi < Abi::SCOPES {
            true => Self::empty(),
            false => Self::all(),
        }
    }
}

/// In the words of a plan: `read, list, execute`; `everything`.
impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORDS: [(Files, &str); 5] = [
            (Files::READ, "read"),
            (Files::LIST, "list"),
            (Files::EXECUTE, "execute"),
            (Files::WRITE, "write"),
            (Files::RESOLVE_UNIX, "connect"),
        ];
        if self.contains(Self::MAKE_FILE) {
            return f.write_str("everything");
        }
        let words: Vec<_> = WORDS
            .into_iter()
            .filter(|(right, _)| self.contains(*right))
            .map(|(_, word)| word)
            .collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_knows_what_it_brought_and_all_before() {
        let bits = |number| Files::of(Abi::new(number)).bits().count_ones();
        let counts: Vec<_> = (1..=10).map(bits).collect();
        assert_eq!(counts, [0, 14, 15, 15, 16, 16, 16, 16, 17, 17]);
        assert!(Tcp::of(Abi::new(3)).is_empty());
        assert_eq!(Tcp::of(Abi::new(4)), Tcp::all());
        assert!(Scopes::of(Abi::new(5)).is_empty());
        assert_eq!(Scopes::of(Abi::new(6)), Scopes::all());
    }

    #[test]
    fn the_bits_are_the_kernels() {
        assert_eq!(Files::of(Abi::new(9)).bits(), 0x1_ffff);
        assert_eq!(Files::OF_A_FILE.bits(), 0x1_c007);
    }

    #[test]
    fn rights_are_told_in_words() {
        let read = Files::READ | Files::LIST | Files::EXECUTE;
        assert_eq!(read.to_string(), "read, list, execute");
        assert_eq!(Files::of(Abi::new(2)).to_string(), "everything");
        assert_eq!(Files::empty().to_string(), "");
    }
}
