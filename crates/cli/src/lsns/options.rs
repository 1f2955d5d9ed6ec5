//! The command line, as the original reads it.

use std::ffi::{OsStr, OsString};

use warren_namespaces::{Kind, NamespaceSet};

use super::column::{self, Column};
use crate::failure::Failure;
use crate::getopt::{Argument, Getopt, Known, Order};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Help,
    Version,
    ListColumns(Format),
    List(Options),
}

/// What is listed, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub what: What,
    pub kinds: NamespaceSet,
    pub columns: Vec<Column>,
    pub format: Format,
    pub tree: Tree,
    pub headings: bool,
    /// Whether a command line is cut at the terminal's width.
    pub truncate: bool,
    /// Whether each mount point has a line of its own.
    pub wrap: bool,
    pub filter: Option<String>,
}

/// Which namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    All,
    /// Those without processes.
    Persistent,
    /// Those of one process.
    OfProcess(u32),
    /// The processes of the namespace with this inode.
    Processes(u64),
    /// Of a process whose number none can have.
    Nothing(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Raw,
    Json,
}

/// What makes a line the child of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    None,
    Process,
    Owner,
    Parent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Json,
    Task,
    Help,
    Output,
    OutputAll,
    NoTruncate,
    Version,
    NoHeadings,
    NoWrap,
    List,
    ListColumns,
    Raw,
    Type,
    Tree,
    Persistent,
    Filter,
}

/// In the order in which an ambiguous prefix names them.
const KNOWN: &[Known<Key>] = &[
    option(Key::Json, Some(b'J'), "json", Argument::None),
    option(Key::Task, Some(b'p'), "task", Argument::Required),
    option(Key::Help, Some(b'h'), "help", Argument::None),
    option(Key::Output, Some(b'o'), "output", Argument::Required),
    option(Key::OutputAll, None, "output-all", Argument::None),
    option(Key::Persistent, Some(b'P'), "persistent", Argument::None),
    option(Key::NoTruncate, Some(b'u'), "notruncate", Argument::None),
    option(Key::Version, Some(b'V'), "version", Argument::None),
    option(Key::NoHeadings, Some(b'n'), "noheadings", Argument::None),
    option(Key::NoWrap, Some(b'W'), "nowrap", Argument::None),
    option(Key::List, Some(b'l'), "list", Argument::None),
    option(Key::Raw, Some(b'r'), "raw", Argument::None),
    option(Key::Type, Some(b't'), "type", Argument::Required),
    option(Key::Tree, Some(b'T'), "tree", Argument::Optional),
    option(Key::Filter, Some(b'Q'), "filter", Argument::Required),
    option(Key::ListColumns, Some(b'H'), "list-columns", Argument::None),
];

const fn option(
    key: Key,
    short: Option<u8>,
    long: &'static str,
    argument: Argument,
) -> Known<Key> {
    Known {
        key,
        short,
        long: Some(long),
        argument,
    }
}

/// What the options say before their sum is drawn.
#[derive(Default)]
struct Raw {
    json: bool,
    raw: bool,
    list: bool,
    list_columns: bool,
    persistent: bool,
    task: Option<i32>,
    kinds: Vec<Kind>,
    output: Option<OsString>,
    output_all: bool,
    no_headings: bool,
    no_truncate: bool,
    no_wrap: bool,
    tree: Option<Tree>,
    filter: Option<String>,
}

/// Reads the arguments, the program's name first.
pub fn parse(arguments: &[OsString]) -> Result<Asked, Failure> {
    let mut raw = Raw::default();
    let mut getopt = Getopt::new(KNOWN, Order::Any, arguments);
    for met in getopt.by_ref() {
        let (key, argument) = met.map_err(usage)?;
        if let Some(asked) = raw.take(key, argument)? {
            return Ok(asked);
        }
    }
    raw.sum(&getopt.operands())
}

/// A mistake in the options themselves.
fn usage(complaint: String) -> Failure {
    Failure::usage(complaint + "\nTry 'lsns --help' for more information.")
}

