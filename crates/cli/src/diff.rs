//! `warren diff`: in what two processes' namespaces differ.

use std::ffi::OsString;

use clap::Parser;
use serde::Serialize;
use warren_inspect::{Difference, Missing, differences};
use warren_namespaces::{Kind, NamespaceSet, ProcRoot, Target};

use crate::columns::Columns;
use crate::failure::{Failure, OWN_FAILURE, print, print_error};
use crate::show::json::Named;
use crate::show::subject::Subject;
use crate::show::view::{View, surroundings};
use crate::show::{asked, units};
use crate::terminal;

/// Says in what two processes' namespaces differ, and what differs inside
///
/// A and B are targets as `warren show` takes them. Exit code: 0 if they are the same,
/// 1 if they differ, 125 if that cannot be said.
#[derive(Debug, Parser)]
#[command(name = "warren diff", bin_name = "warren diff")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<Kind>,

    /// Print JSON, as docs/json.md describes it
    #[arg(long)]
    json: bool,

    /// The first
    #[arg(value_name = "A")]
    a: Target,

    /// The second; the host, if none is named
    #[arg(value_name = "B")]
    b: Option<Target>,
}

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let snapshot = surroundings(&proc)?;
    let a = Subject::find(&proc, &arguments.a)?;
    let b = match &arguments.b {
        Some(word) => Subject::find(&proc, word)?,
        None => Subject::host(&proc, &snapshot)?,
    };
    let kinds = comparable(&arguments.kinds, &a, &b)?;
    // Only what is in different namespaces is worth a look; a cgroup is the process's.
    let looked = kinds
        .iter()
        .filter(|kind| *kind == Kind::Cgroup || same(&a, &b, *kind) != Some(true));
    let looked: NamespaceSet = looked.collect();
    let views = [&a, &b].map(|subject| View::take(&proc, &snapshot, subject, looked));
    let [view_a, view_b] = views;
    let (view_a, view_b) = (view_a?, view_b?);
    let compared: Vec<Compared> = kinds
        .iter()
        .map(|kind| compare(kind, (&a, &view_a), (&b, &view_b)))
        .collect();
    if arguments.json {
        print(&json(&view_a, &view_b, &compared)?)?;
    } else {
        print(&text(&view_a, &view_b, &compared, terminal::width()))?;
    }
    code(&compared)
}

/// The kinds that both have; those that were named must be among them.
fn comparable(named: &[Kind], a: &Subject, b: &Subject) -> Result<NamespaceSet, Failure> {
    for subject in [a, b] {
        if let Some(kind) = named.iter().find(|kind| !subject.kinds().contains(**kind)) {
            return Err(Failure::new(format!(
                "compare {}: it has no {kind} namespace",
                subject.name
            )));
        }
    }
    let both = |kind: &Kind| a.kinds().contains(*kind) && b.kinds().contains(*kind);
    let kinds: NamespaceSet = asked(named).iter().filter(both).collect();
    if kinds.is_empty() {
        let names = format!("{} with {}", a.name, b.name);
        return Err(Failure::new(format!("compare {names}: no kind in common")));
    }
    Ok(kinds)
}

/// What two subjects have of one kind.
#[derive(Serialize)]
struct Compared {
    kind: Kind,
    /// Inodes; `None` where the process may not be examined.
    a: Option<u64>,
    b: Option<u64>,
    /// Whether it is one namespace.
    same_namespace: Option<bool>,
    /// `None` where not both could be seen inside.
    differences: Option<Vec<Difference>>,
}

impl Compared {
    /// Whether something is known to differ.
    fn differs(&self) -> bool {
        let inside = self
            .differences
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        self.same_namespace == Some(false) || inside
    }

    fn is_known(&self) -> bool {
        self.same_namespace.is_some() || self.differences.is_some()
    }
}

fn same(a: &Subject, b: &Subject, kind: Kind) -> Option<bool> {
    let id = |subject: &Subject| subject.namespace(kind)?.id().ok();
    Some(id(a)? == id(b)?)
}

fn compare(kind: Kind, a: (&Subject, &View), b: (&Subject, &View)) -> Compared {
    let same_namespace = same(a.0, b.0, kind);
    let inode = |subject: &Subject| Some(subject.namespace(kind)?.id().ok()?.inode);
    let inside = if same_namespace == Some(true) && kind != Kind::Cgroup {
        Some(Vec::new())
    } else {
        differences(kind, &a.1.inside, &b.1.inside)
    };
    Compared {
        kind,
        a: inode(a.0),
        b: inode(b.0),
        same_namespace,
        differences: inside,
    }
}

