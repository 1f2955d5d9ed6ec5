//! `--help`, `--version` and `--list-columns`.

use super::column::{Column, Value};
use super::json::{self, Forest, Layout};
use super::options::Format;
use super::table::{Grid, Head, raw_line};
use super::text;

/// Scripts that ask which lsns this is read the version of util-linux that it can do.
pub const VERSION: &str = concat!(
    "lsns from util-linux 2.43 (warren ",
    env!("CARGO_PKG_VERSION"),
    ")\n"
);

const OPTIONS: &str = "
Usage:
 lsns [options] [<namespace>]

Lists the namespaces of this machine, or the processes in the one with this inode
number.

Options:
 -J, --json             print JSON
 -l, --list             print a list, without a tree
 -n, --noheadings       print no headings
 -o, --output <list>    the columns to print; +<list> adds to the usual ones
     --output-all       print all columns of util-linux
 -P, --persistent       only namespaces without processes
 -p, --task <pid>       only the namespaces of this process
 -Q, --filter <expr>    only lines for which the expression holds; see scols-filter(5)
 -r, --raw              print words with one blank between them
 -u, --notruncate       print command lines whole, however narrow the terminal
 -W, --nowrap           print all mount points of a namespace in one line
 -t, --type <name>      only this kind: mnt net ipc user pid uts cgroup time;
                        may be given more than once
 -T, --tree[=<rel>]     print a tree by this relation: process, owner or parent;
                        without one: owner

 -H, --list-columns     print the columns that there are
 -h, --help             print this
 -V, --version          print the version

Columns:
";

pub fn text() -> String {
    let mut text = OPTIONS.to_owned();
    for column in Column::every() {
        text.push_str(&format!("{:>8}  {}\n", column.name(), column.about()));
    }
    text.push_str("\nThe last four are Warren's own; --output-all leaves them out.\n");
    text
}

/// `--list-columns`.
pub fn columns(format: Format) -> String {
    let facts = |column: Column| {
        let value = match column.value() {
            Value::Number => "<integer>",
            Value::Text => "<string>",
        };
        [column.name(), value, column.about()]
    };
    match format {
        Format::Table => grid(facts),
        Format::Raw => {
            let headings = ["HOLDER", "TYPE", "DESCRIPTION"];
            let rows = std::iter::once(headings).chain(Column::every().map(facts));
            rows.map(|row| raw_line(row.map(|word| text::word(word.as_bytes()))))
                .collect()
        }
        Format::Json => {
            let keys = ["holder", "type", "description"];
            let members = |column| {
                let members = keys.into_iter().zip(facts(column));
                members
                    .map(|(key, text)| (key.to_owned(), json::string(text)))
                    .collect()
            };
            let list = Forest::flat(Column::every().map(members).collect());
            list.render("lsns-columns", Layout::of_environment())
        }
    }
}

fn grid(facts: impl Fn(Column) -> [&'static str; 3]) -> String {
    let head = |name| Head {
        name,
        right: false,
        hint: 0,
        shrinks: false,
    };
    let row = |column| facts(column).map(|word| vec![word.to_owned()]).to_vec();
    Grid {
        heads: ["HOLDER", "TYPE", "DESCRIPTION"].map(head).into(),
        rows: Column::every().map(row).collect(),
        headings: true,
        terminal: None,
    }
    .render()
}
