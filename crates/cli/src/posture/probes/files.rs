//! Files of the host that the run was not given.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, StatVfsMountFlags};
use warren_namespaces::{errno_text, io_error_text};

use super::super::outside::Outside;
use super::super::probe::{Finding, Probe};

const SHOWN: &str = "--bind, --here, --host-root or a profile shows where it is";

pub const PROBES: &[Probe] = &[
    Probe {
        name: "private file",
        about: "files",
        tries: "reads a file that the caller alone may read, in HOME, /tmp and /dev/shm",
        hint: SHOWN,
        cve: None,
        run: read,
    },
    Probe {
        name: WRITE,
        about: "files",
        tries: "writes such a file, and makes one beside it",
        hint: SHOWN,
        cve: None,
        run: write,
    },
    Probe {
        name: "ways up",
        about: "files",
        tries: "reaches such a file by `..` of the working directory, by links of \
                /proc/PID, by open descriptors and by a symlink",
        hint: "a folder that --keep-fd gives is such a way",
        cve: Some("CVE-2024-21626"),
        run: ways_up,
    },
    Probe {
        name: "secrets of /etc",
        about: "files",
        tries: "reads the passwords in /etc/shadow and /etc/gshadow",
        hint: "--root / of root shows them, and --bind",
        cve: None,
        run: |_| secrets(),
    },
    Probe {
        name: "socket in a folder",
        about: "files",
        tries: "connects to a unix socket of the caller's, in HOME or /tmp",
        hint: SHOWN,
        cve: None,
        run: |outside| match &outside.socket {
            Some(path) => Finding::of_file(&UnixStream::connect(path), "connected"),
            None => Finding::unknown("none could be made outside"),
        },
    },
    Probe {
        name: "sockets of daemons",
        about: "files",
        tries: "connects to Docker, containerd, podman, D-Bus, systemd and X11",
        hint: SHOWN,
        cve: None,
        run: |_| daemons(),
    },
    Probe {
        name: "device files",
        about: "files",
        tries: "looks for disks and other devices that it may open",
        hint: "--dev-bind gives devices",
        cve: None,
        run: |_| devices(),
    },
    Probe {
        name: "mknod",
        about: "files",
        tries: "makes a device file and opens it",
        hint: "root with --share user and --cap-add MKNOD makes devices",
        cve: None,
        run: |_| mknod(),
    },
    Probe {
        name: "control groups",
        about: "files",
        tries: "opens release_agent, cgroup.procs and the like for writing",
        hint: "--bind or --host-root shows a cgroup filesystem",
        cve: Some("CVE-2022-0492"),
        run: |_| cgroups(),
    },
];

/// The probe whose last word has who is outside: what was written may be a copy.
pub const WRITE: &str = "writes to the host";

/// What is in a file, if it is the one that was made outside.
fn is_the_callers(outside: &Outside, path: &Path) -> bool {
    let mut text = Vec::new();
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let mut options = OpenOptions::new();
    let Ok(file) = options.read(true).custom_flags(flags).open(path) else {
        return false;
    };
    let read = file.take(4096).read_to_end(&mut text);
    read.is_ok() && text.starts_with(outside.token.as_bytes())
}