impl Raw {
    /// Notes one option; an answer that needs no other ends the reading.
    fn take(
        &mut self,
        key: Key,
        argument: Option<OsString>,
    ) -> Result<Option<Asked>, Failure> {
        if key == Key::Tree {
            self.tree = Some(argument.map_or(Ok(Tree::Owner), |word| tree(&word))?);
            return Ok(None);
        }
        let argument = argument.unwrap_or_default();
        match key {
            Key::Help => return Ok(Some(Asked::Help)),
            Key::Version => return Ok(Some(Asked::Version)),
            Key::Json => self.json = true,
            Key::Raw => self.raw = true,
            Key::List => self.list = true,
            Key::ListColumns => self.list_columns = true,
            Key::Persistent => self.persistent = true,
            Key::Task => self.task = Some(number("PID", &argument)?),
            Key::Type => self.kinds.push(kind(&argument)?),
            Key::Output => self.output = Some(argument),
            Key::OutputAll => self.output_all = true,
            Key::NoHeadings => self.no_headings = true,
            Key::NoTruncate => self.no_truncate = true,
            Key::NoWrap => self.no_wrap = true,
            Key::Tree => {}
            Key::Filter => self.filter = Some(argument.to_string_lossy().into_owned()),
        }
        self.contradictions().map(|()| None)
    }

    fn contradictions(&self) -> Result<(), Failure> {
        let exclusive = |names: &str| {
            Err(Failure::usage(format!(
                "mutually exclusive arguments: {names}"
            )))
        };
        if self.json && self.raw {
            return exclusive("--json --raw");
        }
        if self.persistent && self.task.is_some() {
            return exclusive("--persistent --task");
        }
        Ok(())
    }

    fn sum(self, operands: &[OsString]) -> Result<Asked, Failure> {
        let what = self.what(operands)?;
        if self.list_columns {
            return Ok(Asked::ListColumns(self.format()));
        }
        Ok(Asked::List(Options {
            what,
            kinds: match self.kinds.as_slice() {
                [] => NamespaceSet::ALL,
                kinds => kinds.iter().copied().collect(),
            },
            columns: self.columns(what)?,
            format: self.format(),
            tree: self.tree_of(what),
            headings: !self.no_headings,
            truncate: !self.no_truncate && !self.raw,
            wrap: !self.no_wrap && !self.raw,
            filter: self.filter,
        }))
    }

    fn what(&self, operands: &[OsString]) -> Result<What, Failure> {
        let Some(operand) = operands.first() else {
            return Ok(match self.task {
                // As if it had not been given.
                None | Some(0) if self.persistent => What::Persistent,
                None | Some(0) => What::All,
                Some(pid) => match u32::try_from(pid) {
                    Ok(pid) => What::OfProcess(pid),
                    Err(_) => What::Nothing(pid),
                },
            });
        };
        if self.task.is_some_and(|pid| pid != 0) {
            let text = "--task is mutually exclusive with <namespace>";
            return Err(Failure::usage(text));
        }
        Ok(What::Processes(number("namespace", operand)?))
    }

    fn format(&self) -> Format {
        match (self.json, self.raw) {
            (true, _) => Format::Json,
            (_, true) => Format::Raw,
            _ => Format::Table,
        }
    }

    /// The relation of a tree is of namespaces; processes only have one. All columns
    /// are a list of namespaces unless told, but a tree of processes: so it is there.
    fn tree_of(&self, what: What) -> Tree {
        let of_processes = matches!(what, What::Processes(_));
        match self.tree {
            None if self.list || (self.output_all && !of_processes) => Tree::None,
            None | Some(Tree::Process) => Tree::Process,
            Some(_) if of_processes => Tree::None,
            Some(tree) => tree,
        }
    }

    fn columns(&self, what: What) -> Result<Vec<Column>, Failure> {
        let mut columns: Vec<Column> = match what {
            _ if self.output_all => Column::ALL.into(),
            What::Processes(_) => Column::DEFAULT_PROCESSES.into(),
            _ if self.kinds.contains(&Kind::Net) => Column::DEFAULT_NET.into(),
            _ => Column::DEFAULT.into(),
        };
        let Some(list) = self.output.as_deref() else {
            return Ok(columns);
        };
        let unknown = |rest| Failure::usage(format!("unknown column: {rest}"));
        match strip(list, '+') {
            Some(more) => columns.extend(column::parse_list(more).map_err(unknown)?),
            None => columns = column::parse_list(list).map_err(unknown)?,
        }
        Ok(columns)
    }
}

