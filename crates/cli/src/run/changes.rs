//! What a run wrote in its overlays in memory: told, applied to the host, or saved.

mod json;
mod told;

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use warren_changes::{Layer, Listing, Outcome, Owners};
use warren_namespaces::{IdMap, ProcRoot, errno_text, io_error_text};
use warren_spawn::{Child, Host, Plan, Spec};

use super::files::absolute;
use crate::failure::Failure;

/// What becomes of the changes.
#[derive(Debug, Args)]
pub struct ChangeOptions {
    /// Say on standard error, after the run, what CMD changed in overlays in memory: A for
    /// added, M for modified, D for deleted
    #[arg(long, help_heading = "Changes")]
    pub changes: bool,
    /// Write the same into FILE as JSON, as docs/json.md describes it
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    pub changes_json: Option<PathBuf>,
    /// Make the changes on the host if CMD ends with 0, or with =always whatever it ends
    /// with
    #[arg(
        long,
        value_name = "always",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "success",
        value_parser = ["success", "always"],
        help_heading = "Changes"
    )]
    pub commit: Option<String>,
    /// Save the changed files, and a list of the changes, in the folder DIR, which is new or
    /// empty
    #[arg(long, value_name = "DIR", help_heading = "Changes")]
    pub keep_changes: Option<PathBuf>,
}

impl ChangeOptions {
    /// The first of them that was given.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            ("--changes", self.changes),
            ("--changes-json", self.changes_json.is_some()),
            ("--commit", self.commit.is_some()),
            ("--keep-changes", self.keep_changes.is_some()),
        ];
        options
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }

    /// Whether a run as `spec` says can have changes.
    pub fn check(&self, spec: &Spec) -> Result<(), Failure> {
        match self.given() {
            Some(option) if !spec.has_overlay_in_memory() => Err(Failure::usage(format!(
                "{option}: the run has no overlay that keeps changes in memory"
            ))
            .hint("--overlay SRC DST, --root DIR --ephemeral and --host-root=overlay make one")),
            _ => Ok(()),
        }
    }

    /// What is to be done when the run has ended, if anything is. What is wrong with the
    /// files that it needs is told now.
    pub fn keeping(&self, plan: &Plan, host: &Host) -> Result<Option<Keeping>, Failure> {
        if self.given().is_none() {
            return Ok(None);
        }
        let layers = plan.layers();
        if self.commit.is_some() {
            layers.iter().try_for_each(can_be_committed)?;
        }
        let overlays = layers.into_iter().map(Overlay::open);
        let overlays = overlays.collect::<Result<_, _>>()?;
        Ok(Some(Keeping {
            overlays,
            tells: self.changes,
            json: self.changes_json.as_deref().map(create).transpose()?,
            commit: self.commit.as_deref().map(|when| when == "always"),
            folder: self.keep_changes.as_deref().map(new_folder).transpose()?,
            is_root: host.is_privileged(),
            proc: ProcRoot::open().map_err(Failure::new)?,
        }))
    }
}

fn can_be_committed(layer: &warren_spawn::Layer) -> Result<(), Failure> {
    if layer.lower.len() == 1 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--commit: the overlay at {} lies on more than one folder",
        layer.target.display()
    ))
    .hint("a file of a lower one cannot be deleted from the one above; --keep-changes DIR saves"))
}

fn create(path: &Path) -> Result<(File, PathBuf), Failure> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok((file, path.to_owned()))
}

/// Looks whether a folder can be made at `path`; one that is empty may be there.
fn new_folder(path: &Path) -> Result<PathBuf, Failure> {
    let path = absolute(path)?;
    let failed = |error: &io::Error| {
        let text = io_error_text(error);
        Failure::new(format!("--keep-changes {}: {text}", path.display()))
    };
    let is_empty = |mut entries: fs::ReadDir| entries.next().is_none();
    match fs::read_dir(&path).map(is_empty) {
        Ok(true) => Ok(path),
        Ok(false) => {
            Err(failed(&Errno::NOTEMPTY.into())
                .hint("name a new folder, or an empty one"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            match fs::read_dir(parent) {
                Ok(_) => Ok(path),
                Err(error) => Err(failed(&error).hint("the folder above must exist")),
            }
        }
        Err(error) => Err(failed(&error)),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let text = io_error_text(error);
    Failure::new(format!("write {}: {text}", path.display()))
}

/// An overlay of a run that is to begin.
struct Overlay {
    layer: warren_spawn::Layer,
    /// What lies below, opened before the run: by its end, a path may lead elsewhere.
    lowers: Vec<OwnedFd>,
}

impl Overlay {
    fn open(layer: warren_spawn::Layer) -> Result<Self, Failure> {
        let open = |path: &PathBuf| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
                let text = errno_text(errno);
                Failure::new(format!("open the folder {}: {text}", path.display()))
            })
        };
        let lowers = layer.lower.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { layer, lowers })
    }
}

/// What is to be done with the changes of a run.
pub struct Keeping {
    overlays: Vec<Overlay>,
    tells: bool,
    json: Option<(File, PathBuf)>,
    /// Whether they are applied, and then whether always.
    commit: Option<bool>,
    folder: Option<PathBuf>,
    is_root: bool,
    proc: ProcRoot,
}