fn read(outside: &Outside) -> Finding {
    let found: Vec<&String> = outside
        .files
        .iter()
        .filter(|path| is_the_callers(outside, Path::new(path)))
        .collect();
    match outside.files.first() {
        None => Finding::unknown("none could be made outside"),
        Some(first) => {
            let words: Vec<&str> = found.iter().map(|path| folder(path)).collect();
            let why = fs::File::open(first).map_or_else(
                |error| io_error_text(&error),
                |_| "another file is there".to_owned(),
            );
            match words.as_slice() {
                [] => Finding::holds(why),
                words => Finding::open(format!("in {}", words.join(", "))),
            }
        }
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// Says what it could do; whether that changed the host is seen outside.
fn write(outside: &Outside) -> Finding {
    let mut found = Vec::new();
    let mut refused = String::new();
    if outside.files.is_empty() {
        return Finding::unknown("none could be made outside");
    }
    for path in &outside.files {
        let written = OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(b"written\n"));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(Outside::beside(path));
        match (written, made) {
            (Err(error), Err(_)) => refused = io_error_text(&error),
            _ => found.push(folder(path)),
        }
    }
    Finding::none_of(&found, refused)
}

fn ways_up(outside: &Outside) -> Finding {
    let is_hidden = |path: &&String| !is_the_callers(outside, Path::new(path));
    let Some(file) = outside.files.iter().find(is_hidden) else {
        return Finding::unknown("every file is shown where it is");
    };
    let up = "/..".repeat(24);
    let mut ways: Vec<String> = ["/proc/self/cwd", "/proc/self/root", "/proc/1/root"]
        .map(str::to_owned)
        .to_vec();
    ways.extend(["/proc/1/cwd".to_owned(), ".".to_owned(), String::new()]);
    ways.push(format!("/proc/{}/root", outside.pid));
    ways.push(format!("/proc/{}/cwd", outside.pid));
    ways.extend((0..3).map(|number| format!("/proc/self/fd/{number}")));
    let kept = outside.descriptors.iter();
    ways.extend(kept.map(|number| format!("/proc/self/fd/{number}")));
    let leads_out = |way: &str| {
        let paths = [format!("{way}{up}{file}"), format!("{way}{file}")];
        paths.iter().any(|path| {
            is_the_callers(outside, Path::new(path)) || by_link(outside, path)
        })
    };
    let found: Vec<&String> = ways.iter().filter(|way| leads_out(way)).collect();
    Finding::none_of(&found, "none leads out")
}

/// By a symlink that is made for it, in some folder that can be written.
fn by_link(outside: &Outside, path: &str) -> bool {
    let link = format!("/tmp/.warren-posture-link.{}", std::process::id());
    if std::os::unix::fs::symlink(path, &link).is_err() {
        return false;
    }
    let found = is_the_callers(outside, Path::new(&link));
    // It was made a moment ago, in a folder of the run's own or a sticky one.
    let _ = fs::remove_file(&link);
    found
}

fn secrets() -> Finding {
    let has_bytes = |path: &&&str| fs::read(path).is_ok_and(|bytes| !bytes.is_empty());
    let files = ["/etc/shadow", "/etc/gshadow"];
    let found: Vec<&&str> = files.iter().filter(has_bytes).collect();
    let why = match fs::read(files[0]) {
        Ok(_) => "empty".to_owned(),
        Err(error) => io_error_text(&error),
    };
    Finding::none_of(&found, why)
}

fn daemons() -> Finding {
    let sockets = [
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/run/systemd/journal/stdout",
        "/tmp/.X11-unix/X0",
    ];
    let answers = |path: &&&str| UnixStream::connect(path).is_ok();
    let found: Vec<&&str> = sockets.iter().filter(answers).collect();
    Finding::none_of(&found, "none is there")
}

/// null, zero, full, random, urandom, tty and ptmx.
const ORDINARY: [(u32, u32); 7] =
    [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
/// The major numbers of pseudo-terminals.
const TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;
/// So many are named.
const NAMED: usize = 4;

fn devices() -> Finding {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/dev")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if (kind.is_block_device() || kind.is_char_device())
                && can_be_used(&entry.path())
            {
                found.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found.sort_unstable();
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        found.truncate(NAMED);
        found.push(format!("{more} more"));
    }
    Finding::none_of(
        &found,
        "none but null, zero, full, random, urandom, tty, ptmx",
    )
}

/// It is not opened, which does something to a watchdog or a tape.
fn can_be_used(path: &Path) -> bool {
    let Ok(data) = path.symlink_metadata() else {
        return false;
    };
    let number = (
        rustix::fs::major(data.rdev()),
        rustix::fs::minor(data.rdev()),
    );
    let is_char = data.file_type().is_char_device();
    if is_char && (ORDINARY.contains(&number) || TERMINALS.contains(&number.0)) {
        return false;
    }
    let no_devices = rustix::fs::statvfs(path)
        .is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NODEV));
    let may = |access| rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).is_ok();
    !no_devices && (may(Access::READ_OK) || may(Access::WRITE_OK))
}

fn mknod() -> Finding {
    let mut why = "no folder can be written".to_owned();
    for folder in ["/tmp", "/dev/shm", "/dev", "."] {
        let path = format!("{folder}/.warren-posture-device.{}", std::process::id());
        // /dev/null: if that can be opened, so can what is no harmless one.
        let device = rustix::fs::makedev(1, 3);
        let kind = FileType::CharacterDevice;
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::mknodat(CWD, &path, kind, mode, device) {
            Err(errno) => why = errno_text(errno),
            Ok(()) => {
                let opened = fs::File::open(&path);
                // A failure shows in the folder.
                let _ = fs::remove_file(&path);
                match opened {
                    Ok(_) => {
                        return Finding::open(format!("made and opened in {folder}"));
                    }
                    Err(error) => {
                        why =
                            format!("made, not to be opened: {}", io_error_text(&error));
                    }
                }
            }
        }
    }
    Finding::holds(why)
}

fn cgroups() -> Finding {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return Finding::unknown("/proc/self/mountinfo cannot be read");
    };
    let is_cgroup = |line: &&str| line.contains(" - cgroup");
    let places = mounts.lines().filter(is_cgroup);
    let places: Vec<&str> = places.filter_map(|line| line.split(' ').nth(4)).collect();
    let files = [
        "release_agent",
        "cgroup.procs",
        "devices.allow",
        "cgroup.subtree_control",
    ];
    let paths = places
        .iter()
        .flat_map(|place| files.map(|file| format!("{place}/{file}")));
    let can_write = |path: &String| OpenOptions::new().write(true).open(path).is_ok();
    let found: Vec<String> = paths.filter(can_write).take(NAMED).collect();
    let otherwise = match places.len() {
        0 => "no cgroup filesystem is there",
        _ => "none can be written",
    };
    Finding::none_of(&found, otherwise)
}
