//! Names, includes and their bounds, with files in a folder of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("warren-profile-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// Writes a profile with this host name.
    fn write(&self, file: &str, include: &str, hostname: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make it");
        let text = format!(
            "version = 1\ninclude = [{include}]\nprocess.hostname = '{hostname}'"
        );
        fs::write(path, text).expect("write a profile");
    }

    /// With the folders `own` and `all` in it.
    fn library(&self) -> Library {
        Library {
            folders: ["own", "all"].map(|name| self.0.join(name)).to_vec(),
        }
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hostname(loaded: &Loaded) -> &str {
    loaded.profile.process.hostname.as_deref().unwrap_or("none")
}

#[test]
fn the_first_folder_that_has_a_name_counts_then_the_shipped_ones() {
    let folder = Folder::new("names");
    let library = folder.library();
    let load = |name: &str| library.load(name).expect(name);
    assert_eq!(load("offline").origins, [Origin::Shipped("offline")]);
    folder.write("all/offline.toml", "", "all");
    assert_eq!(hostname(&load("offline")), "all");
    folder.write("own/offline.toml", "", "own");
    assert_eq!(hostname(&load("offline")), "own");
    let list = library.list().expect("the list");
    let of_name = list.iter().filter(|entry| entry.name == "offline");
    let hidden: Vec<bool> = of_name.map(|entry| entry.is_hidden).collect();
    assert_eq!(hidden, [false, true, true]);
}

#[test]
fn a_profile_that_includes_its_own_name_means_the_next_one() {
    let folder = Folder::new("own-name");
    folder.write("own/build.toml", "'build'", "own");
    folder.write("all/build.toml", "'build'", "all");
    let loaded = folder.library().load("build").expect("no cycle");
    assert_eq!(hostname(&loaded), "own");
    assert_eq!(loaded.origins[0], Origin::Shipped("build"));
    assert_eq!(loaded.origins.len(), 3);
    assert!(loaded.profile.files.write.contains(&"$PROJECT".to_owned()));
}

#[test]
fn paths_are_relative_to_the_file_that_has_them() {
    let folder = Folder::new("paths");
    folder.write("a/one.toml", "'../b/two.toml'", "one");
    folder.write("b/two.toml", "'./three.toml'", "two");
    folder.write("b/three.toml", "", "three");
    let loaded = folder.library().load(&folder.path("a/one.toml"));
    let loaded = loaded.expect("three files");
    assert_eq!(hostname(&loaded), "one");
    assert_eq!(loaded.origins.len(), 3);
    fs::remove_file(folder.0.join("b/three.toml")).expect("our own file");
    let error = folder.library().load(&folder.path("a/one.toml"));
    let error = error.expect_err("one is missing");
    assert!(error.file.ends_with("three.toml"), "{error}");
    assert!(
        error.hints[0].ends_with("two.toml includes it"),
        "{error:?}"
    );
}

#[test]
fn a_cycle_is_told_whatever_its_files_are_called() {
    let folder = Folder::new("cycle");
    folder.write("one.toml", "'./two.toml'", "one");
    std::os::unix::fs::symlink("one.toml", folder.0.join("two.toml")).expect("a link");
    let error = folder.library().load(&folder.path("one.toml"));
    let error = error.expect_err("a cycle").to_string();
    assert!(error.contains("it includes itself: "), "{error}");
}

#[test]
fn depth_and_number_of_includes_are_bounded() {
    let folder = Folder::new("bounds");
    for number in 0..10 {
        let next = format!("'./{}.toml'", number + 1);
        folder.write(&format!("{number}.toml"), &next, "x");
    }
    folder.write("10.toml", "", "x");
    let library = folder.library();
    library
        .load(&folder.path("3.toml"))
        .expect("eight in a row");
    let error = library.load(&folder.path("2.toml")).expect_err("nine");
    assert!(error.what.contains("in a row"), "{error}");
    // Eight levels with eight includes each would be sixteen million.
    for number in 0..8 {
        let next = format!("'./{}.toml',", number + 1).repeat(8);
        folder.write(&format!("{number}.toml"), &next, "x");
    }
    folder.write("8.toml", "", "x");
    let error = library.load(&folder.path("1.toml")).expect_err("too many");
    assert!(error.what.contains("more than 64 files"), "{error}");
}

#[test]
fn a_name_is_no_path() {
    let library = Library::default();
    for name in ["", ".", "..", ".x", "a b", "a\n", "ö"] {
        let error = library.load(name).expect_err(name);
        assert!(error.hints[0].contains("./NAME.toml"), "{error:?}");
    }
    let error = library.load("own.toml").expect_err("no such name");
    assert!(error.hints[0].contains("./own.toml"), "{error:?}");
}

#[test]
fn only_a_regular_text_of_at_most_1_mib_is_read() {
    let folder = Folder::new("files");
    let library = folder.library();
    let load = |path: &Path| {
        library
            .load(&path.display().to_string())
            .expect_err("wrong")
    };
    assert_eq!(load(Path::new("/dev/zero")).what, "it is no regular file");
    assert_eq!(load(&folder.0).what, "it is no regular file");
    let large = folder.0.join("large");
    let file = fs::File::create(&large).expect("a new file");
    file.set_len(1 << 40).expect("holes");
    assert_eq!(load(&large).what, "it has more than 1 MiB");
    fs::write(&large, b"version = 1 # \xff").expect("write it anew");
    assert_eq!(load(&large).what, "it is not UTF-8 text");
}

#[test]
fn a_policy_of_a_file_is_read_beside_it() {
    let folder = Folder::new("policy");
    let file = folder.0.join("a.toml");
    fs::write(&file, "version = 1\nsyscalls.file = 'p'").expect("a profile");
    let load = || folder.library().load(&folder.path("a.toml"));
    let error = load().expect_err("there is none");
    assert_eq!(error.key.as_deref(), Some("syscalls.file"));
    fs::write(folder.0.join("p"), "default allow\ndeny raed").expect("a policy");
    assert!(load().expect_err("wrong").what.contains("line 2: unknown"));
    fs::write(folder.0.join("p"), "{}").expect("a policy");
    assert!(load().expect_err("JSON").what.contains("is JSON"));
    fs::write(folder.0.join("p"), "default allow").expect("a policy");
    let profile = load().expect("a good one").profile;
    assert_eq!(profile.syscalls.policy.as_deref(), Some("default allow"));
    assert_eq!(profile.syscalls.file, None);
}
