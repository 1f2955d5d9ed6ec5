//! README.md and docs/: what they show is what happens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use warren::namespaces::accounts::Accounts;
use warren_testkit::console::{self, Example};
use warren_testkit::{Test, program, run, scratch, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    User:
        every_command_shown_does_what_is_shown,
        no_command_of_warren_is_shown_that_is_not_run,
        every_option_of_run_and_enter_is_told_of_and_no_other;
};

/// Name and text of each.
const DOCUMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/documents.rs"));

/// Shown, and done by `.ci/run` or by the tests' own start.
const DONE_ELSEWHERE: &[&str] = &["cargo xtask test", "cargo build --release"];

/// What builds and runs at once.
const CARGO_RUN: &str = "cargo run --release -- ";

/// The examples of one document share a folder, which is empty at first.
struct Place {
    folder: PathBuf,
    path: String,
    /// What XDG_RUNTIME_DIR names, as after a login.
    own: PathBuf,
}

impl Place {
    fn new(document: &str) -> Self {
        let name = document.replace('/', "-");
        let own = scratch().join(format!("{name}.run"));
        let (folder, bin) = (scratch().join(&name), scratch().join(name + ".bin"));
        fs::create_dir(&own).expect("make a folder");
        fs::create_dir(&folder).expect("make a folder");
        fs::create_dir(&bin).expect("make a folder");
        make_warren(&bin.join("warren"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
        Self { folder, path, own }
    }

    /// What a command says on both streams, as a terminal would show it.
    fn says(&self, command: &str) -> String {
        let script = format!("exec 2>&1\n{command}");
        let mut shell = program("sh");
        shell
            .args(["-c", &script])
            .env("PATH", &self.path)
            .env("XDG_RUNTIME_DIR", &self.own)
            .current_dir(&self.folder);
        run(&mut shell).stdout
    }
}

/// The documents speak of a user without a range of ids; where this one has a range, the
/// command is told not to use it.
fn make_warren(path: &Path) {
    let warren = staged("warren").display().to_string();
    let uid = rustix::process::geteuid().as_raw();
    let accounts = Accounts::read().expect("read the accounts");
    let single = if accounts.subordinate_uids(uid).is_empty() {
        ""
    } else {
        "case \"$* \" in
            *--map*|*'--share user'*) ;;
            'run '*) shift; set -- run --map single \"$@\" ;;
            'keep '[!-]*) set -- \"$@\" --map single ;;
        esac"
    };
    let script = format!("#!/bin/sh\n{single}\nexec {warren} \"$@\"\n");
    fs::write(path, script).expect("write a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .expect("make it a program");
}

fn every_command_shown_does_what_is_shown() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (name, text) in DOCUMENTS {
        let place = Place::new(name);
        for example in console::examples(text) {
            tried += 1;
            wrong.extend(differs(&place, name, &example));
        }
    }
    assert!(tried > 30, "only {tried} commands are shown");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// How an example differs from what happens, if it does.
fn differs(place: &Place, document: &str, example: &Example<'_>) -> Option<String> {
    let Example {
        line,
        command,
        output,
    } = example;
    if DONE_ELSEWHERE.contains(command) {
        return None;
    }
    if command.starts_with("cargo ") && !command.starts_with(CARGO_RUN) {
        return Some(format!("{document}:{line}: nothing runs {command:?}"));
    }
    let shown = without_cargos_own(output);
    let said = place.says(&command.replace(CARGO_RUN, "warren "));
    let lines: Vec<&str> = said.lines().collect();
    (!console::matches(shown, &lines)).then(|| {
        format!(
            "{document}:{line}: $ {command}\n--- shown\n{}\n--- said\n{said}",
            shown.join("\n")
        )
    })
}

/// Without the lines of a build.
fn without_cargos_own<'a>(output: &'a [&'a str]) -> &'a [&'a str] {
    let is_cargos = |line: &&str| line.trim_start().starts_with("Running `");
    let start = output
        .iter()
        .position(is_cargos)
        .map_or(0, |found| found + 1);
    &output[start..]
}

fn no_command_of_warren_is_shown_that_is_not_run() {
    for (name, text) in DOCUMENTS {
        let fences = console::fences(text);
        let shells = ["sh", "bash", "shell"];
        for fence in fences.iter().filter(|fence| shells.contains(&fence.kind)) {
            for (number, line) in &fence.lines {
                let mut words = line.split_whitespace();
                let first = words.find(|word| !["$", "#", "sudo"].contains(word));
                let calls = first
                    .is_some_and(|word| word == "warren" || word.ends_with("/warren"));
                assert!(
                    !calls && !line.contains(CARGO_RUN),
                    "{name}:{number}: shown in a fence that is not run: {line}"
                );
            }
        }
    }
}

fn every_option_of_run_and_enter_is_told_of_and_no_other() {
    for command in ["run", "enter"] {
        every_option_is_told_of(command, &format!("docs/{command}.md"));
    }
}

fn every_option_is_told_of(command: &str, name: &str) {
    let help = run(&mut warren([command, "--help"])).succeeds().to_owned();
    let options: Vec<&str> = help.lines().filter_map(option_of).collect();
    assert!(options.len() > 15, "few options in\n{help}");
    let document = DOCUMENTS.iter().find(|(found, _)| *found == name);
    let (_, document) = document.expect("its document");
    // What stands between backticks, in rows and in words.
    let told: Vec<&str> = document.split('`').skip(1).step_by(2).collect();
    let told: Vec<&str> = told.into_iter().filter_map(option_of).collect();
    for option in options.iter().filter(|option| **option != "--help") {
        assert!(told.contains(option), "{name} has nothing of {option}");
    }
    for option in told {
        assert!(options.contains(&option), "{name} has {option}");
    }
}

/// `  -t, --tty` or `      --bind <SRC> <DST>`: the long name.
fn option_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if !line.starts_with('-') {
        return None;
    }
    let start = line.find("--")?;
    let end = line[start..].find(|c: char| c != '-' && !c.is_ascii_lowercase());
    Some(&line[start..end.map_or(line.len(), |end| start + end)])
}
