//! Id maps of user namespaces: the lines of /proc/PID/uid_map, user_namespaces(7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One line of a map: `count` ids from `inside` on, in the user namespace, are the
/// ids from `outside` on in its parent.
///
/// ```
/// use warren_namespaces::IdMap;
///
/// let map: IdMap = "0:100000:65536".parse()?;
/// assert_eq!(map.to_outside(1000), Some(101_000));
/// assert_eq!(map.to_outside(65_536), None);
/// # Ok::<(), warren_namespaces::IdMapError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMap {
    /// First id as processes in the namespace see it.
    pub inside: u32,
    /// First id as the parent namespace sees it.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

impl IdMap {
    /// The lines that the kernel takes in one map (Linux 4.15).
    pub const MOST_LINES: usize = 340;

    /// A map, if it names at least one id and none beyond 2^32 - 2.
    ///
    /// # Errors
    /// [`IdMapError::Empty`], [`IdMapError::Overflow`]. The last id, 2^32 - 1, means
    /// "no change" to chown(2) and its like and cannot be mapped.
    pub fn new(inside: u32, outside: u32, count: u32) -> Result<Self, IdMapError> {
        if count == 0 {
            return Err(IdMapError::Empty);
        }
        let fits = |first: u32| first.checked_add(count).is_some();
        if !fits(inside) || !fits(outside) {
            return Err(IdMapError::Overflow);
        }
        Ok(Self {
            inside,
            outside,
            count,
        })
    }

    /// `inside` alone, as `outside`.
    #[must_use]
    pub const fn single(inside: u32, outside: u32) -> Self {
        Self {
            inside,
            outside,
            count: 1,
        }
    }

    /// The id inside that `id` outside is, if this line maps it.
    #[must_use]
    pub fn to_inside(self, id: u32) -> Option<u32> {
        let distance = id.checked_sub(self.outside)?;
        (distance < self.count).then(|| self.inside + distance)
    }

    /// What the parent namespace calls `id`, if this line maps it.
    #[must_use]
    pub fn to_outside(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.inside)?;
        (offset < self.count).then(|| self.outside + offset)
    }

    /// The text of a whole map, as it is written to uid_map or gid_map.
    #[must_use]
    pub fn text(map: &[Self]) -> String {
        use fmt::Write;
        let mut text = String::new();
        for IdMap {
            inside,
            outside,
            count,
        } in map
        {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{inside} {outside} {count}");
        }
        text
    }

    /// Reads what the kernel prints in uid_map and gid_map.
    ///
    /// # Errors
    /// As parsing a line does.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, IdMapError> {
        text.lines()
            .map(|line| Self::from_fields(line.split_ascii_whitespace()))
            .collect()
    }

    fn from_fields<'a>(
        mut fields: impl Iterator<Item = &'a str>,
    ) -> Result<Self, IdMapError> {
        let mut next = || -> Result<u32, IdMapError> {
            let field = fields.next().ok_or(IdMapError::Syntax)?;
            // u32::from_str takes a leading `+`, which no tool writes.
            if !field.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(IdMapError::Syntax);
            }
            field.parse().map_err(|_| IdMapError::Syntax)
        };
        let (inside, outside, count) = (next()?, next()?, next()?);
        if fields.next().is_some() {
            return Err(IdMapError::Syntax);
        }
        Self::new(inside, outside, count)
    }
}

impl FromStr for IdMap {
    type Err = IdMapError;

    /// `INSIDE:OUTSIDE:COUNT`, in decimal.
    fn from_str(text: &str) -> Result<Self, IdMapError> {
        Self::from_fields(text.split(':'))
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

/// Why a text or three numbers are no id map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdMapError {
    /// Not three decimal numbers.
    Syntax,
    /// It maps nothing.
    Empty,
    /// It goes beyond the last id.
    Overflow,
}

impl fmt::Display for IdMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "an id map is INSIDE:OUTSIDE:COUNT, three decimal numbers",
            Self::Empty => "an id map of no ids",
            Self::Overflow => "an id map beyond the last id, 4294967294",
        })
    }
}

impl std::error::Error for IdMapError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_parses_and_prints_as_written() {
        let map: IdMap = "0:100000:65536".parse().expect("a good map");
        assert_eq!(
            map,
            IdMap {
                inside: 0,
                outside: 100_000,
                count: 65_536
            }
        );
        assert_eq!(map.to_string(), "0:100000:65536");
    }

    #[test]
    fn malformed_maps_are_refused() {
        for text in [
            "", "0", "0:1", "0:1:2:3", "a:1:2", "-1:0:1", "+1:0:1", "0: 1:2",
        ] {
            assert_eq!(text.parse::<IdMap>(), Err(IdMapError::Syntax), "{text:?}");
        }
        assert_eq!("0:0:0".parse::<IdMap>(), Err(IdMapError::Empty));
        assert_eq!("0:4294967295:1".parse::<IdMap>(), Err(IdMapError::Overflow));
        assert_eq!("1:0:4294967295".parse::<IdMap>(), Err(IdMapError::Overflow));
    }

    #[test]
    fn the_kernels_own_text_is_read() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        let map = IdMap::parse_file(text).expect("the kernel's text");
        assert_eq!(
            map,
            [
                IdMap::single(0, 1000),
                IdMap {
                    inside: 1,
                    outside: 100_000,
                    count: 65_536
                }
            ]
        );
        assert_eq!(IdMap::text(&map), "0 1000 1\n1 100000 65536\n");
    }
}
