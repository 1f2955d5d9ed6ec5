//! JSON as libsmartcols lays it out, which scripts have been seen to compare as text.

use super::column::{Column, Value};

/// How it is laid out: `LIBSMARTCOLS_JSON`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A key a line.
    Indented,
    /// All in one line.
    Compact,
    /// Each object in a line of its own, without a list around them.
    Lines,
}

impl Layout {
    pub fn of_environment() -> Self {
        match std::env::var("LIBSMARTCOLS_JSON").as_deref() {
            Ok("compact") => Self::Compact,
            Ok("lines") => Self::Lines,
            _ => Self::Indented,
        }
    }
}

/// Objects that hang below each other.
#[derive(Debug, Default)]
pub struct Forest {
    /// Of each object, its keys and values, the latter as JSON.
    pub members: Vec<Vec<(String, String)>>,
    /// The children of each object; last, the objects that hang below none.
    pub children: Vec<Vec<usize>>,
}

impl Forest {
    /// Objects of which none hangs below another.
    pub fn flat(members: Vec<Vec<(String, String)>>) -> Self {
        let mut children = vec![Vec::new(); members.len()];
        children.push((0..members.len()).collect());
        Self { members, children }
    }

    /// The list `name` of the objects as a text with a line feed at its end.
    pub fn render(&self, name: &str, layout: Layout) -> String {
        let list = self.list(layout);
        match layout {
            Layout::Indented => format!("{{\n   \"{name}\": [\n{list}\n   ]\n}}\n"),
            Layout::Compact => format!("{{\"{name}\":[{list}]}}\n"),
            Layout::Lines => list,
        }
    }

    /// All objects with commas between them. Not by recursion: a tree of processes can
    /// be deeper than the stack.
    fn list(&self, layout: Layout) -> String {
        let mut text = String::new();
        let mut steps = Vec::new();
        self.open_all(self.members.len(), 0, &mut steps);
        while let Some(step) = steps.pop() {
            match step {
                Step::Open { at, depth, first } => {
                    text.push_str(&layout.before(depth, first));
                    text.push_str(&layout.members(&self.members[at], depth));
                    let has_children = !self.children[at].is_empty();
                    if has_children {
                        text.push_str(&layout.before_children(depth));
                    }
                    steps.push(Step::Close {
                        depth,
                        has_children,
                    });
                    self.open_all(at, depth + 1, &mut steps);
                }
                Step::Close {
                    depth,
                    has_children,
                } => {
                    if has_children {
                        text.push_str(&layout.after_children(depth));
                    }
                    text.push_str(&layout.after(depth));
                }
            }
        }
        text
    }

    fn open_all(&self, below: usize, depth: usize, steps: &mut Vec<Step>) {
        let children = self.children[below].iter().enumerate().rev();
        steps.extend(children.map(|(place, at)| Step::Open {
            at: *at,
            depth,
            first: place == 0,
        }));
    }
}

enum Step {
    Open {
        at: usize,
        depth: usize,
        first: bool,
    },
    Close {
        depth: usize,
        has_children: bool,
    },
}

impl Layout {
    /// The blanks before an object of this depth.
    fn blanks(depth: usize) -> String {
        " ".repeat(6 * depth + 6)
    }

    fn before(self, depth: usize, first: bool) -> String {
        match (self, first) {
            (Self::Indented, true) => Self::blanks(depth) + "{\n",
            (Self::Indented, false) => ",{\n".to_owned(),
            (Self::Compact, false) => ",{".to_owned(),
            (Self::Lines, false) if depth > 0 => ",{".to_owned(),
            _ => "{".to_owned(),
        }
    }

    fn after(self, depth: usize) -> String {
        match self {
            Self::Indented => format!("\n{}}}", Self::blanks(depth)),
            Self::Lines if depth == 0 => "}\n".to_owned(),
            _ => "}".to_owned(),
        }
    }

