//! A place inside a container's root, checked and cut up before it is used.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// A path below a root, without `.` and `..`, with each of its parents at hand as a C
/// string.
///
/// ```
/// use warren_mounts::Target;
///
/// let target = Target::new("/var//lib/./data".as_ref())?;
/// assert_eq!(target.path(), c"var/lib/data");
/// assert!(Target::new("/var/../etc".as_ref()).is_err());
/// # Ok::<(), warren_mounts::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `a`, `a/b`, `a/b/c`: each prefix of the path, the whole of it last.
    prefixes: Vec<CString>,
    /// The last component.
    name: CString,
    /// The mode of parents that are made.
    parents_mode: u32,
    /// Whether a symlink there is refused.
    exact: bool,
}

impl Target {
    /// Checks and takes apart a path; a leading `/` means the container's root.
    ///
    /// # Errors
    /// [`TargetError`] where the path is the root itself, has a `..` or a NUL byte.
    pub fn new(path: &Path) -> Result<Self, TargetError> {
        let mut prefixes = Vec::new();
        let mut prefix = Vec::new();
        let mut name = None;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => continue,
                Component::ParentDir => return Err(TargetError::Parent),
                Component::Prefix(_) => return Err(TargetError::Root),
                Component::Normal(part) => {
                    if !prefix.is_empty() {
                        prefix.push(b'/');
                    }
                    prefix.extend_from_slice(part.as_bytes());
                    let text = |bytes: &[u8]| {
                        CString::new(bytes).map_err(|_| TargetError::NulByte)
                    };
                    prefixes.push(text(&prefix)?);
                    name = Some(text(part.as_bytes())?);
                }
            }
        }
        let name = name.ok_or(TargetError::Root)?;
        Ok(Self {
            prefixes,
            name,
            parents_mode: 0o755,
            exact: false,
        })
    }

    /// The same, but parents that are missing get this mode, in place of 755.
    #[must_use]
    pub fn with_parents_mode(mut self, mode: u32) -> Self {
        self.parents_mode = mode;
        self
    }

    /// The same, but a symlink as its last component is refused.
    #[must_use]
    pub fn exactly(mut self) -> Self {
        self.exact = true;
        self
    }

    /// The mode of folders that are made on the way.
    #[must_use]
    pub fn parents_mode(&self) -> u32 {
        self.parents_mode
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// The path relative to the root.
    #[must_use]
    pub fn path(&self) -> &CStr {
        self.prefixes.last().map_or(c"", CString::as_c_str)
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// The folder it lies in, relative to the root; `None` directly below the root.
    #[must_use]
    pub fn parent(&self) -> Option<&CStr> {
        self.parents().last().map(CString::as_c_str)
    }

    /// Each folder above it, outermost first.
    #[must_use]
    pub fn parents(&self) -> &[CString] {
        self.prefixes
            .split_last()
            .map_or(&[], |(_, parents)| parents)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.path().to_string_lossy())
    }
}

/// Why a path is no place inside a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is the root itself.
    Root,
    /// It has a `..`, whose meaning would depend on symlinks.
    Parent,
    /// It has a NUL byte.
    NulByte,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the root itself is no place to mount on",
            Self::Parent => "a path inside the container may not have '..'",
            Self::NulByte => "a path may not have a NUL byte",
        })
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_knows_its_parents() {
        let target = Target::new(Path::new("/a/b/c")).expect("a good path");
        assert_eq!(target.parents(), [c"a".to_owned(), c"a/b".to_owned()]);
        assert_eq!(target.parent(), Some(c"a/b"));
        assert_eq!(target.name(), c"c");
        assert_eq!(target.to_string(), "/a/b/c");
    }

    #[test]
    fn a_target_is_below_the_root_and_plain() {
        for (path, error) in [
            ("/", TargetError::Root),
            ("", TargetError::Root),
            (".", TargetError::Root),
            ("a/..", TargetError::Parent),
            ("/../etc", TargetError::Parent),
            ("a\0b", TargetError::NulByte),
        ] {
            assert_eq!(Target::new(Path::new(path)), Err(error), "{path:?}");
        }
    }
}