/// What follows `prefix`.
fn strip(text: &OsStr, prefix: char) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt;
    let mut utf8 = [0; 4];
    let prefix = prefix.encode_utf8(&mut utf8).as_bytes();
    text.as_bytes().strip_prefix(prefix).map(OsStr::from_bytes)
}

fn kind(name: &OsStr) -> Result<Kind, Failure> {
    let named = Kind::ALL.into_iter().find(|kind| name == kind.name());
    named.ok_or_else(|| {
        let name = name.display();
        Failure::usage(format!("unknown namespace type: {name}"))
    })
}

fn tree(relation: &OsStr) -> Result<Tree, Failure> {
    // `-T=owner` is as good as `-Towner`; `--tree=` names nothing.
    match strip(relation, '=').unwrap_or(relation).to_str() {
        Some("process") => Ok(Tree::Process),
        Some("owner") => Ok(Tree::Owner),
        Some("parent") => Ok(Tree::Parent),
        _ => {
            let relation = relation.display();
            Err(Failure::usage(format!("unknown tree type: {relation}")))
        }
    }
}

/// A decimal number as strtoul(3) reads it: blanks and a plus sign may come before it.
fn number<N: TryFrom<i128>>(of: &str, text: &OsStr) -> Result<N, Failure> {
    let wrong = |why: &str| {
        let text = text.display();
        Failure::usage(format!("invalid {of} argument: '{text}'{why}"))
    };
    let digits = text.to_str().unwrap_or_default().trim_start();
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(""));
    }
    let number = digits.parse::<i128>().ok();
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| wrong(": Numerical result out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, Failure> {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        parse(&words)
    }

    fn list(line: &str) -> Options {
        match parsed(line) {
            Ok(Asked::List(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_default_columns_depend_on_what_is_listed() {
        assert_eq!(list("lsns").columns, Column::DEFAULT);
        assert_eq!(list("lsns -t mnt -t net").columns, Column::DEFAULT_NET);
        assert_eq!(list("lsns -t net 5").columns, Column::DEFAULT_PROCESSES);
        assert_eq!(list("lsns --output-all -o ns").columns, [Column::Ns]);
        assert_eq!(list("lsns -o +NS -o PID").columns, [Column::Pid]);
        assert_eq!(list("lsns -o +LABEL 5").columns.len(), 5);
    }

    #[test]
    fn the_tree_is_of_processes_unless_told_and_a_list_has_none() {
        assert_eq!(list("lsns").tree, Tree::Process);
        assert_eq!(list("lsns -l").tree, Tree::None);
        assert_eq!(list("lsns -T").tree, Tree::Owner);
        assert_eq!(list("lsns -l -T=parent").tree, Tree::Parent);
        assert_eq!(list("lsns -Towner 5").tree, Tree::None);
        assert_eq!(list("lsns --tree=process 5").tree, Tree::Process);
        assert_eq!(list("lsns --output-all").tree, Tree::None);
        assert_eq!(list("lsns --output-all 5").tree, Tree::Process);
        assert_eq!(list("lsns --output-all -T").tree, Tree::Owner);
    }

    #[test]
    fn a_pid_of_zero_is_none_given() {
        assert_eq!(list("lsns -p 0").what, What::All);
        assert_eq!(list("lsns -p 7").what, What::OfProcess(7));
        assert_eq!(list("lsns -p -7").what, What::Nothing(-7));
        assert_eq!(list("lsns -P").what, What::Persistent);
        assert_eq!(list("lsns +07 8").what, What::Processes(7));
    }

    #[test]
    fn help_and_version_end_the_reading() {
        assert_eq!(parsed("lsns -h -t foo").ok(), Some(Asked::Help));
        assert_eq!(parsed("lsns -V --foo").ok(), Some(Asked::Version));
        assert!(parsed("lsns -t foo -h").is_err());
    }
}
