//! A Spec in the languages of others.

mod bwrap;
mod limits;
mod script;
mod systemd;
mod unshare;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use warren_namespaces::IdMap;
use warren_namespaces::accounts::Accounts;
use warren_spawn::{
    Access, DetailedMount, FlagChange, Host, IdMapping, Mount, Mounted, Plan, ProcMasks,
    Root, Spec, Step, Tree,
};

use crate::failure::{self, Failure};

/// What a Spec can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// A command line of bubblewrap
    Bwrap,
    /// config.json of container runtimes
    Oci,
    /// A unit of systemd
    Systemd,
    /// A command line of unshare(1)
    Unshare,
}

/// A text, and what of the Spec is not in it.
struct Printed {
    text: String,
    notes: Vec<String>,
}

/// Writes `spec`, which `plan` was made of, to standard output, and what the language
/// cannot say as comments or, where it has none, to standard error.
pub fn print(
    spec: &Spec,
    plan: &Plan,
    host: &Host,
    language: Language,
) -> Result<(), Failure> {
    let (mut spec, mut notes) = with_ids(spec, plan)?;
    hide(&mut spec, plan);
    let mut printed = match language {
        Language::Bwrap => bwrap::render(&spec, host),
        Language::Unshare => unshare::render(&spec, host),
        Language::Systemd => systemd::render(&spec),
        Language::Oci => {
            notes.extend(owner_of_root(&spec, host));
            oci(&spec)
        }
    };
    if language == Language::Oci {
        printed.notes.append(&mut notes);
    }
    let has_limits = matches!(language, Language::Systemd | Language::Oci);
    if !has_limits && !spec.limits.is_empty() {
        printed.notes.push("less isolated: no limits".to_owned());
    }
    if spec.disk.is_some() {
        let note = "less isolated: no limit on disk space";
        printed.notes.push(note.to_owned());
    }
    failure::print(&printed.text)?;
    let notes = printed.notes.iter();
    let notes: String = notes
        .map(|note| format!("warren: note: {note}\n"))
        .collect();
    failure::print_error(&notes)
}

/// Whether some TCP ports can be used and no others.
fn names_ports(spec: &Spec) -> bool {
    let landlock = spec.landlock.as_ref();
    landlock.is_some_and(|landlock| landlock.ports.is_some())
}

fn oci(spec: &Spec) -> Printed {
    let (config, losses) = warren_oci::to_config(spec);
    let note = |loss: &warren_oci::Unsupported| match loss.weakens {
        true => format!("less isolated: {loss}"),
        false => loss.to_string(),
    };
    Printed {
        text: config.text(),
        notes: losses.iter().map(note).collect(),
    }
}

/// A runtime makes mount points as the container's root.
fn owner_of_root(spec: &Spec, host: &Host) -> Option<String> {
    let is_made = matches!(spec.root, Root::Empty | Root::Scratch)
        || matches!(&spec.root, Root::Tree { path, .. } if path == Path::new("/"));
    let IdMapping::Explicit { uids, .. } = &spec.id_map else {
        return None;
    };
    let root = uids.iter().find_map(|line| line.to_outside(0))?;
    (is_made && root != host.uid).then(|| {
        format!(
            "root.path: the folder {:?} must belong to the user {root}",
            warren_oci::EMPTY_ROOT
        )
    })
}

/// The Spec with the ids that a run would have, and a note where each run has others.
fn with_ids(spec: &Spec, plan: &Plan) -> Result<(Spec, Vec<String>), Failure> {
    let mut spec = spec.clone();
    let Some(map) = plan.id_map() else {
        return Ok((spec, Vec::new()));
    };
    spec.id_map = map;
    if spec.id_map != IdMapping::Auto {
        return Ok((spec, Vec::new()));
    }
    let accounts = Accounts::read().map_err(Failure::new)?;
    let Some(block) = accounts.free_blocks().next() else {
        return Err(Failure::new("choose ids: every block has an owner"));
    };
    let lines = vec![IdMap {
        inside: 0,
        outside: block.first,
        count: block.count,
    }];
    spec.id_map = IdMapping::Explicit {
        uids: lines.clone(),
        gids: lines,
    };
    let note = format!(
        "linux.uidMappings: the ids from {} on are free now; warren takes others at each run",
        block.first
    );
    Ok((spec, vec![note]))
}

