//! Disk images: a guest's system, made once, and the tests, made for each run.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::guest::{self, Guest};
use crate::Result;
use crate::command::{is_root, output, repository, succeed};
use crate::test::Binaries;

/// A guest that can be booted.
pub struct Image {
    pub disk: PathBuf,
    pub kernel: PathBuf,
}

impl Image {
    /// The image kept in `folder`, made now if there is none of this recipe.
    pub fn ready(guest: &Guest, folder: &Path) -> Result<Self> {
        let kept = folder.join(guest.key());
        if !kept.exists() {
            make(guest, &kept)?;
        }
        Ok(Self {
            disk: kept.join("disk.img"),
            kernel: kept.join("vmlinuz"),
        })
    }
}

/// Makes the image beside its place and renames it: an interrupted make leaves none.
fn make(guest: &Guest, kept: &Path) -> Result<()> {
    if !is_root()? {
        return Err(
            "making the virtual machine's disk needs user 0 once: debootstrap".into(),
        );
    }
    let new = kept.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    let tree = new.join("tree");
    fs::create_dir_all(&tree)?;
    println!("making a {} tree in {}", guest.suite, tree.display());
    debootstrap(guest, &tree, &new.join("debootstrap.log"))?;
    configure(guest, &tree)?;
    fs::copy(tree.join("vmlinuz"), new.join("vmlinuz"))?;
    make_disk(&tree, &new.join("disk.img"), "1400M")?;
    fs::remove_dir_all(&tree)?;
    fs::rename(&new, kept)?;
    Ok(())
}

fn debootstrap(guest: &Guest, tree: &Path, log: &Path) -> Result<()> {
    let written = File::create(log)?;
    let packages: Vec<&str> = guest.packages().collect();
    // In a mount namespace: what it mounts would be taken for a leftover of a test.
    let mut debootstrap = Command::new("unshare");
    debootstrap
        .args(["--mount", "debootstrap"])
        .args([
            "--variant=minbase",
            &format!("--include={}", packages.join(",")),
        ])
        .args([guest.suite.as_ref(), tree.as_os_str()])
        .arg(mirror()?)
        .stdin(Stdio::null())
        .stdout(written.try_clone()?)
        .stderr(written);
    if let Some(proxy) = proxy()? {
        debootstrap
            .env("http_proxy", &proxy)
            .env("https_proxy", &proxy);
    }
    succeed(&mut debootstrap).map_err(|failure| {
        let said = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        format!(
            "{failure}\n{}",
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
        .into()
    })
}

/// Where this machine's apt gets Debian from.
fn mirror() -> Result<String> {
    let format = "$(CREATED_BY) $(LABEL) $(SITE)";
    let targets =
        output(Command::new("apt-get").args(["indextargets", "--format", format]))?;
    let mut sites = targets
        .lines()
        .filter_map(|line| line.strip_prefix("Packages Debian "));
    let site = sites
        .next()
        .ok_or("apt knows no Debian mirror: run apt-get update")?;
    Ok(site.to_owned())
}

/// The proxy that apt goes through, if any.
fn proxy() -> Result<Option<String>> {
    let key = "Acquire::http::Proxy";
    let value =
        output(Command::new("apt-config").args(["dump", "--format", "%v%n", key]))?;
    Ok(value
        .lines()
        .next()
        .filter(|proxy| !proxy.is_empty())
        .map(str::to_owned))
}

/// Makes the tree one that runs the tests and goes off.
fn configure(guest: &Guest, tree: &Path) -> Result<()> {
    for (path, mode, text) in guest.files() {
        let path = tree.join(path);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    for (path, line) in guest::LINES {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(tree.join(path))?;
        file.write_all(line.as_bytes())?;
    }
    for (path, target) in guest::LINKS {
        symlink(target, tree.join(path))
            .map_err(|error| format!("link {path}: {error}"))?;
    }
    for entry in fs::read_dir(tree.join("boot"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("initrd") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A disk with the binaries, the golden files and the chosen tests' names.
pub fn of_tests(
    folder: &Path,
    binaries: &Binaries,
    filters: &[String],
) -> Result<PathBuf> {
    let tree = folder.join(format!("tests.{}", std::process::id()));
    fs::create_dir_all(tree.join("golden"))?;
    fs::copy(&binaries.warren, tree.join("warren"))?;
    fs::copy(&binaries.tests, tree.join("warren-tests"))?;
    fs::write(tree.join("filters"), filters.join(" "))?;
    for entry in fs::read_dir(repository().join("tests/golden"))? {
        let entry = entry?;
        fs::copy(entry.path(), tree.join("golden").join(entry.file_name()))?;
    }
    let disk = folder.join(format!("tests.{}.img", std::process::id()));
    make_disk(&tree, &disk, "128M")?;
    fs::remove_dir_all(tree)?;
    Ok(disk)
}

/// An ext4 image of a folder, made without mounting anything.
fn make_disk(tree: &Path, disk: &Path, size: &str) -> Result<()> {
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-F", "-d"]).arg(tree).arg(disk).arg(size);
    if !has_sbin() {
        mkfs.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    }
    succeed(&mut mkfs)
}

fn has_sbin() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder == Path::new("/usr/sbin"))
}
