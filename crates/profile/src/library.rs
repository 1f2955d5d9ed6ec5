//! Where profiles are, and what they include.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use warren_namespaces::io_error_text;

use crate::error::Error;
use crate::file::{self, Identity};
use crate::profile::Profile;
use crate::shipped;

/// How many files may include each other in a row.
const MAX_DEPTH: usize = 8;

/// How many files one profile may consist of.
const MAX_FILES: usize = 64;

/// Where profiles are found by name: in these folders, then among the shipped ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    /// The first that has a name counts.
    pub folders: Vec<PathBuf>,
}

/// Where a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of this library.
    Shipped(&'static str),
    /// It is this file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A profile with everything that it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All of them as one; it includes nothing any more.
    pub profile: Profile,
    /// The files that it was made of, the included before the including.
    pub origins: Vec<Origin>,
}

/// A profile that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
    /// Whether one before it has the same name, and so is what the name stands for.
    pub is_hidden: bool,
}

impl Library {
    /// Every profile that has a name: by name, the one that counts first.
    ///
    /// # Errors
    /// Where a folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for folder in &self.folders {
            for name in names_in(folder)? {
                let origin = Origin::File(file_of(folder, &name));
                entries.push((name, origin));
            }
        }
        let shipped = shipped::PROFILES
            .iter()
            .map(|(name, _)| ((*name).to_owned(), Origin::Shipped(name)));
        entries.extend(shipped);
        // Stable: of one name the first of the folders stays the first.
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut last = None;
        let entries = entries.into_iter().map(|(name, origin)| {
            let is_hidden = last.replace(name.clone()).as_ref() == Some(&name);
            Entry {
                name,
                origin,
                is_hidden,
            }
        });
        Ok(entries.collect())
    }

    /// The file of an entry alone, without what it includes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, entry: &Entry) -> Result<Profile, Error> {
        let text = match &entry.origin {
            Origin::Shipped(name) => shipped::text(name).map(Cow::Borrowed),
            Origin::File(path) => file::read(path)?.map(|(text, _)| Cow::Owned(text)),
        };
        let gone = || Error::new("No such file or directory");
        let parsed = text.ok_or_else(gone).and_then(|text| text.parse());
        parsed.map_err(|error| error.file(&entry.origin))
    }

    /// The profile of a name, or of a path with a slash in it.
    ///
    /// # Errors
    /// What is wrong with it or with one that it includes.
    pub fn load(&self, word: &str) -> Result<Loaded, Error> {
        let mut loading = Loading {
            library: self,
            above: Vec::new(),
            origins: Vec::new(),
            count: 0,
        };
        let profile = loading.load(&Wanted {
            word,
            folder: Path::new(""),
            from: 0,
        })?;
        Ok(Loaded {
            profile,
            origins: loading.origins,
        })
    }

    /// Finds `name`, from a level on: the folders by number, then the shipped ones.
    fn find(&self, name: &str, from: usize) -> Result<Option<Found>, Error> {
        for (level, folder) in self.folders.iter().enumerate().skip(from) {
            let path = file_of(folder, name);
            if let Some((text, identity)) = file::read(&path)? {
                return Ok(Some(Found {
                    text: text.into(),
                    level: Some(level),
                    identity: Some(identity),
                    origin: Origin::File(path),
                }));
            }
        }
        let level = self.folders.len();
        let mut shipped = shipped::PROFILES.iter().filter(|_| from <= level);
        let found = shipped.find(|(known, _)| *known == name);
        Ok(found.map(|(name, text)| Found {
            text: Cow::Borrowed(*text),
            level: Some(level),
            identity: None,
            origin: Origin::Shipped(name),
        }))
    }

    fn unknown(&self, name: &str) -> Error {
        let error = Error::new("there is no profile of this name").file(name);
        if name.ends_with(".toml") {
            return error.hint(format!("a file is named with a slash: ./{name}"));
        }
        let mut known: Vec<String> = match self.list() {
            Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
            Err(_) => Vec::new(),
        };
        known.dedup();
        error.hint(format!("there are {}", known.join(" ")))
    }
}

/// What is to be read next.
struct Wanted<'a> {
    /// A name or a path.
    word: &'a str,
    /// What a path is relative to.
    folder: &'a Path,
    /// The first level at which a name is looked for.
    from: usize,
}

/// A profile's text.
struct Found {
    text: Cow<'static, str>,
    /// Where its name was found; `None` for a path.
    level: Option<usize>,
    /// Which file it is; `None` for a shipped one.
    identity: Option<Identity>,
    origin: Origin,
}

struct Loading<'a> {
    library: &'a Library,
    /// The files that include the one that is read.
    above: Vec<(Origin, Option<Identity>)>,
    origins: Vec<Origin>,
    /// How many were read, the same file each time it was.
    count: usize,
}

