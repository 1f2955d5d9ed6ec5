//! A name for a namespace that needs no process, no mount and no descriptor.

use std::fmt;
use std::str::FromStr;

use rustix::io::Errno;

use crate::{Kind, NsFd};

/// The file handle of a namespace, by which it can be opened again as long as it exists:
/// name_to_handle_at(2) on nsfs, Linux 6.18.
///
/// Unlike an inode, it names no later namespace, since `id` is never given twice before
/// the machine is started again. Its text is `KIND:INODE:ID`, one word:
///
/// ```
/// use warren_namespaces::{Kind, NsHandle};
///
/// let handle: NsHandle = "net:4026532251:8194".parse()?;
/// assert_eq!((handle.kind, handle.inode, handle.id), (Kind::Net, 4_026_532_251, 8194));
/// assert_eq!(handle.to_string(), "net:4026532251:8194");
/// # Ok::<(), warren_namespaces::NoHandle>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NsHandle {
    /// Its kind.
    pub kind: Kind,
    /// Inode, the number in `net:[4026531840]`.
    pub inode: u32,
    /// Number of the namespace, of which there is one for all time.
    pub id: u64,
}

impl NsHandle {
    /// Opens the namespace.
    ///
    /// # Errors
    /// `ESTALE` where it is gone, or the caller neither is in it nor has `CAP_SYS_ADMIN`
    /// in its owner; `EBADF` before Linux 6.18.
    pub fn open(self) -> Result<NsFd, Errno> {
        let handle = warren_sys::NamespaceHandle {
            id: self.id,
            kind: self.kind.clone_flag() as u32,
            inode: self.inode,
        };
        warren_sys::open_namespace_handle(handle).map(|fd| NsFd::known(fd, self.kind))
    }
}

impl fmt::Display for NsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.inode, self.id)
    }
}

/// A text that is no [`NsHandle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoHandle(String);

impl fmt::Display for NoHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is no handle of a namespace (KIND:INODE:ID)",
            self.0
        )
    }
}

impl std::error::Error for NoHandle {}

impl FromStr for NsHandle {
    type Err = NoHandle;

    fn from_str(text: &str) -> Result<Self, NoHandle> {
        let parse = || {
            let (kind, numbers) = text.split_once(':')?;
            let (inode, id) = numbers.split_once(':')?;
            Some(Self {
                kind: kind.parse().ok()?,
                inode: decimal(inode)?,
                id: decimal(id)?,
            })
        };
        parse().ok_or_else(|| NoHandle(text.to_owned()))
    }
}

/// Digits only: `parse` would take a plus sign too.
fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_no_handle_is_refused() {
        for text in [
            "",
            "net",
            "net:1",
            "net:1:",
            "net::1",
            "net:1:2:3",
            "net:+1:2",
            "net:1:-2",
            "nte:1:2",
            "net:4294967296:1",
            "1234:5:6",
            "net:[1]:2",
        ] {
            let error = text.parse::<NsHandle>().expect_err(text);
            assert!(error.to_string().contains(text));
        }
    }

    #[test]
    fn a_namespace_is_opened_again_by_the_text_of_its_handle() {
        for kind in Kind::ALL {
            let path = Path::new("/proc/self/ns").join(kind.name());
            let own = NsFd::open(&path).expect("own namespaces can be opened");
            let handle = own.handle().expect("Linux 6.18");
            assert_eq!(Ok(handle.id), own.unique_id());
            let again: NsHandle = handle.to_string().parse().expect("its own text");
            let again = again.open().expect("the caller is in it");
            assert_eq!((again.kind(), again.id()), (kind, own.id()));
        }
    }

    #[test]
    fn a_handle_of_another_namespaces_inode_is_stale() {
        let own = NsFd::open(Path::new("/proc/self/ns/uts")).expect("own namespace");
        let handle = own.handle().expect("Linux 6.18");
        let other = NsHandle {
            id: handle.id + 1_000_000,
            ..handle
        };
        assert_eq!(other.open().err(), Some(Errno::STALE));
    }
}
