//! The host's programs in somebody else's root.
//!
//! They lie at /.warren, in a root that only the command sees. Most need a loader and
//! libraries at places where the target may have its own, other ones: so the folder that
//! is put in PATH has links to this very binary, which finds the program by the name
//! under which it was called and has the host's loader run it with the host's libraries.
//! Nothing of the target is shadowed, and its own programs run as ever.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use warren_spawn::{Access, Mount};

use crate::failure::Failure;

/// The folder for PATH.
const PROGRAMS: &str = "/.warren/bin";
/// The host's tree.
const HOST: &str = "/.warren/host";
/// A folder that the launcher can write.
const ALIASES: &str = "/.warren/as";
/// This binary.
const LAUNCHER: &str = "/.warren/launcher";

/// Where programs lie in the host's tree, in the order of a usual PATH.
const PROGRAM_FOLDERS: [&str; 6] = [
    "usr/local/sbin",
    "usr/local/bin",
    "usr/sbin",
    "usr/bin",
    "sbin",
    "bin",
];

/// The trees that programs need, where they are no links into /usr.
const TREES: [&str; 9] = [
    "usr",
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "etc/alternatives",
    "etc/ld.so.conf.d",
];

/// What is mounted.
pub fn mounts() -> Result<Vec<Mount>, Failure> {
    let own = std::env::current_exe().map_err(|error| {
        let words = warren_namespaces::io_error_text(&error);
        Failure::new(format!("find one's own binary: {words}"))
    })?;
    let mut mounts: Vec<Mount> = TREES.iter().filter_map(|name| tree(name)).collect();
    mounts.push(Mount::bind(own, LAUNCHER, Access::ReadOnly));
    mounts.push(programs());
    mounts.push(Mount::Tmpfs {
        target: ALIASES.into(),
        mode: 0o755,
        size: None,
    });
    Ok(mounts)
}

fn tree(name: &str) -> Option<Mount> {
    let source = Path::new("/").join(name);
    let target = Path::new(HOST).join(name);
    let found = source.symlink_metadata().ok()?;
    if found.is_symlink() {
        let content = std::fs::read_link(&source).ok()?;
        // The links of the host's tree must lead on in it.
        let content = content.strip_prefix("/").unwrap_or(&content).to_owned();
        return Some(Mount::Symlink { content, target });
    }
    found
        .is_dir()
        .then_some(Mount::bind(source, target, Access::ReadOnly))
}

/// The folder of links. Where /bin is a link itself, its programs are in another folder.
fn programs() -> Mount {
    let own = |name: &&&str| !Path::new("/").join(name).is_symlink();
    let folders = PROGRAM_FOLDERS.iter().filter(own);
    Mount::Programs {
        target: PROGRAMS.into(),
        content: LAUNCHER.into(),
        folders: folders.map(|name| Path::new(HOST).join(name)).collect(),
    }
}

/// A /bin for scripts, which name their interpreter by its whole path.
pub fn bin() -> Mount {
    Mount::Symlink {
        content: PROGRAMS.into(),
        target: "/bin".into(),
    }
}

/// The shell of the host's programs.
pub fn shell() -> OsString {
    let has = |name: &str| Path::new("/usr/bin").join(name).exists();
    let name = if has("bash") || Path::new("/bin/bash").exists() {
        "bash"
    } else {
        "sh"
    };
    Path::new(PROGRAMS).join(name).into()
}

/// Puts the host's programs before the target's, which is not trusted to have an `ls`
/// that is one.
pub fn set_environment(env: &mut Vec<(OsString, OsString)>) {
    let mut path = OsString::from(PROGRAMS);
    let old = env.iter().find(|(key, _)| key == "PATH");
    let old = old.map_or(OsStr::new(warren_spawn::DEFAULT_PATH), |(_, value)| value);
    path.push(":");
    path.push(old);
    env.retain(|(key, _)| key != "PATH" && key != "TERMINFO_DIRS");
    env.push(("PATH".into(), path));
    let terminals = format!("{HOST}/usr/share/terminfo:{HOST}/lib/terminfo");
    env.push(("TERMINFO_DIRS".into(), terminals.into()));
}

