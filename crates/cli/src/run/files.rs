//! What of the host is shown, and what is made beside it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args};
use warren_spawn::{Access, Content, Forbidden, Mount, Open, Tree, Upper};

use super::sizes;
use crate::failure::Failure;

/// Files and folders below the root.
#[derive(Debug, Args)]
pub struct FileOptions {
    /// Show the current folder, writable, and work in it
    #[arg(long, help_heading = "Files")]
    pub here: bool,
    /// Show SRC of the host at DST, writable
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    pub bind: Vec<PathBuf>,
    /// Show SRC of the host at DST, read-only
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    pub ro_bind: Vec<PathBuf>,
    /// Show SRC at DST, writable, and let its device files be opened
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    pub dev_bind: Vec<PathBuf>,
    /// Show the file or folder that descriptor FD has open at DST, writable
    #[arg(long, num_args = 2, value_names = ["FD", "DST"], help_heading = "Files")]
    pub bind_fd: Vec<PathBuf>,
    /// The same, read-only
    #[arg(long, num_args = 2, value_names = ["FD", "DST"], help_heading = "Files")]
    pub ro_bind_fd: Vec<PathBuf>,
    /// Show the folder SRC at DST; it can be written, and all changes vanish
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    pub overlay: Vec<PathBuf>,
    /// Show the folder SRC at DST, with all changes in the folder UPPER; WORK is an empty
    /// one on the same filesystem
    #[arg(
        long,
        num_args = 4,
        value_names = ["SRC", "UPPER", "WORK", "DST"],
        help_heading = "Files"
    )]
    pub overlay_into: Vec<PathBuf>,
    /// Show the folder SRC at DST, read-only; makes sense after --lower
    #[arg(long, num_args = 2, value_names = ["SRC", "DST"], help_heading = "Files")]
    pub ro_overlay: Vec<PathBuf>,
    /// Put the folder SRC below the overlay that the next option makes, under those that
    /// follow
    #[arg(long, value_name = "SRC", help_heading = "Files")]
    pub lower: Vec<PathBuf>,
    /// Mount an empty filesystem in memory at DST: DST:size=64M,mode=1777
    #[arg(long, value_name = "DST[:OPTIONS]", help_heading = "Files")]
    pub tmpfs: Vec<PathBuf>,
    /// Make the folder DST
    #[arg(long, value_name = "DST", help_heading = "Files")]
    pub dir: Vec<PathBuf>,
    /// Make the file DST with what can be read from descriptor FD
    #[arg(long, num_args = 2, value_names = ["FD", "DST"], help_heading = "Files")]
    pub file: Vec<PathBuf>,
    /// Make the file DST with TEXT in it
    #[arg(long, num_args = 2, value_names = ["TEXT", "DST"], help_heading = "Files")]
    pub data: Vec<PathBuf>,
    /// Make a symlink LINK that says TARGET
    #[arg(long, num_args = 2, value_names = ["TARGET", "LINK"], help_heading = "Files")]
    pub symlink: Vec<PathBuf>,
    /// Change the mode of DST to MODE, in octal
    #[arg(long, num_args = 2, value_names = ["MODE", "DST"], help_heading = "Files")]
    pub chmod: Vec<PathBuf>,
    /// Let the mount at DST forbid more: write, exec, dev, suid, separated by commas
    #[arg(long, num_args = 2, value_names = ["WHAT", "DST"], help_heading = "Files")]
    pub forbid: Vec<PathBuf>,
    /// Hide what PATTERN matches in the folders shown: a name at any depth (.env), a path in
    /// them (**/keys/*.pem), or one inside (/srv/secret); !PATTERN spares what it matches
    #[arg(long, value_name = "[!]PATTERN", help_heading = "Files")]
    pub hide: Vec<OsString>,
}

/// An option that adds something below the root; a later one may go on an earlier.
struct Ordered {
    /// Its id among the arguments.
    name: &'static str,
    /// How many values it takes.
    values: usize,
    /// What it adds.
    add: fn(&mut Below, &[PathBuf]) -> Result<Mount, Failure>,
}

/// `--lower`, which adds nothing by itself.
const LOWER: &str = "lower";