/// As diff(1) says it, with Warren's own code for trouble.
fn code(compared: &[Compared]) -> Result<u8, Failure> {
    if compared.iter().any(Compared::differs) {
        return Ok(1);
    }
    let unknown: Vec<String> = compared
        .iter()
        .filter(|compared| !compared.is_known())
        .map(|compared| compared.kind.to_string())
        .collect();
    if unknown.is_empty() {
        return Ok(0);
    }
    let kinds = unknown.join(", ");
    print_error(&format!(
        "warren: compare {kinds}: not to be seen, so nothing is known\n"
    ))?;
    Ok(OWN_FAILURE)
}

#[derive(Serialize)]
struct Whole<'a> {
    version: u32,
    a: Named<'a>,
    b: Named<'a>,
    same: bool,
    kinds: &'a [Compared],
    missing: Both<'a>,
}

#[derive(Serialize)]
struct Both<'a> {
    a: &'a [Missing],
    b: &'a [Missing],
}

fn json(a: &View, b: &View, compared: &[Compared]) -> Result<String, Failure> {
    crate::json::text(&Whole {
        version: VERSION,
        a: Named::new(a),
        b: Named::new(b),
        same: !compared.iter().any(Compared::differs),
        kinds: compared,
        missing: Both {
            a: &a.inside.missing,
            b: &b.inside.missing,
        },
    })
}

fn text(a: &View, b: &View, compared: &[Compared], width: Option<usize>) -> String {
    let mut out = Columns::new(width);
    let title = |view: &View| match &view.command {
        Some(command) => format!("{}: {command}", view.name),
        None => view.name.clone(),
    };
    out.line(0, &format!("A  {}", title(a)));
    out.line(0, &format!("B  {}", title(b)));
    out.gap();
    let inode = |inode: Option<u64>| inode.map_or("?".to_owned(), |it| it.to_string());
    let rows = compared.iter().map(|compared| {
        let kind = compared.kind.to_string();
        vec![
            kind,
            inode(compared.a),
            inode(compared.b),
            summary(compared),
        ]
    });
    out.table(0, &["KIND", "A", "B", "INSIDE"], rows.collect());
    for compared in compared {
        details(&mut out, compared);
    }
    out.finish()
}

fn summary(compared: &Compared) -> String {
    let number = compared.differences.as_ref().map(Vec::len);
    match (compared.same_namespace, number) {
        (Some(true), Some(0)) => "the same namespace".to_owned(),
        (_, None) => "not to be seen".to_owned(),
        (_, Some(0)) => "nothing differs".to_owned(),
        (_, Some(number)) => units::count(number, "difference", "differences"),
    }
}

fn details(out: &mut Columns, compared: &Compared) {
    let list = compared.differences.as_deref().unwrap_or_default();
    if list.is_empty() {
        return;
    }
    out.gap();
    let name = |difference: &Difference| {
        let Difference { topic, name, .. } = difference;
        format!("{topic} {name}").trim_end().to_owned()
    };
    let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let rows = list.iter().map(|difference| {
        vec![name(difference), side(&difference.a), side(&difference.b)]
    });
    let title = compared.kind.to_string().to_uppercase();
    out.table(0, &[&title, "A", "B"], rows.collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use warren_inspect::Inside;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    fn view(name: &str) -> View {
        View {
            name: name.to_owned(),
            pid: Some(4242),
            command: None,
            namespaces: Vec::new(),
            inside: Inside::default(),
            unexamined: false,
        }
    }

    fn compared(same: Option<bool>, differences: Option<Vec<Difference>>) -> Compared {
        Compared {
            kind: Kind::Uts,
            a: Some(4_026_532_251),
            b: Some(4_026_531_838),
            same_namespace: same,
            differences,
        }
    }

    fn hostname() -> Difference {
        Difference {
            topic: "hostname".to_owned(),
            name: String::new(),
            a: Some("bur\nrow".to_owned()),
            b: None,
        }
    }

    #[test]
    fn the_exit_code_is_that_of_diff() {
        let code = |it| code(&[it]).expect("an answer");
        assert_eq!(code(compared(Some(true), Some(Vec::new()))), 0);
        assert_eq!(code(compared(Some(true), Some(vec![hostname()]))), 1);
        assert_eq!(code(compared(Some(false), Some(Vec::new()))), 1);
        assert_eq!(code(compared(Some(false), None)), 1);
        assert_eq!(code(compared(None, None)), 125);
    }

    #[test]
    fn a_difference_has_a_line_with_both_sides() {
        let list = [compared(Some(false), Some(vec![hostname()]))];
        let expected = "\
A  process 1
B  the host, process 1

KIND  A           B           INSIDE
uts   4026532251  4026531838  1 difference

UTS       A         B
hostname  bur\\nrow  -
";
        let (a, b) = (view("process 1"), view("the host, process 1"));
        assert_eq!(text(&a, &b, &list, None), expected);
    }
}