/// Opens a program that shall run as it is, in a root that may have no loader for it.
pub fn open_program(path: &Path) -> Result<(OwnedFd, String), Failure> {
    let refused =
        |why: String| Failure::new(format!("open the program {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        refused(warren_namespaces::io_error_text(&error)).code(if missing {
            127
        } else {
            126
        })
    })?;
    match Format::of(&file) {
        Format::Elf(None) => Ok((file.into(), path.display().to_string())),
        Format::Elf(Some(loader)) => Err(refused(format!(
            "it needs the loader {}",
            loader.display()
        ))
        .code(126)
        .hint("a static one is needed, such as that of the package busybox-static")
        .hint("--shell without a file brings the host's programs with their libraries")),
        Format::Script(_) | Format::Other => {
            Err(refused("it is no ELF program".to_owned()).code(126))
        }
    }
}

/// How a program is run.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    /// By itself, or by this loader.
    Elf(Option<PathBuf>),
    /// By another program, with these arguments before the script's own name.
    Script(Vec<OsString>),
    /// The kernel may know.
    Other,
}

impl Format {
    fn of(file: &std::fs::File) -> Self {
        let mut head = [0; 256];
        let length = file.read_at(&mut head, 0).unwrap_or(0);
        let head = &head[..length];
        if head.starts_with(b"\x7fELF") {
            let mut read = |at, buffer: &mut [u8]| file.read_exact_at(buffer, at).is_ok();
            return Self::Elf(loader(head, &mut read));
        }
        match head.strip_prefix(b"#!") {
            Some(line) => Self::Script(interpreter(line)),
            None => Self::Other,
        }
    }
}

/// The interpreter of a script and its one argument, as the kernel takes them.
fn interpreter(line: &[u8]) -> Vec<OsString> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (program, argument) = line.split_at(end.unwrap_or(line.len()));
    let words = [program, argument.trim_ascii()].into_iter();
    words
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// `PT_INTERP` of a 64-bit ELF file; elf(5).
fn loader(head: &[u8], read: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    const LONGEST: u64 = 4096;
    let number = |bytes: &[u8], at: usize, size: usize| {
        let mut value = [0; 8];
        value
            .get_mut(..size)?
            .copy_from_slice(bytes.get(at..at + size)?);
        Some(u64::from_le_bytes(value))
    };
    let table = number(head, 32, 8)?;
    let size = number(head, 54, 2)?;
    let count = number(head, 56, 2)?;
    for entry in 0..count {
        let mut header = [0; 56];
        if !read(table.checked_add(entry * size)?, &mut header) {
            return None;
        }
        if number(&header, 0, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (at, length) = (number(&header, 8, 8)?, number(&header, 32, 8)?);
        let mut path = vec![0; usize::try_from(length.min(LONGEST)).ok()?];
        if !read(at, &mut path) {
            return None;
        }
        let path = path.split(|byte| *byte == 0).next()?;
        return Some(OsStr::from_bytes(path).into());
    }
    None
}

/// The name under which a program of the host's was called, if one was.
pub fn called_as() -> Option<OsString> {
    let path = Path::new(OsStr::from_bytes(warren_sys::arguments::executed()?));
    let name = path.file_name()?;
    let folder = path.parent()?;
    // /bin, where the root had none, is the same folder under another name.
    let links = folder == Path::new(PROGRAMS)
        || folder == Path::new("/bin")
            && path
                .read_link()
                .is_ok_and(|link| link == Path::new(LAUNCHER));
    links.then(|| name.to_owned())
}

/// Becomes the host's program of this name.
pub fn become_program(name: &OsStr) -> Failure {
    let missing = || {
        Failure::new(format!(
            "execute {}: the host has no such program",
            name.display()
        ))
        .code(127)
    };
    let mut folders = PROGRAM_FOLDERS
        .iter()
        .map(|folder| Path::new(HOST).join(folder));
    let Some(path) = folders.find_map(|folder| on_host(&folder.join(name))) else {
        return missing();
    };
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_else(|| name.to_owned());
    execute(&path, &called, words.collect(), 0)
}

/// The file at which the links of a path in the host's tree end; an absolute one is
/// absolute in that tree.
fn on_host(path: &Path) -> Option<PathBuf> {
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&path) {
            Ok(link) => {
                path = match link.strip_prefix("/") {
                    Ok(below) => Path::new(HOST).join(below),
                    Err(_) => path.parent()?.join(link),
                };
            }
            Err(_) => return path.exists().then_some(path),
        }
    }
    None
}