    fn members(self, members: &[(String, String)], depth: usize) -> String {
        let (before, gap, after) = match self {
            Self::Indented => (Self::blanks(depth) + "   ", " ", ",\n"),
            _ => (String::new(), "", ","),
        };
        let member =
            |(key, value): &(String, String)| format!("{before}\"{key}\":{gap}{value}");
        members.iter().map(member).collect::<Vec<_>>().join(after)
    }

    fn before_children(self, depth: usize) -> String {
        match self {
            Self::Indented => {
                format!(",\n{}   \"children\": [\n", Self::blanks(depth))
            }
            _ => ",\"children\":[".to_owned(),
        }
    }

    fn after_children(self, depth: usize) -> String {
        match self {
            Self::Indented => format!("\n{}   ]", Self::blanks(depth)),
            _ => "]".to_owned(),
        }
    }
}

/// A cell as JSON. A byte that is no UTF-8 becomes U+FFFD, or it would be none.
pub fn value(column: Column, cell: Option<&[u8]>) -> String {
    match (column.value(), cell) {
        (_, None) => "null".to_owned(),
        (Value::Number, Some(cell)) => String::from_utf8_lossy(cell).into_owned(),
        (Value::Text, Some(cell)) => string(&String::from_utf8_lossy(cell)),
    }
}

pub fn string(text: &str) -> String {
    // Its escapes are those of libsmartcols: short ones where there are, else \u001b.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(ns: &str) -> Vec<(String, String)> {
        [("ns", ns), ("a", "null")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn a_tree_is_laid_out_as_by_libsmartcols() {
        let tree = Forest {
            members: ["1", "2", "3", "4"].map(object).into(),
            children: vec![vec![1, 2], vec![], vec![], vec![], vec![0, 3]],
        };
        let text = r#"{
   "namespaces": [
      {
         "ns": 1,
         "a": null,
         "children": [
            {
               "ns": 2,
               "a": null
            },{
               "ns": 3,
               "a": null
            }
         ]
      },{
         "ns": 4,
         "a": null
      }
   ]
}
"#;
        assert_eq!(tree.render("namespaces", Layout::Indented), text);
        assert_eq!(
            tree.render("namespaces", Layout::Compact),
            "{\"namespaces\":[{\"ns\":1,\"a\":null,\"children\":[{\"ns\":2,\"a\":null},\
             {\"ns\":3,\"a\":null}]},{\"ns\":4,\"a\":null}]}\n"
        );
        assert_eq!(
            tree.render("namespaces", Layout::Lines),
            "{\"ns\":1,\"a\":null,\"children\":[{\"ns\":2,\"a\":null},\
             {\"ns\":3,\"a\":null}]}\n{\"ns\":4,\"a\":null}\n"
        );
    }

    #[test]
    fn an_empty_list_has_an_empty_line() {
        let text = "{\n   \"namespaces\": [\n\n   ]\n}\n";
        assert_eq!(
            Forest::flat(vec![]).render("namespaces", Layout::Indented),
            text
        );
        assert_eq!(Forest::flat(vec![]).render("namespaces", Layout::Lines), "");
    }

    #[test]
    fn a_tree_may_be_deeper_than_the_stack() {
        let deep = 2_000;
        let mut children: Vec<Vec<usize>> = (1..deep).map(|at| vec![at]).collect();
        children.extend([vec![], vec![0]]);
        let members = vec![Vec::new(); deep];
        let forest = Forest { members, children };
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let thread = small.spawn(move || forest.render("x", Layout::Compact).len());
        let length = thread.expect("a thread").join().expect("no overflow");
        assert_eq!(length, 9 + deep * "{,\"children\":[]}".len() - 14);
    }

    #[test]
    fn strings_are_escaped_as_by_libsmartcols() {
        let text = value(
            Column::Command,
            Some(b"a\"b\\c/\n\t\r\x08\x0c\x1b\x0b\x7f\xff"),
        );
        assert_eq!(
            text,
            "\"a\\\"b\\\\c/\\n\\t\\r\\b\\f\\u001b\\u000b\x7f\u{fffd}\""
        );
    }
}
