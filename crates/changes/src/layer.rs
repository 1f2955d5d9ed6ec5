//! An overlay's upper folder and what lies below it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::attributes::{Attributes, Node};
use crate::beneath::Tree;
use crate::outcome::Problem;
use crate::owners::Owners;

/// What one overlay has above and below.
#[derive(Debug)]
pub struct Layer {
    pub(crate) upper: Tree,
    /// The uppermost first.
    pub(crate) lowers: Vec<Tree>,
    pub(crate) covered: Vec<PathBuf>,
    pub(crate) owners: Owners,
    pub(crate) proc: ProcRoot,
}

impl Layer {
    /// An overlay with its changes in `upper`, and the folders below it, the lowest
    /// first. `covered` are the places, relative to it, at which something was mounted:
    /// mount points that were made for it are no change of the program's.
    #[must_use]
    pub fn new(
        upper: OwnedFd,
        lowers: Vec<OwnedFd>,
        covered: Vec<PathBuf>,
        owners: Owners,
        proc: ProcRoot,
    ) -> Self {
        Self {
            upper: Tree::new(upper),
            lowers: lowers.into_iter().rev().map(Tree::new).collect(),
            covered,
            owners,
            proc,
        }
    }

    /// Opens something of the layer for reading. The program may have taken that right
    /// from everybody; where the caller owns it, it is given back: nobody else will see
    /// the layer.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.upper.open(path, flags) {
            Err(Errno::ACCESS) => {
                self.make_readable(path)?;
                self.upper.open(path, flags)
            }
            result => result,
        }
    }

    fn make_readable(&self, path: &Path) -> Result<(), Errno> {
        let file = self.upper.open(path, OFlags::PATH)?;
        let attributes = Attributes::of_open(file.as_fd())?;
        match attributes.node {
            Node::File | Node::Folder => {
                change_mode(&self.proc, file.as_fd(), attributes.mode | 0o700)
            }
            _ => Err(Errno::ACCESS),
        }
    }

    /// The regular file at `path`.
    pub(crate) fn open_file(&self, path: &Path) -> Result<OwnedFd, Problem> {
        let failed = |errno| Problem::new("read", path, errno);
        let file = self.open(path, crate::beneath::FILE).map_err(failed)?;
        let attributes = Attributes::of_open(file.as_fd()).map_err(failed)?;
        if attributes.node == Node::File {
            Ok(file)
        } else {
            Err(failed(Errno::STALE).with_reason("it was replaced while it was read"))
        }
    }
}

/// chmod(2) of what is open, be it by its path only.
pub fn change_mode(
    proc: &ProcRoot,
    file: BorrowedFd<'_>,
    mode: u32,
) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // There is no chmod of a path descriptor before Linux 6.6.
    let path = format!("self/fd/{}", file.as_raw_fd());
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::chmodat(proc.as_fd(), path, mode, AtFlags::empty())
}
