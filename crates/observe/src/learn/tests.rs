use std::collections::BTreeMap;

use warren_spawn::{Access, Root, Spec};

use super::*;
use crate::event::Event;
use crate::wants::Use;

/// The whole tree of the host.
fn whole_host() -> View {
    View::of(&Spec {
        root: Root::Tree {
            path: "/".into(),
            access: Access::ReadWrite,
        },
        ..Spec::default()
    })
}

/// A machine on which all that is asked about is there: what ends in a slash is a folder.
struct Files(BTreeMap<PathBuf, bool>);

impl Machine for Files {
    fn is_folder(&self, path: &Path) -> Option<bool> {
        self.0.get(path).copied()
    }
}

fn use_of(path: &str, wants: Wants, existed: bool) -> Event {
    Event {
        name: Name::Native("openat"),
        number: 0,
        arguments: [0; 6],
        uses: vec![Use {
            path: path.trim_end_matches('/').into(),
            existed,
            wants,
        }],
        contact: None,
        result: Ok(0),
    }
}

/// The needs of a run that used these paths: what ends in a slash is a folder, what has
/// a `+` in front is new.
fn needs(uses: &[(&str, Wants)]) -> Needs {
    let mut observed = Observed::default();
    let mut files = BTreeMap::new();
    for (path, wants) in uses {
        let (path, existed) = match path.strip_prefix('+') {
            Some(path) => (path, false),
            None => (*path, true),
        };
        files.insert(path.trim_end_matches('/').into(), path.ends_with('/'));
        observed.note(use_of(path, *wants, existed));
    }
    needs_of(&observed, files)
}

fn needs_of(observed: &Observed, files: BTreeMap<PathBuf, bool>) -> Needs {
    let learner = Learner {
        view: &whole_host(),
        default: &View::of_default(),
        capabilities: CapabilitySet::EMPTY,
        home: Some(Path::new("/home/u")),
        machine: &Files(files),
    };
    learner.needs(observed)
}

#[track_caller]
fn assert_rules(uses: &[(&str, Wants)], read: &[&str], write: &[&str]) {
    let needs = needs(uses);
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
    assert_eq!(
        (&needs.read, &needs.write),
        (&paths(read), &paths(write)),
        "{:?}",
        needs.notes
    );
}

const READ: Wants = Wants::READ;
const WRITE: Wants = Wants::WRITE;
const CREATE: Wants = Wants::CREATE;
const LOOK: Wants = Wants::LOOK;
const LIST: Wants = Wants::LIST;

#[test]
fn the_system_needs_no_rule_but_for_what_is_hidden_of_it() {
    let uses = [("/usr/lib/x", READ), ("/etc/shadow", READ)];
    assert_rules(&uses, &["/etc/shadow"], &[]);
}

#[test]
fn few_files_are_named_and_many_are_their_folder() {
    let three = [("/d/p/a", READ), ("/d/p/b", READ), ("/d/p/c", READ)];
    assert_rules(&three, &["/d/p/a", "/d/p/b", "/d/p/c"], &[]);
    let four = [three.as_slice(), &[("/d/p/e", LOOK)]].concat();
    assert_rules(&four, &["/d/p"], &[]);
}

#[test]
fn a_home_is_never_given_because_of_its_files() {
    let uses = [
        ("/home/u/a", READ),
        ("/home/u/b", READ),
        ("/home/u/c", READ),
        ("/home/u/d", READ),
        ("/home/u/", LIST),
    ];
    let files = ["/home/u/a", "/home/u/b", "/home/u/c", "/home/u/d"];
    assert_rules(&uses, &files, &[]);
    let notes = needs(&uses).notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(
        notes[0].to_string(),
        "no rule for /home/u to list: it would be all of /home/u"
    );
}

#[test]
fn secrets_stay_single_files() {
    let keys: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|name| format!("/home/u/.ssh/{name}"))
        .to_vec();
    let uses: Vec<_> = keys.iter().map(|key| (key.as_str(), READ)).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    assert_rules(&uses, &keys, &[]);
}

#[test]
fn a_folder_that_is_looked_at_gives_nothing_of_it() {
    let uses = [("/d/p/", LOOK), ("/d/p/", READ), ("/d/p/a", LOOK)];
    assert_rules(&uses, &["/d/p/a"], &[]);
    assert_rules(&[("/d/p/", LIST)], &["/d/p"], &[]);
}

#[test]
fn what_the_run_makes_needs_the_folder_that_was_there() {
    let uses = [
        ("+/d/p/out/", CREATE),
        ("+/d/p/out/x", WRITE | CREATE),
        ("/d/p/out/x", READ),
    ];
    assert_rules(&uses, &[], &["/d/p"]);
    // An existing file alone does not.
    assert_rules(&[("/d/p/log", WRITE)], &[], &["/d/p/log"]);
}

#[test]
fn what_is_writable_need_not_be_shown_again() {
    let uses = [("/d/p/a/b", READ), ("+/d/p/new", CREATE)];
    assert_rules(&uses, &[], &["/d/p"]);
    let uses = [("/d/p/a", WRITE), ("/d/p/b", READ)];
    assert_rules(&uses, &["/d/p/b"], &["/d/p/a"]);
}

#[test]
fn a_package_cache_is_one_rule() {
    let uses = [
        ("/home/u/.cargo/registry/src/a/b.rs", READ),
        ("/home/u/.cargo/registry/index/x", READ),
    ];
    assert_rules(&uses, &["/home/u/.cargo/registry"], &[]);
}

#[test]
fn folders_between_which_a_file_moves_have_one_rule() {
    let mut observed = Observed::default();
    let mut event = use_of("/d/p/a/x", Wants::REMOVE, true);
    event.name = Name::Native("rename");
    event.uses.push(Use {
        path: "/d/p/b/x".into(),
        existed: false,
        wants: CREATE,
    });
    observed.note(event);
    let needs = needs_of(&observed, BTreeMap::new());
    assert_eq!(needs.write, BTreeSet::from([PathBuf::from("/d/p")]));
}

#[test]
fn what_is_shown_elsewhere_is_a_note() {
    let view = View::of(&Spec {
        root: Root::Empty,
        mounts: vec![warren_spawn::Mount::bind(
            "/data",
            "/srv",
            Access::ReadWrite,
        )],
        ..Spec::default()
    });
    let mut observed = Observed::default();
    observed.note(use_of("/srv/x", READ, true));
    let learner = Learner {
        view: &view,
        default: &View::of_default(),
        capabilities: CapabilitySet::EMPTY,
        home: None,
        machine: &Files(BTreeMap::new()),
    };
    let needs = learner.needs(&observed);
    assert!(needs.read.is_empty());
    let text = needs.notes[0].to_string();
    assert!(
        text.starts_with("no rule for /srv/x, which is /data/x"),
        "{text}"
    );
}

#[test]
fn calls_are_those_made_and_those_of_chance() {
    let needs = needs(&[("/usr/x", READ)]);
    assert!(needs.calls.contains("futex") && needs.calls.contains("execve"));
    assert!(!needs.calls.contains("mount"));
    let mut observed = Observed::default();
    observed.note_begin(&Name::Native("mount"), &[0; 6]);
    observed.note_begin(&Name::Foreign("i386:write".into()), &[0; 6]);
    let calls = needs_of(&observed, BTreeMap::new()).calls;
    assert!(calls.contains("mount") && !calls.contains("i386:write"));
}