/// Replaces patterns of what is hidden by the files that match them now, which the plan
/// has found.
fn hide(spec: &mut Spec, plan: &Plan) {
    spec.hide.clear();
    for step in plan.steps() {
        let Step::Mask { target, .. } = step else {
            continue;
        };
        let path = OsStr::from_bytes(target.path().to_bytes());
        let mask = Mount::Mask {
            target: Path::new("/").join(path),
        };
        if !spec.mounts.contains(&mask) {
            spec.mounts.push(mask);
        }
    }
}

/// Who the program is, in the innermost of its new user namespaces.
fn ids_inside(spec: &Spec) -> (u32, u32) {
    if let Some(inner) = &spec.inner_user_namespace {
        return (inner.uid, inner.gid);
    }
    if let Some(user) = &spec.user {
        return (user.uid, user.gid);
    }
    let first = |map: &[IdMap]| map.first().map_or(0, |line| line.inside);
    match &spec.id_map {
        IdMapping::Explicit { uids, gids } => (first(uids), first(gids)),
        _ => (0, 0),
    }
}

/// The nearest of the mounts that other languages know, if there is one: what it forbids
/// beyond what those forbid is lost.
fn simpler(mount: &DetailedMount) -> Option<Mount> {
    let target = mount.target.clone();
    let set = mount.flags.set | mount.flags_below.set;
    let access = match set & FlagChange::READ_ONLY {
        0 => Access::ReadWrite,
        _ => Access::ReadOnly,
    };
    Some(match &mount.what {
        Mounted::Tree { source, .. } => Mount::Bind {
            source: source.clone(),
            target,
            access,
            devices: set & FlagChange::NO_DEVICES == 0,
        },
        Mounted::Filesystem { kind, data, .. } => match kind.as_str() {
            "tmpfs" => {
                let data = data.to_string_lossy();
                let value = |key: &str| {
                    let words = data.split(',');
                    words.rev().find_map(|word| word.strip_prefix(key))
                };
                let mode = value("mode=");
                let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
                let mode = mode.unwrap_or(0o755);
                let size = value("size=").and_then(|size| size.parse().ok());
                Mount::Tmpfs { target, mode, size }
            }
            "proc" => Mount::Proc {
                target,
                masks: ProcMasks::None,
            },
            "mqueue" => Mount::Mqueue { target },
            "sysfs" => Mount::Sys { target },
            _ => return None,
        },
        Mounted::Within { .. } | Mounted::Cgroup => return None,
    })
}

/// The file of the host that the program sees at `path`, symlinks aside; `None` where
/// that is none of the host's.
fn on_host(spec: &Spec, path: &Path) -> Option<PathBuf> {
    let covering = spec.mounts.iter().rev().find(|mount| {
        let is_mounted = !matches!(
            mount,
            Mount::Folder { .. }
                | Mount::Symlink { .. }
                | Mount::Mode { .. }
                | Mount::Forbid { .. }
                | Mount::Mask { .. }
                | Mount::ReadOnly { .. }
                | Mount::DeviceFiles { .. }
        );
        is_mounted && path.starts_with(mount.target())
    });
    let (source, target) = match covering {
        Some(Mount::Bind {
            source: Tree::Path(source),
            target,
            ..
        }) => (source, target.as_path()),
        Some(_) => return None,
        None => match &spec.root {
            Root::Tree { path, .. } | Root::Overlay { path } => (path, Path::new("/")),
            _ => return None,
        },
    };
    let rest = path.strip_prefix(target).ok()?;
    // A file has no rest to be joined.
    Some(source.join(rest).components().collect())
}
