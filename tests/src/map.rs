//! `warren map`: pictures of what isolates what.

use std::fs;

use warren_testkit::{Running, Test, program, run, scratch, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        a_map_as_text_has_what_runs,
        every_form_is_written_to_the_file_that_is_named,
        a_picture_is_well_formed_xml,
        a_process_called_script_is_text,
        a_file_that_cannot_be_written_is_named;
};

/// A process whose name is markup, in namespaces of its own.
fn script() -> Running {
    let file = scratch().join("<script>&\"'");
    fs::copy("/bin/sleep", &file).expect("copy a program");
    let mut command = program("unshare");
    command.args(["--user", "--map-root-user", "--uts"]);
    command
        .args(["sh", "-c", "echo; exec \"$0\" 1000"])
        .arg(&file);
    let mut running = Running::start(&mut command);
    running.line();
    let comm = format!("/proc/{}/comm", running.pid().as_raw_nonzero());
    warren_testkit::eventually("the name to be there", || {
        fs::read_to_string(&comm).is_ok_and(|name| name.contains("<script>"))
    });
    running
}

fn map(options: &[&str]) -> String {
    let mut command = warren(["map"]);
    run(command.args(options)).succeeds().to_owned()
}

fn a_map_as_text_has_what_runs() {
    let _running = script();
    let text = map(&[]);
    assert!(text.contains("─ <script>"), "{text}");
    assert!(text.contains("user uts"), "{text}");
    let only = map(&["uts"]);
    assert!(only.contains("uts") && !only.contains("user uts"), "{only}");
}

fn every_form_is_written_to_the_file_that_is_named() {
    for (name, begins) in [
        ("a.svg", "<svg "),
        ("a.html", "<!doctype html>"),
        ("a.dot", "digraph "),
        ("a.txt", ""),
    ] {
        let file = scratch().join(name);
        run(warren(["map", "-o"]).arg(&file)).says("");
        let text = fs::read_to_string(&file).expect("the file");
        assert!(
            !text.is_empty() && text.starts_with(begins),
            "{name}: {text}"
        );
    }
}

fn a_picture_is_well_formed_xml() {
    let _running = script();
    let text = map(&["--svg"]);
    well_formed(&text);
    let page = map(&["--html"]);
    let start = page.find("<svg").expect("a picture in the page");
    let end = page.find("</svg>").expect("its end") + "</svg>".len();
    well_formed(&page[start..end]);
}

fn a_process_called_script_is_text() {
    let _running = script();
    let svg = map(&["--svg"]);
    assert!(svg.contains("&lt;script&gt;&amp;&quot;&#39;"), "{svg}");
    assert!(!svg.contains("<script"), "{svg}");
    let page = map(&["--html"]);
    assert_eq!(page.matches("<script").count(), 2, "{page}");
    assert!(page.contains("\\u003cscript\\u003e"), "{page}");
    let dot = map(&["--dot"]);
    assert!(dot.contains("<script>&\\\"'"), "{dot}");
}

fn a_file_that_cannot_be_written_is_named() {
    let output = run(&mut warren(["map", "-o", "/proc/none/a.svg"]));
    output.is_refused("write /proc/none/a.svg: No such file or directory");
}

/// Elements are closed in the order in which they were opened, attributes are quoted,
/// and `&` begins a reference.
fn well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        references(before);
        let (tag, after) = tag.split_once('>').expect("a tag that ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "in {}",
                &after[..after.len().min(100)]
            );
        } else {
            let is_empty = tag.ends_with('/');
            let name = attributes(tag.trim_end_matches('/'));
            if !is_empty {
                open.push(name);
            }
        }
        rest = after;
    }
    references(rest);
    assert!(open.is_empty(), "{open:?} are not closed");
}

/// Checks the attributes of a tag; gives the name of the element.
fn attributes(tag: &str) -> &str {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(
        name.chars().all(|char| char.is_ascii_alphanumeric()),
        "{tag}"
    );
    while !rest.trim().is_empty() {
        let (attribute, value) = rest.trim_start().split_once("=\"").expect(tag);
        let is_name = |char: char| char.is_ascii_alphanumeric() || "-:".contains(char);
        assert!(attribute.chars().all(is_name), "{tag}");
        let (value, after) = value.split_once('"').expect(tag);
        references(value);
        rest = after;
    }
    name
}

fn references(text: &str) {
    for part in text.split('&').skip(1) {
        let (name, _) = part.split_once(';').expect("a reference that ends");
        let known = ["amp", "lt", "gt", "quot", "#39"];
        assert!(known.contains(&name), "&{name};");
    }
}
