//! Layers that are made by hand, as overlayfs would have made them. Everybody may make a
//! whiteout (Linux 5.8).

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags};
use warren_namespaces::ProcRoot;

use crate::{Layer, Outcome, Owners};

/// A folder with `upper`, `lower` and `lowest`, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("warren-changes-{}-{number}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        for folder in ["upper", "lower", "lowest"] {
            fs::create_dir_all(scratch.at(folder)).expect("a new folder");
        }
        scratch
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("one of ours")).expect("a new folder");
        fs::write(path, text).expect("a new file");
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.at(path)).expect("a new folder");
    }

    fn link(&self, text: &str, path: &str) {
        symlink(text, self.at(path)).expect("a new symlink");
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).expect("a mode");
    }

    fn whiteout(&self, path: &str) {
        let path = self.at(path);
        rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0)
            .expect("a whiteout");
    }

    fn opaque(&self, path: &str) {
        self.folder(path);
        let name = c"user.overlay.opaque";
        rustix::fs::setxattr(self.at(path), name, b"y", XattrFlags::empty())
            .expect("an attribute");
    }

    fn open(&self, path: &str) -> OwnedFd {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.at(path), flags, Mode::empty()).expect("our own folder")
    }

    fn layer_over(&self, lowers: &[&str], covered: &[&str]) -> Layer {
        Layer::new(
            self.open("upper"),
            lowers.iter().map(|lower| self.open(lower)).collect(),
            covered.iter().map(PathBuf::from).collect(),
            Owners::Caller,
            ProcRoot::open().expect("a procfs"),
        )
    }

    fn layer(&self) -> Layer {
        self.layer_over(&["lower"], &[])
    }

    /// `A path`, one a line.
    #[track_caller]
    fn lists(&self, layer: &Layer, expected: &[&str]) {
        let listing = layer.list();
        assert_eq!(listing.problems, []);
        let lines = listing.changes.iter().map(|change| {
            let letter = format!("{:?}", change.kind);
            format!("{} {}", &letter[..1], change.path.display())
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    /// Lists, applies and lists again: nothing is left to do.
    #[track_caller]
    fn applies(&self) -> Outcome {
        let layer = self.layer();
        let outcome = layer.apply(&layer.list().changes);
        assert_eq!(outcome.problems, []);
        self.lists(&self.layer(), &[]);
        outcome
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn nothing_written_is_no_change() {
    let scratch = Scratch::new();
    scratch.file("lower/a", "a");
    scratch.lists(&scratch.layer(), &[]);
    assert_eq!(scratch.layer().apply(&[]), Outcome::default());
}

#[test]
fn what_was_copied_up_and_is_the_same_is_no_change() {
    let scratch = Scratch::new();
    for side in ["lower", "upper"] {
        scratch.file(&format!("{side}/d/same"), "text");
        scratch.link("to", &format!("{side}/d/link"));
    }
    scratch.file("lower/d/other", "text");
    scratch.file("upper/d/other", "texT");
    scratch.file("lower/d/longer", "text");
    scratch.file("upper/d/longer", "text and more");
    scratch.lists(&scratch.layer(), &["M d/longer", "M d/other"]);
}

#[test]
fn each_kind_of_change_is_listed_and_applied() {
    let scratch = Scratch::new();
    scratch.file("lower/modified", "before");
    scratch.file("lower/mode", "same");
    scratch.file("lower/deleted", "before");
    scratch.file("lower/tree/below/file", "before");
    scratch.link("before", "lower/link");
    scratch.file("upper/modified", "after");
    scratch.file("upper/mode", "same");
    scratch.mode("upper/mode", 0o710);
    scratch.whiteout("upper/deleted");
    scratch.whiteout("upper/tree");
    scratch.link("after", "upper/link");
    scratch.file("upper/new/file", "new");
    rustix::fs::mknodat(CWD, scratch.at("upper/pipe"), FileType::Fifo, Mode::RUSR, 0)
        .expect("a new fifo");
    let expected = [
        "D deleted",
        "M link",
        "M mode",
        "M modified",
        "A new",
        "A new/file",
        "A pipe",
        "D tree",
    ];
    scratch.lists(&scratch.layer(), &expected);
    assert_eq!(scratch.applies().done, expected.len());
    assert_eq!(scratch.text("lower/modified").as_deref(), Some("after"));
    assert_eq!(scratch.text("lower/new/file").as_deref(), Some("new"));
    assert!(!scratch.at("lower/tree").exists());
    let link = fs::read_link(scratch.at("lower/link")).expect("a symlink");
    assert_eq!(link, Path::new("after"));
    let names: Vec<_> = fs::read_dir(scratch.at("lower"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 5, "unfinished files stay: {names:?}");
}

#[test]
fn one_kind_of_file_takes_the_place_of_another() {
    let scratch = Scratch::new();
    scratch.file("lower/was_folder/in/it", "before");
    scratch.file("upper/was_folder", "file");
    scratch.file("lower/was_file", "before");
    scratch.opaque("upper/was_file");
    scratch.file("upper/was_file/in", "it");
    scratch.link("/nowhere", "lower/was_link");
    scratch.opaque("upper/was_link");
    scratch.applies();
    assert_eq!(scratch.text("lower/was_folder").as_deref(), Some("file"));
    assert_eq!(scratch.text("lower/was_file/in").as_deref(), Some("it"));
    assert!(scratch.at("lower/was_link").is_dir());
}

#[test]
fn a_folder_that_was_made_anew_hides_what_was_in_it() {
    let scratch = Scratch::new();
    for name in ["kept", "gone", "sub/gone", "sub/kept"] {
        scratch.file(&format!("lower/d/{name}"), "before");
    }
    scratch.opaque("upper/d");
    scratch.file("upper/d/kept", "before");
    // It is in a folder that hides all, so that it needs no mark of its own.
    scratch.file("upper/d/sub/kept", "before");
    scratch.file("upper/d/new", "after");
    scratch.lists(&scratch.layer(), &["D d/gone", "A d/new", "D d/sub/gone"]);
    scratch.applies();
    assert!(!scratch.at("lower/d/sub/gone").exists());
    assert!(scratch.at("lower/d/sub/kept").exists());
}

#[test]
fn several_folders_below_count_as_one() {
    let scratch = Scratch::new();
    scratch.file("lowest/d/deep", "deep");
    scratch.file("lowest/d/hidden", "deep");
    scratch.file("lower/d/hidden", "high");
    scratch.file("lowest/gone", "deep");
    scratch.whiteout("lower/gone");
    scratch.file("upper/d/hidden", "high");
    scratch.file("upper/d/deep", "other");
    scratch.file("upper/gone", "deep");
    let layer = scratch.layer_over(&["lowest", "lower"], &[]);
    scratch.lists(&layer, &["M d/deep", "A gone"]);
}

#[test]
fn mount_points_that_were_made_are_no_changes() {
    let scratch = Scratch::new();
    scratch.folder("upper/made/for/mount");
    scratch.folder("upper/used/mount");
    scratch.file("upper/used/file", "new");
    let covered = ["made/for/mount", "used/mount"];
    let layer = scratch.layer_over(&["lower"], &covered);
    scratch.lists(&layer, &["A used", "A used/file"]);
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let scratch = Scratch::new();
    scratch.file("outside/file", "safe");
    scratch.folder("lower/d");
    scratch.file("upper/d/file", "hostile");
    scratch.link("../outside/file", "upper/link");
    let layer = scratch.layer();
    let changes = layer.list().changes;
    // The host swaps the folder after it was listed.
    fs::rename(scratch.at("lower/d"), scratch.at("lower/was")).expect("our own folder");
    scratch.link("../outside", "lower/d");
    let outcome = layer.apply(&changes);
    assert_eq!(outcome.problems.len(), 1, "{outcome:?}");
    assert_eq!(outcome.problems[0].path, Path::new("d/file"));
    assert_eq!(scratch.text("outside/file").as_deref(), Some("safe"));
    let link = fs::read_link(scratch.at("lower/link")).expect("a symlink");
    assert_eq!(link, Path::new("../outside/file"));
    // Before it was listed, it is a conflict, and the symlink stays.
    let listing = scratch.layer().list();
    assert_eq!(listing.problems.len(), 1, "{listing:?}");
    assert!(listing.changes.is_empty(), "{listing:?}");
}

#[test]
fn what_nobody_may_read_is_read_all_the_same() {
    let scratch = Scratch::new();
    scratch.file("upper/shut/file", "new");
    scratch.mode("upper/shut/file", 0);
    scratch.mode("upper/shut", 0o500);
    let layer = scratch.layer();
    scratch.lists(&layer, &["A shut", "A shut/file"]);
    let outcome = layer.apply(&layer.list().changes);
    assert_eq!(outcome.problems, []);
    let mode = |path| {
        let metadata = fs::metadata(scratch.at(path)).expect("it was made");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(mode("lower/shut"), 0o500);
    scratch.mode("lower/shut", 0o700);
    scratch.mode("upper/shut", 0o700);
}

#[test]
fn sockets_and_set_id_bits_are_left_out() {
    let scratch = Scratch::new();
    scratch.file("upper/program", "#!");
    scratch.mode("upper/program", 0o6755);
    let socket = std::os::unix::net::UnixListener::bind(scratch.at("upper/socket"));
    let layer = scratch.layer();
    let outcome = layer.apply(&layer.list().changes);
    drop(socket.expect("a socket"));
    assert_eq!(outcome.problems, []);
    let left: Vec<_> = outcome.left_out.iter().map(|left| left.what).collect();
    assert_eq!(left, ["its set-id bits", "a socket"]);
    let made = fs::metadata(scratch.at("lower/program")).expect("it was made");
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
}

#[test]
fn a_hole_takes_no_room() {
    let scratch = Scratch::new();
    let file = fs::File::create(scratch.at("upper/big")).expect("a new file");
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", 1 << 40).expect("the end");
    scratch.applies();
    let made = fs::metadata(scratch.at("lower/big")).expect("it was made");
    assert_eq!(made.len(), (1 << 40) + 3);
    assert!(std::os::unix::fs::MetadataExt::blocks(&made) < 100);
}

#[test]
fn other_names_of_a_file_stay_where_only_its_mode_changes() {
    let scratch = Scratch::new();
    scratch.file("lower/a", "text");
    fs::hard_link(scratch.at("lower/a"), scratch.at("lower/b")).expect("a name");
    scratch.file("upper/a", "text");
    scratch.mode("upper/a", 0o600);
    scratch.mode("lower/a", 0o644);
    scratch.applies();
    let made = fs::metadata(scratch.at("lower/b")).expect("it was there");
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_saved_tree_has_what_was_written_and_no_more() {
    let scratch = Scratch::new();
    scratch.file("lower/d/same", "same");
    scratch.file("lower/gone", "gone");
    scratch.file("upper/d/same", "same");
    scratch.file("upper/d/new", "new");
    scratch.whiteout("upper/gone");
    scratch.folder("saved");
    let layer = scratch.layer();
    let outcome = layer.save(&layer.list().changes, scratch.open("saved"));
    assert_eq!((outcome.done, outcome.problems), (1, Vec::new()));
    assert_eq!(scratch.text("saved/d/new").as_deref(), Some("new"));
    assert!(!scratch.at("saved/d/same").exists());
    assert!(scratch.at("lower/gone").exists());
}

#[test]
fn attributes_of_the_user_are_kept_and_overlayfs_own_are_not() {
    let scratch = Scratch::new();
    scratch.file("upper/file", "new");
    for name in [c"user.own", c"user.overlay.origin"] {
        rustix::fs::setxattr(scratch.at("upper/file"), name, b"v", XattrFlags::empty())
            .expect("an attribute");
    }
    scratch.applies();
    let mut list = [0; 256];
    let length = rustix::fs::listxattr(scratch.at("lower/file"), &mut list[..])
        .expect("the attributes");
    let names = String::from_utf8_lossy(&list[..length]).into_owned();
    assert!(names.contains("user.own"), "{names}");
    assert!(!names.contains("overlay"), "{names}");
}
