//! What of the host is shown, and what is made beside it.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args};
use warren_spawn::{Access, Mount};

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
    /// Mount an empty filesystem in memory at DST
    #[arg(long, value_name = "DST", help_heading = "Files")]
    pub tmpfs: Vec<PathBuf>,
    /// Make a symlink LINK that says TARGET
    #[arg(long, num_args = 2, value_names = ["TARGET", "LINK"], help_heading = "Files")]
    pub symlink: Vec<PathBuf>,
}

/// An option that adds something below the root; a later one may go on an earlier.
struct Ordered {
    /// Its id among the arguments.
    name: &'static str,
    /// How many values it takes.
    values: usize,
    /// What it adds.
    mount: fn(&[PathBuf]) -> Result<Mount, Failure>,
}

const ORDERED: &[Ordered] = &[
    Ordered {
        name: "bind",
        values: 2,
        mount: |pair| bind(pair, Access::ReadWrite),
    },
    Ordered {
        name: "ro_bind",
        values: 2,
        mount: |pair| bind(pair, Access::ReadOnly),
    },
    Ordered {
        name: "tmpfs",
        values: 1,
        mount: |target| {
            Ok(Mount::Tmpfs {
                target: target[0].clone(),
                mode: 0o755,
                size: None,
            })
        },
    },
    Ordered {
        name: "symlink",
        values: 2,
        mount: |pair| {
            let (content, target) = (pair[0].clone(), pair[1].clone());
            Ok(Mount::Symlink { content, target })
        },
    },
];

fn bind(pair: &[PathBuf], access: Access) -> Result<Mount, Failure> {
    Ok(Mount::bind(absolute(&pair[0])?, pair[1].clone(), access))
}

impl FileOptions {
    /// What they ask for, in the order of the command line.
    pub fn mounts(&self, matches: &ArgMatches) -> Result<Vec<Mount>, Failure> {
        let mut found: Vec<(usize, Mount)> = Vec::new();
        for option in ORDERED {
            let values = matches.get_many::<PathBuf>(option.name);
            let values: Vec<PathBuf> = values.into_iter().flatten().cloned().collect();
            let places = matches.indices_of(option.name).into_iter().flatten();
            let places = places.step_by(option.values);
            for (place, values) in places.zip(values.chunks_exact(option.values)) {
                found.push((place, (option.mount)(values)?));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        let mut mounts: Vec<Mount> = found.into_iter().map(|(_, mount)| mount).collect();
        if self.here {
            let here = current_folder()?;
            mounts.push(Mount::bind(here.clone(), here, Access::ReadWrite));
        }
        Ok(mounts)
    }
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
