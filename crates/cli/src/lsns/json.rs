//! JSON as libsmartcols lays it out, which scripts have been seen to compare as text.

use super::column::{Column, Value};
use super::row::{self, Row};

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

/// An object, and those that hang below it.
#[derive(Debug, Default)]
pub struct Object {
    /// Key and value, the latter as JSON.
    pub members: Vec<(String, String)>,
    pub children: Vec<Object>,
}

/// The objects of the lines, each below the one that it hangs below if there is a tree.
pub fn objects(
    rows: &[Row<'_>],
    tree: bool,
    mut members: impl FnMut(&Row<'_>) -> Vec<(String, String)>,
) -> Vec<Object> {
    let mut objects: Vec<Option<Object>> = Vec::with_capacity(rows.len());
    for row in rows {
        let members = members(row);
        objects.push(Some(Object {
            members,
            children: Vec::new(),
        }));
    }
    if tree {
        let children = row::children(rows);
        // A line hangs below an earlier one, so from the last each is whole in its turn.
        for at in (0..rows.len()).rev() {
            let below = children[at]
                .iter()
                .filter_map(|child| objects[*child].take());
            let below: Vec<Object> = below.collect();
            if let Some(object) = &mut objects[at] {
                object.children = below;
            }
        }
    }
    objects.into_iter().flatten().collect()
}

/// The list `name` of `objects` as a text with a line feed at its end.
pub fn render(name: &str, objects: &[Object], layout: Layout) -> String {
    match layout {
        Layout::Indented => {
            let list = indented_list(objects, 6);
            format!("{{\n   \"{name}\": [\n{list}\n   ]\n}}\n")
        }
        Layout::Compact => format!("{{\"{name}\":{}}}\n", compact_list(objects)),
        Layout::Lines => objects
            .iter()
            .map(|object| compact(object) + "\n")
            .collect(),
    }
}

fn indented_list(objects: &[Object], indent: usize) -> String {
    let blanks = " ".repeat(indent);
    let objects: Vec<String> = objects
        .iter()
        .map(|object| format!("{{\n{}\n{blanks}}}", indented(object, indent + 3)))
        .collect();
    match objects.as_slice() {
        [] => String::new(),
        objects => blanks + &objects.join(","),
    }
}

fn indented(object: &Object, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    let members = object.members.iter();
    let mut lines: Vec<String> = members
        .map(|(key, value)| format!("{blanks}\"{key}\": {value}"))
        .collect();
    if !object.children.is_empty() {
        let list = indented_list(&object.children, indent + 3);
        lines.push(format!("{blanks}\"children\": [\n{list}\n{blanks}]"));
    }
    lines.join(",\n")
}

fn compact_list(objects: &[Object]) -> String {
    format!(
        "[{}]",
        objects.iter().map(compact).collect::<Vec<_>>().join(",")
    )
}

fn compact(object: &Object) -> String {
    let members = object.members.iter();
    let mut parts: Vec<String> = members
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    if !object.children.is_empty() {
        parts.push(format!("\"children\":{}", compact_list(&object.children)));
    }
    format!("{{{}}}", parts.join(","))
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

    fn object(ns: &str, children: Vec<Object>) -> Object {
        Object {
            members: vec![
                ("ns".to_owned(), ns.to_owned()),
                ("a".to_owned(), "null".to_owned()),
            ],
            children,
        }
    }

    #[test]
    fn a_tree_is_laid_out_as_by_libsmartcols() {
        let tree = [
            object("1", vec![object("2", vec![]), object("3", vec![])]),
            object("4", vec![]),
        ];
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
        assert_eq!(render("namespaces", &tree, Layout::Indented), text);
        assert_eq!(
            render("namespaces", &tree, Layout::Compact),
            "{\"namespaces\":[{\"ns\":1,\"a\":null,\"children\":[{\"ns\":2,\"a\":null},\
             {\"ns\":3,\"a\":null}]},{\"ns\":4,\"a\":null}]}\n"
        );
        assert_eq!(
            render("namespaces", &tree[1..], Layout::Lines),
            "{\"ns\":4,\"a\":null}\n"
        );
    }

    #[test]
    fn an_empty_list_has_an_empty_line() {
        let text = "{\n   \"namespaces\": [\n\n   ]\n}\n";
        assert_eq!(render("namespaces", &[], Layout::Indented), text);
        assert_eq!(render("namespaces", &[], Layout::Lines), "");
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
