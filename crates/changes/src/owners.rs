//! Whose the files are.

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use warren_namespaces::IdMap;

use crate::attributes::Attributes;

/// Whose a file of a layer is to be outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The caller's, who may give it to nobody else.
    Caller,
    /// The same as in the layer.
    Same,
    /// Whose it is inside of the namespace with these maps.
    Inside {
        /// The lines of uid_map.
        uids: Vec<IdMap>,
        /// The lines of gid_map.
        gids: Vec<IdMap>,
    },
}

impl Owners {
    /// To whom a file is given; `None` if it stays the caller's.
    ///
    /// # Errors
    /// `EOVERFLOW` where the maps have no such owner.
    pub(crate) fn of(&self, file: &Attributes) -> Result<Option<(Uid, Gid)>, Errno> {
        let inside = |map: &[IdMap], id: u32| {
            let found = map.iter().find_map(|line| line.to_inside(id));
            found.ok_or(Errno::OVERFLOW)
        };
        let (uid, gid) = match self {
            Self::Caller => return Ok(None),
            Self::Same => (file.uid, file.gid),
            Self::Inside { uids, gids } => {
                (inside(uids, file.uid)?, inside(gids, file.gid)?)
            }
        };
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    /// Whether a file of the layer is to have another owner than one below has.
    pub(crate) fn differ(&self, now: &Attributes, before: &Attributes) -> bool {
        match self.of(now) {
            Ok(None) => false,
            Ok(Some((uid, gid))) => {
                (uid.as_raw(), gid.as_raw()) != (before.uid, before.gid)
            }
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_line_has_is_an_error() {
        let (folder, _) = rustix::fs::openat(
            rustix::fs::CWD,
            "/",
            rustix::fs::OFlags::PATH,
            rustix::fs::Mode::empty(),
        )
        .map(|fd| (Attributes::of_open(std::os::fd::AsFd::as_fd(&fd)), fd))
        .expect("the root");
        let mut file = folder.expect("its attributes");
        (file.uid, file.gid) = (100_005, 200_006);
        let owners = |uids: &str, gids: &str| Owners::Inside {
            uids: vec![uids.parse().expect("a line")],
            gids: vec![gids.parse().expect("a line")],
        };
        let same = owners("0:100000:10", "0:200000:10");
        let expected = (Uid::from_raw(5), Gid::from_raw(6));
        assert_eq!(same.of(&file), Ok(Some(expected)));
        let no_gid = owners("0:100000:10", "0:100000:10");
        assert_eq!(no_gid.of(&file), Err(Errno::OVERFLOW));
        assert_eq!(Owners::Caller.of(&file), Ok(None));
    }
}
