//! Whoever dies in the midst of keeping leaves nothing, or what `warren rm` clears away;
//! and several at once do not hinder each other.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use warren_testkit::{Test, run, tests};

use super::{Name, store, told};

pub const TESTS: &[Test] = tests! {
    Both:
        after_a_kill_at_any_moment_rm_leaves_nothing,
        a_folder_without_a_record_is_unfinished_and_cleared_away,
        a_record_that_cannot_be_read_is_told_of_and_cleared_away,
        one_of_many_gets_a_name_and_all_get_names_of_their_own;
};

/// How many moments are tried, and how far they lie apart.
const MOMENTS: u32 = 60;
const APART: Duration = Duration::from_micros(300);

fn after_a_kill_at_any_moment_rm_leaves_nothing() {
    let mut finished = 0;
    for moment in 0..MOMENTS {
        let name = Name::new(&format!("killed{moment}"));
        let mut keep = told(&["keep", &name.0]).spawn().expect("warren starts");
        std::thread::sleep(APART * moment);
        keep.kill().expect("not reaped yet");
        keep.wait().expect("it ended");
        finished += u32::from(name.state().as_deref() == Some("kept"));
        // Whether there is anything left is the question.
        let _ = told(&["rm", &name.0]).stderr(Stdio::null()).status();
        assert_eq!(name.listed(), None, "after {:?}", APART * moment);
        assert!(!Path::new("/run/netns").join(&name.0).exists());
    }
    assert!(finished < MOMENTS, "no moment was early enough");
}

fn a_folder_without_a_record_is_unfinished_and_cleared_away() {
    let [first, name] = ["first", "half"].map(Name::new);
    run(&mut told(&["keep", &first.0, "--kinds", "uts"])).says("");
    let folder = store().join(&name.0);
    fs::create_dir(&folder).expect("make a folder");
    fs::write(folder.join("net"), "").expect("make a file");
    fs::write(folder.join("record.new"), "vers").expect("make a file");
    assert_eq!(name.state().as_deref(), Some("unfinished"));
    run(&mut told(&["enter", &name.0, "--", "true"])).is_refused("never finished");
    run(&mut told(&["keep", &name.0])).is_refused("kept already");
    name.remove();
    assert!(!folder.exists());
    first.remove();
}

fn a_record_that_cannot_be_read_is_told_of_and_cleared_away() {
    let name = Name::kept("burrow", &["--kinds", "uts"]);
    let record = name.record();
    let path = store().join(&name.0).join("record");
    let newer = record.replace("version 1", "version 2");
    let broken = record.replace("kinds ", "colours ");
    let told_of = |text: &str| {
        fs::write(&path, text).expect("write the record");
        let state = name.state();
        let enter = run(&mut told(&["enter", &name.0, "--", "true"]));
        (state, enter)
    };
    let (state, enter) = told_of(&newer);
    // What it does not understand it does not take apart.
    let removed = run(&mut told(&["rm", &name.0]));
    let (other_state, other_enter) = told_of(&broken);
    name.remove();
    assert_eq!(state.as_deref(), Some("unreadable"));
    enter.is_refused("newer warren");
    removed.is_refused("newer warren");
    assert_eq!(other_state.as_deref(), Some("unreadable"));
    other_enter.is_refused("names no kinds");
}

fn one_of_many_gets_a_name_and_all_get_names_of_their_own() {
    let same = Name::new("same");
    let start = |name: &str| {
        let mut command = told(&["keep", name, "--kinds", "uts"]);
        command
            .stderr(Stdio::null())
            .spawn()
            .expect("warren starts")
    };
    let all: Vec<_> = (0..8).map(|_| start(&same.0)).collect();
    let ended = all.into_iter().map(|mut one| one.wait().expect("it ended"));
    assert_eq!(ended.filter(|status| status.success()).count(), 1);
    same.remove();
    let names: Vec<Name> = (0..8).map(|n| Name::new(&format!("own{n}"))).collect();
    let all: Vec<_> = names.iter().map(|name| start(&name.0)).collect();
    for mut one in all {
        assert!(one.wait().expect("it ended").success());
    }
    for name in &names {
        assert_eq!(name.state().as_deref(), Some("kept"));
    }
    let mut remove: Vec<_> = names
        .iter()
        .map(|name| told(&["rm", &name.0]).spawn().expect("warren starts"))
        .collect();
    for one in &mut remove {
        assert!(one.wait().expect("it ended").success());
    }
}
