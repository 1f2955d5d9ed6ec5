//! `warren keep` and `warren rm`: namespaces with a name, which outlive their processes.

mod crash;
mod holder;
mod inside;
mod root;
mod user;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use warren_testkit::{Test, run, scratch, tests, warren};

pub const TESTS: &[&[Test]] = &[
    NAMES,
    inside::TESTS,
    holder::TESTS,
    crash::TESTS,
    root::TESTS,
    user::TESTS,
];

const NAMES: &[Test] = tests! {
    Both:
        a_name_is_kept_until_it_is_removed,
        the_list_says_it_in_json_too,
        a_name_that_is_taken_is_refused,
        what_is_no_name_is_refused,
        what_is_not_kept_cannot_be_removed,
        several_names_are_removed_and_each_failure_is_told,
        a_plan_keeps_nothing,
        a_kind_that_is_unknown_is_refused;
};

/// `warren` with these words; an ordinary user's store is in the scratch folder.
fn told(words: &[&str]) -> Command {
    let folder = scratch().join("run");
    if !folder.exists() {
        fs::create_dir(&folder).expect("make a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    let mut command = warren(words);
    command.env("XDG_RUNTIME_DIR", folder);
    command
}

/// The store of whoever runs the test.
fn store() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        "/run/warren/kept".into()
    } else {
        scratch().join("run/warren/kept")
    }
}

/// A name that nothing else on the machine has, removed when the test ends or fails.
struct Name(String);

impl Name {
    fn new(word: &str) -> Self {
        Self(format!("{word}-{}", std::process::id()))
    }

    /// The name, with namespaces of these kinds kept under it.
    fn kept(word: &str, options: &[&str]) -> Self {
        let name = Self::new(word);
        run(&mut told(&[&["keep", &name.0], options].concat())).says("");
        name
    }

    fn remove(&self) {
        run(&mut told(&["rm", &self.0])).says("");
    }

    fn record(&self) -> String {
        let path = store().join(&self.0).join("record");
        fs::read_to_string(path).expect("a record")
    }

    /// The process that holds it.
    fn holder(&self) -> i32 {
        let record = self.record();
        let mut words = record.split_whitespace();
        words.find(|word| *word == "holder").expect("a holder");
        words.next().expect("a pid").parse().expect("a number")
    }

    /// The line of the list about it, without what is outside of these columns.
    fn listed(&self) -> Option<Vec<String>> {
        let list = run(&mut told(&["keep"]));
        let mut lines = list.succeeds().lines();
        let line = lines.find(|line| line.split(' ').next() == Some(&self.0))?;
        Some(line.split_whitespace().map(str::to_owned).collect())
    }

    fn state(&self) -> Option<String> {
        Some(self.listed()?.get(2)?.clone())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // Most tests have removed it themselves.
        let _ = told(&["rm", &self.0])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

fn a_name_is_kept_until_it_is_removed() {
    let name = Name::kept("burrow", &["--kinds", "net,uts"]);
    assert_eq!(name.state().as_deref(), Some("kept"));
    name.remove();
    assert_eq!(name.listed(), None);
    assert!(!store().join(&name.0).exists());
    run(&mut told(&["rm", &name.0])).is_refused("nothing of that name is kept");
}

fn the_list_says_it_in_json_too() {
    let name = Name::kept("burrow", &["--kinds", "uts,ipc"]);
    let list = run(&mut told(&["keep", "--json"]));
    list.has("\"version\": 1")
        .has(&format!("\"name\": \"{}\"", name.0));
    list.has("\"state\": \"kept\"")
        .has("\"kind\": \"uts\"")
        .has("\"inode\": 40265");
    name.remove();
}

fn a_name_that_is_taken_is_refused() {
    let name = Name::kept("burrow", &["--kinds", "uts"]);
    let again = run(&mut told(&["keep", &name.0, "--kinds", "uts"]));
    again
        .is_refused("namespaces of that name are kept already")
        .complains(&format!("hint: `warren rm {}`", name.0));
    assert_eq!(name.state().as_deref(), Some("kept"));
    name.remove();
}

fn what_is_no_name_is_refused() {
    for word in [
        "../x",
        "a/b",
        ".x",
        "1234",
        "net:[1]",
        "a b",
        "",
        &"x".repeat(65),
    ] {
        run(&mut told(&["keep", word])).is_refused("is no name");
    }
    assert!(!store().exists() || rustix::process::geteuid().is_root());
}

fn what_is_not_kept_cannot_be_removed() {
    for word in ["nothing-of-the-kind", "../kept", "/", ".", ""] {
        run(&mut told(&["rm", word])).is_refused("nothing of that name is kept");
    }
}

fn several_names_are_removed_and_each_failure_is_told() {
    let one = Name::kept("one", &["--kinds", "uts"]);
    let two = Name::kept("two", &["--kinds", "uts"]);
    run(&mut told(&["rm", &one.0, "no-such-name", &two.0])).is_refused("no-such-name");
    assert_eq!((one.listed(), two.listed()), (None, None));
}

fn a_plan_keeps_nothing() {
    let name = Name::new("plan");
    let plan = run(&mut told(&["keep", &name.0, "--plan"]));
    plan.has("make the folder")
        .has("close all descriptors and stay");
    plan.has("record").has("let the process stay");
    assert_eq!(name.listed(), None);
}

fn a_kind_that_is_unknown_is_refused() {
    run(&mut told(&["keep", "x", "--kinds", "nte"])).is_refused("unknown namespace kind");
}