/// Executes a file of the host's tree as `called`.
fn execute(path: &Path, called: &OsStr, words: Vec<OsString>, depth: u8) -> Failure {
    /// How many scripts may be the interpreters of scripts: as the kernel.
    const DEEPEST: u8 = 4;
    let failed = |error: &std::io::Error| {
        let words = warren_namespaces::io_error_text(error);
        Failure::new(format!("execute {}: {words}", path.display())).code(126)
    };
    let format = match std::fs::File::open(path) {
        Ok(file) => Format::of(&file),
        Err(error) => return failed(&error),
    };
    match format {
        Format::Elf(Some(loader)) => {
            let Some(loader) = on_host(&host_path(&loader)) else {
                return Failure::new(format!(
                    "execute {}: its loader {} is not brought along",
                    path.display(),
                    loader.display()
                ))
                .code(126);
            };
            let mut command = std::process::Command::new(alias(&loader, called));
            command
                .arg("--argv0")
                .arg(called)
                .arg("--library-path")
                .arg(libraries())
                .arg(path)
                .args(words);
            failed(&command.exec())
        }
        Format::Script(interpreter) if depth < DEEPEST => {
            let Some((program, arguments)) = interpreter.split_first() else {
                return failed(&warren_sys::Errno::NOEXEC.into());
            };
            let Some(program) = on_host(&host_path(Path::new(program))) else {
                return Failure::new(format!(
                    "execute {}: its interpreter {} is not brought along",
                    path.display(),
                    program.display()
                ))
                .code(126);
            };
            let called = program.clone();
            let script = [path.as_os_str().to_owned()];
            let all = arguments.iter().cloned().chain(script).chain(words);
            execute(&program, called.as_os_str(), all.collect(), depth + 1)
        }
        _ => {
            let mut command = std::process::Command::new(path);
            failed(&command.arg0(called).args(words).exec())
        }
    }
}

fn host_path(path: &Path) -> PathBuf {
    Path::new(HOST).join(path.strip_prefix("/").unwrap_or(path))
}

/// A name of the loader under which ps(1) shows the program's: the kernel calls a process
/// by the last part of the path that was executed.
fn alias(loader: &Path, called: &OsStr) -> PathBuf {
    let name = Path::new(called).file_name().unwrap_or(called);
    let link = Path::new(ALIASES).join(name);
    match std::os::unix::fs::symlink(loader, &link) {
        Ok(()) => link,
        Err(_) if link.read_link().is_ok_and(|content| content == loader) => link,
        Err(_) => loader.to_owned(),
    }
}

/// Where the host's libraries are: the usual folders, and those that its own
/// configuration names.
fn libraries() -> OsString {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut add = |folder: &Path| {
        // /lib is a link to /usr/lib on most systems: one of them is enough.
        let Ok(folder) = host_path(folder).canonicalize() else {
            return;
        };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    };
    let configuration = std::fs::read_dir(host_path(Path::new("/etc/ld.so.conf.d")));
    let mut files: Vec<PathBuf> = configuration
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect()
        })
        .unwrap_or_default();
    files.sort();
    for text in files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
    {
        for line in text.lines().filter(|line| line.starts_with('/')) {
            add(Path::new(line.trim()));
        }
    }
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    for base in ["lib", "usr/lib"] {
        add(&Path::new("/").join(base).join(&triplet));
    }
    for base in ["lib64", "usr/lib64", "lib", "usr/lib"] {
        add(&Path::new("/").join(base));
    }
    std::env::join_paths(folders).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_script_is_read_as_the_kernel_does() {
        let words = |line: &str| {
            let words = interpreter(line.as_bytes()).into_iter();
            words
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(words("/bin/sh\necho"), ["/bin/sh"]);
        assert_eq!(
            words(" /usr/bin/env  perl -w\n"),
            ["/usr/bin/env", "perl -w"]
        );
        assert_eq!(words(""), [] as [String; 0]);
    }

    #[test]
    fn the_loader_of_a_program_is_read_and_a_static_one_has_none() {
        let file = std::fs::File::open("/bin/true").expect("/bin/true");
        let Format::Elf(Some(loader)) = Format::of(&file) else {
            panic!("/bin/true has a loader");
        };
        assert!(loader.exists(), "{}", loader.display());
        assert_eq!(loader_of(b"\x7fELF"), None);
        assert_eq!(loader_of(&[0xff; 64]), None);
    }

    fn loader_of(head: &[u8]) -> Option<PathBuf> {
        loader(head, &mut |_, _| false)
    }

    #[test]
    fn the_hosts_programs_come_before_the_targets() {
        let mut env = vec![("PATH".into(), "/usr/bin".into())];
        set_environment(&mut env);
        let path = env.iter().find(|(key, _)| key == "PATH").expect("a PATH");
        assert_eq!(path.1, "/.warren/bin:/usr/bin");
    }
}