impl Loading<'_> {
    fn load(&mut self, wanted: &Wanted<'_>) -> Result<Profile, Error> {
        let found = self.find(wanted)?;
        self.count += 1;
        self.check_bounds(&found)?;
        let Found {
            text,
            level,
            identity,
            origin,
        } = found;
        let in_file = |error: Error| match error.file.is_empty() {
            true => error.file(&origin),
            false => error,
        };
        let mut own: Profile = text.parse().map_err(in_file)?;
        let folder = match &origin {
            Origin::Shipped(_) => None,
            Origin::File(path) => path.parent().map(Path::to_owned),
        };
        read_policy(&mut own, folder.as_deref()).map_err(in_file)?;
        self.above.push((origin.clone(), identity));
        let mut lower: Option<Profile> = None;
        for word in std::mem::take(&mut own.include) {
            // A name within the profile of that name is the next one's.
            let is_own_name = wanted.word == word && !word.contains('/');
            let from = match level {
                Some(level) if is_own_name => level + 1,
                _ => 0,
            };
            let included = self.load(&Wanted {
                word: &word,
                folder: folder.as_deref().unwrap_or(Path::new("/")),
                from,
            })?;
            lower = Some(match lower {
                Some(lower) => included.over(lower),
                None => included,
            });
        }
        self.above.pop();
        if !self.origins.contains(&origin) {
            self.origins.push(origin);
        }
        Ok(match lower {
            Some(lower) => own.over(lower),
            None => own,
        })
    }

    fn find(&self, wanted: &Wanted<'_>) -> Result<Found, Error> {
        let Wanted { word, folder, from } = *wanted;
        if !word.contains('/') {
            check_name(word)?;
            let found = self.library.find(word, from)?;
            return found.ok_or_else(|| self.at_include(self.library.unknown(word)));
        }
        let path = folder.join(word);
        let absent = || {
            let error = Error::new("No such file or directory").file(path.display());
            self.at_include(error)
        };
        let (text, identity) = file::read(&path)?.ok_or_else(absent)?;
        Ok(Found {
            text: text.into(),
            level: None,
            identity: Some(identity),
            origin: Origin::File(path),
        })
    }

    /// Says who includes it.
    fn at_include(&self, error: Error) -> Error {
        match self.above.last() {
            Some((origin, _)) => error.hint(format!("{origin} includes it")),
            None => error,
        }
    }

    fn check_bounds(&self, found: &Found) -> Result<(), Error> {
        let is_same = |(origin, identity): &&(Origin, Option<Identity>)| {
            *origin == found.origin || (identity.is_some() && *identity == found.identity)
        };
        if self.above.iter().any(|above| is_same(&above)) {
            let chain = self.above.iter().map(|(origin, _)| origin.to_string());
            let chain: Vec<String> = chain.chain([found.origin.to_string()]).collect();
            let what = format!("it includes itself: {}", chain.join(" -> "));
            return Err(Error::new(what).file(&found.origin));
        }
        if self.above.len() >= MAX_DEPTH {
            let what =
                format!("more than {MAX_DEPTH} profiles include each other in a row");
            return Err(Error::new(what).file(&found.origin));
        }
        if self.count > MAX_FILES {
            let what = format!("more than {MAX_FILES} files are included");
            return Err(Error::new(what).file(&found.origin));
        }
        Ok(())
    }
}

/// Puts the text of `syscalls.file` in its place.
fn read_policy(profile: &mut Profile, folder: Option<&Path>) -> Result<(), Error> {
    let Some(name) = profile.syscalls.file.take() else {
        return Ok(());
    };
    let wrong = |what: String| Error::new(what).key("syscalls.file");
    let path = folder.unwrap_or(Path::new("/")).join(&name);
    let text = match file::read(&path) {
        Ok(Some((text, _))) => text,
        Ok(None) => {
            return Err(wrong(format!(
                "{}: No such file or directory",
                path.display()
            )));
        }
        Err(error) => return Err(wrong(format!("{}: {}", path.display(), error.what))),
    };
    if text.trim_start().starts_with('{') {
        return Err(wrong(format!("{} is JSON, not a policy", path.display()))
            .hint("`warren run --seccomp FILE` takes the JSON of container runtimes"));
    }
    profile.syscalls.policy = Some(text);
    let checked = profile.check();
    checked.map_err(|error| wrong(format!("{}: {}", path.display(), error.what)))
}

/// Names are file names, and plain ones.
fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match name.chars().all(is_plain) && !name.starts_with('.') && !name.is_empty() {
        true => Ok(()),
        false => Err(Error::new("a name has letters, digits and . _ - in it")
            .file(name.escape_debug())
            .hint("a file is named with a slash: ./NAME.toml")),
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.toml"))
}

/// The names of the profiles in a folder that may not be there.
fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |error: &io::Error| {
        Error::new(io_error_text(error)).file(format!("folder {}", folder.display()))
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| unreadable(&error))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".toml"));
        names.extend(
            name.filter(|name| check_name(name).is_ok())
                .map(str::to_owned),
        );
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