const ORDERED: &[Ordered] = &[
    Ordered {
        name: "bind",
        values: 2,
        add: |_, words| bind(words, Access::ReadWrite, false),
    },
    Ordered {
        name: "ro_bind",
        values: 2,
        add: |_, words| bind(words, Access::ReadOnly, false),
    },
    Ordered {
        name: "dev_bind",
        values: 2,
        add: |_, words| bind(words, Access::ReadWrite, true),
    },
    Ordered {
        name: "bind_fd",
        values: 2,
        add: |_, words| bind_fd("--bind-fd", words, Access::ReadWrite),
    },
    Ordered {
        name: "ro_bind_fd",
        values: 2,
        add: |_, words| bind_fd("--ro-bind-fd", words, Access::ReadOnly),
    },
    Ordered {
        name: "overlay",
        values: 2,
        add: |below, words| below.overlay(&words[0], Upper::Memory, &words[1]),
    },
    Ordered {
        name: "overlay_into",
        values: 4,
        add: |below, words| {
            let (upper, work) = (absolute(&words[1])?, absolute(&words[2])?);
            below.overlay(&words[0], Upper::Folder { upper, work }, &words[3])
        },
    },
    Ordered {
        name: "ro_overlay",
        values: 2,
        add: |below, words| below.overlay(&words[0], Upper::None, &words[1]),
    },
    Ordered {
        name: "tmpfs",
        values: 1,
        add: |_, words| tmpfs(words[0].as_os_str()),
    },
    Ordered {
        name: "dir",
        values: 1,
        add: |_, words| {
            Ok(Mount::Folder {
                target: words[0].clone(),
                mode: 0o755,
            })
        },
    },
    Ordered {
        name: "file",
        values: 2,
        add: |_, words| {
            let content = Content::Open(descriptor("--file", &words[0])?);
            Ok(file(content, &words[1]))
        },
    },
    Ordered {
        name: "data",
        values: 2,
        add: |_, words| {
            let content = Content::Bytes(words[0].as_os_str().as_bytes().to_vec());
            Ok(file(content, &words[1]))
        },
    },
    Ordered {
        name: "symlink",
        values: 2,
        add: |_, words| {
            let (content, target) = (words[0].clone(), words[1].clone());
            Ok(Mount::Symlink { content, target })
        },
    },
    Ordered {
        name: "chmod",
        values: 2,
        add: |_, words| {
            Ok(Mount::Mode {
                target: words[1].clone(),
                mode: sizes::mode("--chmod", words[0].as_os_str())?,
            })
        },
    },
    Ordered {
        name: "forbid",
        values: 2,
        add: |_, words| {
            Ok(Mount::Forbid {
                target: words[1].clone(),
                what: forbidden(words[0].as_os_str())?,
            })
        },
    },
];

/// The folders that `--lower` puts below the overlay to come.
#[derive(Default)]
struct Below(Vec<PathBuf>);

impl Below {
    fn overlay(
        &mut self,
        source: &Path,
        upper: Upper,
        target: &Path,
    ) -> Result<Mount, Failure> {
        let mut lower = std::mem::take(&mut self.0);
        lower.push(absolute(source)?);
        Ok(Mount::Overlay {
            lower,
            upper,
            target: target.to_owned(),
        })
    }
}

fn bind(words: &[PathBuf], access: Access, devices: bool) -> Result<Mount, Failure> {
    Ok(Mount::Bind {
        source: Tree::Path(absolute(&words[0])?),
        target: words[1].clone(),
        access,
        devices,
    })
}

fn bind_fd(option: &str, words: &[PathBuf], access: Access) -> Result<Mount, Failure> {
    Ok(Mount::Bind {
        source: Tree::Open(descriptor(option, &words[0])?),
        target: words[1].clone(),
        access,
        devices: false,
    })
}

/// A descriptor that the caller has open, by its number.
fn descriptor(option: &str, word: &Path) -> Result<Open, Failure> {
    let number = word.to_str().and_then(sizes::number);
    let fd = number.and_then(|number| i32::try_from(number).ok());
    let Some(fd) = fd else {
        let word = word.display();
        return Err(Failure::usage(format!(
            "{option} '{word}': expected the number of a descriptor"
        )));
    };
    warren_sys::is_open(fd).map_err(|_| {
        Failure::usage(format!("{option} {fd}: the descriptor is not open"))
            .hint("the shell opens one: ... 7<FILE, or 7<FOLDER")
    })?;
    Ok(Open {
        fd,
        name: format!("descriptor {fd}"),
    })
}

fn file(content: Content, target: &Path) -> Mount {
    Mount::File {
        content,
        target: target.to_owned(),
        mode: 0o644,
        mounted: None,
    }
}