/// What there is to tell of one overlay.
struct Told {
    layer: warren_spawn::Layer,
    listing: Listing,
    saved: Option<Outcome>,
    committed: Option<Outcome>,
}

impl Keeping {
    /// Does it, when the command has ended with `code`, and gives that.
    pub fn finish(mut self, child: &mut Child, code: u8) -> Result<u8, Failure> {
        if let Some(folder) = &self.folder {
            make_folder(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        let overlays = std::mem::take(&mut self.overlays);
        let commits = self.commit.is_some_and(|always| always || code == 0);
        let run = Run::new(child, commits)?;
        let told = overlays
            .into_iter()
            .enumerate()
            .map(|(number, overlay)| self.overlay(&run, number, overlay))
            .collect::<Result<Vec<_>, _>>()?;
        self.tell(&told, code)?;
        self.write(&told, code)?;
        told::failures(&told, self.folder.as_deref()).map_or(Ok(code), Err)
    }

    fn overlay(
        &self,
        run: &Run,
        number: usize,
        overlay: Overlay,
    ) -> Result<Told, Failure> {
        let Overlay { layer, lowers } = overlay;
        let over = Layer::new(
            run.open_upper(layer.number)?,
            lowers,
            layer.covered.clone(),
            run.owners(self.is_root, &layer),
            again(&self.proc)?,
        );
        let listing = over.list();
        let folder = self.folder.as_deref();
        let into = folder.map(|folder| files_folder(folder, number));
        let saved = into
            .transpose()?
            .map(|into| over.save(&listing.changes, into));
        let committed = run.commits.then(|| over.apply(&listing.changes));
        Ok(Told {
            layer,
            listing,
            saved,
            committed,
        })
    }

    fn tell(&self, told: &[Told], code: u8) -> Result<(), Failure> {
        let mut text = told::left_out(told);
        if self.tells {
            text.insert_str(0, &told::changes(told));
        }
        let is_committed = told.iter().any(|told| told.committed.is_some());
        if self.commit.is_some() && !is_committed {
            text.push_str(&format!(
                "warren: nothing is committed: the command ended with {code}\n\
                 hint: --commit=always commits all the same\n"
            ));
        }
        crate::failure::print_error(&text)
    }

    fn write(&mut self, told: &[Told], code: u8) -> Result<(), Failure> {
        let document = json::document(told, code)?;
        if let Some(folder) = &self.folder {
            let path = folder.join("changes.json");
            fs::write(&path, &document).map_err(|error| cannot_write(&path, &error))?;
        }
        if let Some((file, path)) = &mut self.json {
            io::Write::write_all(file, document.as_bytes())
                .map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }
}

/// A run that has ended.
struct Run {
    /// The filesystem with its layers.
    layers: OwnedFd,
    /// The maps of its ids, where they are not the caller's.
    maps: Option<[Vec<IdMap>; 2]>,
    /// Whether its changes are made on the host.
    commits: bool,
}

impl Run {
    fn new(child: &mut Child, commits: bool) -> Result<Self, Failure> {
        let layers = child.take_layers().ok_or_else(|| {
            Failure::new("read the changes of the run: it has sent no layers")
        })?;
        Ok(Self {
            layers,
            maps: child.id_maps(),
            commits,
        })
    }

    /// Whose the files of a layer are outside of the run.
    fn owners(&self, is_root: bool, layer: &warren_spawn::Layer) -> Owners {
        match &self.maps {
            _ if !is_root => Owners::Caller,
            Some([uids, gids]) if layer.shifted => Owners::Inside {
                uids: uids.clone(),
                gids: gids.clone(),
            },
            _ => Owners::Same,
        }
    }

    fn open_upper(&self, number: u16) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = format!("{number}/upper");
        rustix::fs::openat(&self.layers, upper, flags, Mode::empty()).map_err(|errno| {
            let text = errno_text(errno);
            let failure = Failure::new(format!("open the changes of the run: {text}"));
            match errno {
                Errno::ACCESS => failure.hint(
                    "they belong to an id that is not yours: map 0 to yourself, or run as \
                     root",
                ),
                _ => failure,
            }
        })
    }
}

fn again(proc: &ProcRoot) -> Result<ProcRoot, Failure> {
    use std::os::fd::AsFd;
    let copy = proc.as_fd().try_clone_to_owned();
    let failed =
        |error: io::Error| Failure::new(format!("open /proc: {}", io_error_text(&error)));
    ProcRoot::from_fd(copy.map_err(failed)?).map_err(Failure::new)
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        // Looked at before the run.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// The new folder `DIR/NUMBER/files`.
fn files_folder(folder: &Path, number: usize) -> Result<OwnedFd, Failure> {
    let path = folder.join(number.to_string()).join("files");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::create_dir_all(&path)
        .and_then(|()| Ok(rustix::fs::open(&path, flags, Mode::empty())?))
        .map_err(|error| cannot_write(&path, &error))
}
