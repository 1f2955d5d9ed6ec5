//! A folder that every user can reach, with the binaries under test, a home and scratch
//! folders. The build tree may lie where an ordinary user cannot go.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::harness::Tier;

/// The user and group that stand for "an ordinary user" where the tests run as root:
/// in no /etc/passwd, in no other group, and without a range in /etc/subuid.
pub const ORDINARY_USER: u32 = 61234;

/// The user that the tests of the user tier run as: [`ORDINARY_USER`] under root, else
/// whoever runs them.
pub fn ordinary_user() -> u32 {
    let own = rustix::process::geteuid();
    if own.is_root() {
        ORDINARY_USER
    } else {
        own.as_raw()
    }
}

/// Variables by which the harness tells a test where things are.
const STAGE: &str = "WARREN_TEST_STAGE";
const SCRATCH: &str = "WARREN_TEST_SCRATCH";

/// A file or folder of the stage: `warren`, `warren-tests`, `golden`, `home`.
pub fn staged(name: &str) -> PathBuf {
    variable(STAGE).join(name)
}

/// This test's own empty folder, which is also its current one; removed afterwards.
pub fn scratch() -> PathBuf {
    variable(SCRATCH)
}

pub(crate) fn warren_binary() -> PathBuf {
    staged("warren")
}

pub(crate) fn home() -> PathBuf {
    staged("home")
}

fn variable(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) => path.into(),
        None => panic!("{name} is not set: tests are started by the harness"),
    }
}

/// The stage as the harness holds it. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    owner: u32,
}

impl Stage {
    /// Copies the binaries (this one, and `warren` from beside it or from `WARREN_BIN`)
    /// and the golden files.
    pub(crate) fn set_up(tier: Tier, golden: &Path) -> io::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("warren-tests.{}", std::process::id()));
        let owner = match tier {
            Tier::User => ordinary_user(),
            Tier::Root | Tier::Machine | Tier::Newer => 0,
        };
        let stage = Self { folder, owner };
        stage.folder("", 0o755)?;
        stage.copy_binaries()?;
        stage.copy_golden(golden)?;
        stage.make_home()?;
        stage.folder("scratch", 0o755)?;
        Ok(stage)
    }

    fn copy_binaries(&self) -> io::Result<()> {
        let own = std::env::current_exe()?;
        let warren = std::env::var_os("WARREN_BIN")
            .map_or_else(|| own.with_file_name("warren"), PathBuf::from);
        for (from, name) in [(own, "warren-tests"), (warren, "warren")] {
            let to = self.folder.join(name);
            fs::copy(&from, &to).map_err(|error| told("copy", &from, &error))?;
            fs::set_permissions(&to, Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn copy_golden(&self, from: &Path) -> io::Result<()> {
        self.folder("golden", 0o755)?;
        let entries = match fs::read_dir(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| told("read", from, &error))?,
        };
        for entry in entries {
            let entry = entry?;
            let to = self.folder.join("golden").join(entry.file_name());
            fs::copy(entry.path(), &to)?;
            fs::set_permissions(&to, Permissions::from_mode(0o644))?;
            self.give(&to)?;
        }
        Ok(())
    }

    /// A home with something in it that nobody inside may read.
    fn make_home(&self) -> io::Result<()> {
        self.folder("home", 0o700)?;
        self.folder("home/.ssh", 0o700)?;
        let key = self.folder.join("home/.ssh/id_test");
        fs::write(&key, "a secret key\n")?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        self.give(&key)
    }

    /// Writes back golden files that a test renewed (`UPDATE_GOLDEN=1`).
    pub(crate) fn keep_golden(&self, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(self.folder.join("golden"))? {
            let entry = entry?;
            let renewed = fs::read(entry.path())?;
            let kept = to.join(entry.file_name());
            if fs::read(&kept).ok().as_ref() != Some(&renewed) {
                fs::write(&kept, renewed)?;
            }
        }
        Ok(())
    }

    /// An empty folder for one test.
    pub(crate) fn scratch(&self, number: usize) -> io::Result<PathBuf> {
        self.folder(&format!("scratch/{number}"), 0o755)
    }

    /// The binary to re-execute.
    pub(crate) fn tests_binary(&self) -> PathBuf {
        self.folder.join("warren-tests")
    }

    /// What a test must be told to find its way.
    pub(crate) fn variables(&self, scratch: &Path) -> [(&'static str, PathBuf); 2] {
        [(STAGE, self.folder.clone()), (SCRATCH, scratch.to_owned())]
    }

    fn folder(&self, name: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        DirBuilder::new()
            .mode(mode)
            .create(&path)
            .map_err(|error| told("make", &path, &error))?;
        self.give(&path)?;
        Ok(path)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        if rustix::process::geteuid().is_root() {
            chown(path, Some(self.owner), Some(self.owner))?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What stays is named by the next run's comparison.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn told(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
}