/// `DST`, or `DST:size=64M,mode=1777`.
fn tmpfs(word: &OsStr) -> Result<Mount, Failure> {
    let bytes = word.as_bytes();
    let (target, options) = match bytes.iter().rposition(|byte| *byte == b':') {
        Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
        None => (bytes, &bytes[..0]),
    };
    let (mut mode, mut size) = (0o755, None);
    let options = String::from_utf8_lossy(options).into_owned();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("mode", text)) => mode = sizes::mode("--tmpfs", text.as_ref())?,
            Some(("size", text)) => size = Some(sizes::size("--tmpfs", text)?),
            _ => {
                let word = word.display();
                return Err(Failure::usage(format!(
                    "--tmpfs '{word}': no option '{option}'"
                ))
                .hint("the options are size=BYTES and mode=OCTAL, separated by commas"));
            }
        }
    }
    Ok(Mount::Tmpfs {
        target: OsStr::from_bytes(target).into(),
        mode,
        size,
    })
}

fn forbidden(words: &OsStr) -> Result<Forbidden, Failure> {
    let mut what = Forbidden::default();
    let text = words.to_string_lossy();
    for word in text.split(',') {
        match word {
            "write" => what.write = true,
            "exec" => what.execute = true,
            "dev" => what.devices = true,
            "suid" => what.set_id = true,
            _ => {
                return Err(Failure::usage(format!(
                    "--forbid '{text}': a mount cannot forbid '{word}'"
                ))
                .hint("it can forbid write, exec, dev and suid"));
            }
        }
    }
    Ok(what)
}

impl FileOptions {
    /// What they ask for, in the order of the command line.
    pub fn mounts(&self, matches: &ArgMatches) -> Result<Vec<Mount>, Failure> {
        let mut below = Below::default();
        let mut mounts = Vec::new();
        for (option, words) in in_order(matches) {
            match option {
                Some(option) => mounts.push((option.add)(&mut below, &words)?),
                None => below.0.push(absolute(&words[0])?),
            }
        }
        if !below.0.is_empty() {
            return Err(Failure::usage("--lower: no overlay follows it"));
        }
        if self.here {
            let here = current_folder()?;
            mounts.push(Mount::bind(here.clone(), here, Access::ReadWrite));
        }
        Ok(mounts)
    }
}

/// Each ordered option that was given, with its words; `None` is `--lower`.
fn in_order(matches: &ArgMatches) -> Vec<(Option<&'static Ordered>, Vec<PathBuf>)> {
    let mut found = Vec::new();
    let options = ORDERED.iter().map(|option| (option.name, Some(option)));
    for (name, option) in options.chain([(LOWER, None)]) {
        let count = option.map_or(1, |option| option.values);
        let words = matches.get_many::<PathBuf>(name);
        let words: Vec<PathBuf> = words.into_iter().flatten().cloned().collect();
        let places = matches.indices_of(name).into_iter().flatten();
        for (place, words) in places.step_by(count).zip(words.chunks_exact(count)) {
            found.push((place, option, words.to_vec()));
        }
    }
    found.sort_by_key(|(place, ..)| *place);
    let in_order = found.into_iter();
    in_order.map(|(_, option, words)| (option, words)).collect()
}

pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::usage(format!(
            "the path '{}': {}",
            path.display(),
            warren_namespaces::io_error_text(&error)
        ))
    })
}

pub fn current_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::new(format!(
            "look up the current folder: {}",
            warren_namespaces::io_error_text(&error)
        ))
        .hint("it may have been removed: cd to one that exists")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tmpfs_may_have_options_behind_a_colon() {
        let is = |word: &str| tmpfs(OsStr::new(word)).ok();
        let of = |target: &str, mode, size| {
            Some(Mount::Tmpfs {
                target: target.into(),
                mode,
                size,
            })
        };
        assert_eq!(is("/a"), of("/a", 0o755, None));
        assert_eq!(is("/a:size=64K"), of("/a", 0o755, Some(65_536)));
        assert_eq!(is("/a:b:mode=1777,size=1"), of("/a:b", 0o1777, Some(1)));
        assert_eq!(is("/a:"), of("/a", 0o755, None));
        for wrong in ["/a:b", "/a:size", "/a:size=", "/a:mode=8", "/a:noexec"] {
            assert_eq!(is(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_mount_forbids_is_a_list_of_words() {
        let write_and_exec = Forbidden {
            write: true,
            execute: true,
            ..Forbidden::default()
        };
        assert_eq!(forbidden("write,exec".as_ref()).ok(), Some(write_and_exec));
        assert!(forbidden("".as_ref()).is_err());
        assert!(forbidden("write,".as_ref()).is_err());
    }

    #[test]
    fn a_descriptor_is_a_number_that_is_open() {
        assert_eq!(
            descriptor("--file", "0".as_ref()).map(|open| open.fd).ok(),
            Some(0)
        );
        for wrong in ["", "-1", "x", "9999", "99999999999"] {
            assert!(descriptor("--file", wrong.as_ref()).is_err(), "{wrong}");
        }
    }
}
