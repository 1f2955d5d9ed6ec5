//! Classes of cache and memory bandwidth: resctrl.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use warren_sys::Errno;

use crate::error::Error;
use crate::spec::CacheClass;

/// Where the kernel's documentation has it mounted.
pub const MOUNT_POINT: &str = "/sys/fs/resctrl";

/// Puts the process `pid` into its class, which is made if it has lines of its own.
pub fn join(class: &CacheClass, pid: i32, resctrl: &Path) -> Result<(), Error> {
    let failed = |doing: &str, path: &Path, error: &io::Error| {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        Error::step(format!("{doing} {}", path.display()), errno)
    };
    if !resctrl.join("schemata").exists() {
        return Err(Error::spec(format!(
            "join the resctrl class {}: resctrl is not mounted at {}",
            class.name,
            resctrl.display()
        ))
        .hint("the processor or kernel may lack it (CONFIG_X86_CPU_RESCTRL); else: mount -t resctrl resctrl /sys/fs/resctrl"));
    }
    let folder = place(resctrl, &class.name)?;
    if class.schemata.is_empty() && !folder.exists() {
        return Err(Error::spec(format!(
            "join the resctrl class {}: it has no schemata and is not there",
            class.name
        )));
    }
    let made = match fs::create_dir(&folder) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed("make", &folder, &error)),
    };
    let result = fill(class, pid, &folder, &failed);
    if result.is_err() && made {
        // What was made is of no use to anybody.
        let _ = fs::remove_dir(&folder);
    }
    result
}

fn fill(
    class: &CacheClass,
    pid: i32,
    folder: &Path,
    failed: &dyn Fn(&str, &Path, &io::Error) -> Error,
) -> Result<(), Error> {
    let write = |path: PathBuf, text: &str| {
        fs::write(&path, text).map_err(|error| failed("write", &path, &error))
    };
    for line in &class.schemata {
        write(folder.join("schemata"), &format!("{line}\n"))?;
    }
    write(folder.join("tasks"), &pid.to_string())?;
    if let Some(name) = &class.monitor {
        let group = place(&folder.join("mon_groups"), name)?;
        match fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make", &group, &error));
            }
            _ => write(group.join("tasks"), &pid.to_string())?,
        }
    }
    Ok(())
}

/// The folder of a name, which must be one alone.
fn place(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let is_plain = !matches!(name, "." | "..") && !name.contains(['/', '\n', '\0']);
    match is_plain {
        // The root of resctrl is a class as well.
        true => Ok(folder.join(name)),
        false => Err(Error::spec(format!("'{name}' names no resctrl class"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resctrl(name: &str) -> PathBuf {
        let name = format!("warren-resctrl-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("schemata"), "").expect("a file");
        folder
    }

    fn class(name: &str, lines: &[&str]) -> CacheClass {
        CacheClass {
            name: name.to_owned(),
            schemata: lines.iter().map(|line| (*line).to_owned()).collect(),
            monitor: None,
        }
    }

    #[test]
    fn a_class_is_made_filled_and_joined() {
        let folder = resctrl("made");
        join(&class("one", &["L3:0=f"]), 7, &folder).expect("it is joined");
        let read = |name: &str| fs::read_to_string(folder.join("one").join(name)).ok();
        assert_eq!(read("schemata").as_deref(), Some("L3:0=f\n"));
        assert_eq!(read("tasks").as_deref(), Some("7"));
        fs::remove_dir_all(&folder).expect("remove it");
    }

    #[test]
    fn what_cannot_be_is_refused_and_leaves_nothing() {
        let folder = resctrl("refused");
        for bad in ["..", "a/b", "."] {
            assert!(join(&class(bad, &["x"]), 7, &folder).is_err(), "{bad}");
        }
        let error = join(&class("two", &[]), 7, &folder).expect_err("it is not there");
        assert!(error.to_string().contains("it has no schemata"), "{error}");
        assert!(!folder.join("two").exists());
        fs::remove_dir_all(&folder).expect("remove it");
        let error = join(&class("two", &["x"]), 7, &folder).expect_err("no resctrl");
        assert!(error.to_string().contains("is not mounted"), "{error}");
    }
}
