//! The columns: their names, order, types and defaults.

use std::ffi::OsStr;

/// A column, in the order of `--output-all`; the last four are Warren's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Ns,
    Type,
    Path,
    Nprocs,
    Pid,
    Ppid,
    Command,
    Uid,
    User,
    Netnsid,
    Nsfs,
    Pns,
    Ons,
    Heldby,
    Nsid,
    Handle,
    Label,
}

use Column::{
    Command, Handle, Heldby, Label, Netnsid, Nprocs, Ns, Nsfs, Nsid, Ons, Path, Pid, Pns,
    Ppid, Type, Uid, User,
};

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Number,
    Text,
}

struct Facts {
    name: &'static str,
    value: Value,
    /// Texts are at the left, numbers at the right, but for one that is both.
    right: bool,
    /// The least width of a column whose cells are wider than its name is no less.
    hint: usize,
    about: &'static str,
}

impl Column {
    /// `--output-all`: what the original has, in its order.
    pub const ALL: [Self; 13] = [
        Ns, Type, Path, Nprocs, Pid, Ppid, Command, Uid, User, Netnsid, Nsfs, Pns, Ons,
    ];

    /// Only by `--output`: a script that reads all by position is not surprised.
    pub const OWN: [Self; 4] = [Heldby, Nsid, Handle, Label];

    /// Of the list of all namespaces.
    pub const DEFAULT: [Self; 6] = [Ns, Type, Nprocs, Pid, User, Command];
    /// The same where network namespaces were asked for.
    pub const DEFAULT_NET: [Self; 8] =
        [Ns, Type, Nprocs, Pid, User, Netnsid, Nsfs, Command];
    /// Of the list of the processes of one namespace.
    pub const DEFAULT_PROCESSES: [Self; 4] = [Pid, Ppid, User, Command];

    /// All that there are.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::OWN)
    }

    fn facts(self) -> Facts {
        let number = |name, hint, about| Facts {
            name,
            value: Value::Number,
            right: true,
            hint,
            about,
        };
        let text = |name, hint, about| Facts {
            name,
            value: Value::Text,
            right: false,
            hint,
            about,
        };
        match self {
            Ns => number("NS", 10, "namespace, by its inode number"),
            Type => text("TYPE", 5, "kind of namespace"),
            Path => text("PATH", 0, "a file below /proc that leads to it"),
            Nprocs => number("NPROCS", 5, "number of processes in it"),
            Pid => number("PID", 5, "lowest pid in it"),
            Ppid => number("PPID", 5, "parent of PID"),
            Command => text("COMMAND", 0, "command line of PID"),
            Uid => number("UID", 0, "user id of PID; without one, of who made it"),
            User => text("USER", 0, "name of UID"),
            Netnsid => Facts {
                right: true,
                ..text(
                    "NETNSID",
                    0,
                    "number by which the caller's network namespace knows it",
                )
            },
            Nsfs => text("NSFS", 0, "where it is mounted"),
            Pns => number("PNS", 10, "parent of a pid or user namespace"),
            Ons => number("ONS", 10, "user namespace that owns it"),
            Heldby => text("HELDBY", 0, "what keeps it alive"),
            Nsid => number(
                "NSID",
                0,
                "number that no other namespace ever had (Linux 6.18)",
            ),
            Handle => text(
                "HANDLE",
                0,
                "name by which it can be opened again (Linux 6.18)",
            ),
            Label => text("LABEL", 0, "container, unit or cgroup of PID"),
        }
    }

    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Its key in JSON.
    pub fn key(self) -> String {
        self.name().to_lowercase()
    }

    pub fn value(self) -> Value {
        self.facts().value
    }

    pub fn is_right_aligned(self) -> bool {
        self.facts().right
    }

    pub fn width_hint(self) -> usize {
        self.facts().hint
    }

    pub fn about(self) -> &'static str {
        self.facts().about
    }

    /// Whether a cell can have several lines.
    pub const fn has_lines(self) -> bool {
        matches!(self, Nsfs | Heldby)
    }

    /// Whether it can only be filled after a look at every process.
    pub const fn needs_members(self) -> bool {
        !matches!(self, Ns | Type | Netnsid | Pns | Ons | Nsid | Handle)
    }

    /// The column of this name, whatever its case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::every().find(|column| column.name().eq_ignore_ascii_case(name))
    }
}

/// The columns of a list of names with commas between them. An error is the rest of
/// the list, from the first that there is not.
pub fn parse_list(list: &OsStr) -> Result<Vec<Column>, String> {
    let list = list.to_string_lossy();
    let mut rest = list.as_ref();
    let mut columns = Vec::new();
    loop {
        // A comma at the end separates nothing, and belongs to the name.
        let parts = rest.split_once(',').filter(|(_, after)| !after.is_empty());
        let name = parts.map_or(rest, |(name, _)| name);
        columns.push(Column::by_name(name).ok_or_else(|| rest.to_owned())?);
        match parts {
            Some((_, after)) => rest = after,
            None => return Ok(columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_by_its_name_in_any_case() {
        assert_eq!(Column::every().count(), 17);
        for column in Column::every() {
            assert_eq!(Column::by_name(column.name()), Some(column));
            assert_eq!(Column::by_name(&column.key()), Some(column));
        }
    }

    #[test]
    fn a_list_is_read_up_to_the_first_name_that_there_is_not() {
        let parse = |list: &str| parse_list(OsStr::new(list));
        assert_eq!(parse("ns,Type"), Ok(vec![Ns, Type]));
        assert_eq!(parse("NS,FOO,BAR"), Err("FOO,BAR".to_owned()));
        assert_eq!(parse("NS,,"), Err(",".to_owned()));
        assert_eq!(parse("TYPE,NS,"), Err("NS,".to_owned()));
        assert_eq!(parse("NS, TYPE"), Err(" TYPE".to_owned()));
        assert_eq!(parse(""), Err(String::new()));
    }
}
