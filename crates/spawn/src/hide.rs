//! What of the shown trees is hidden: patterns, and the files that they match.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType};
use warren_sys::Errno;

use crate::error::Error;
use crate::spec::{Access, Mount, Root, Spec, Tree};
use crate::system;

/// One pattern of [`Spec::hide`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// Whether it spares what it matches.
    spares: bool,
    /// Whether it is about paths inside the root, not in a tree that is shown.
    absolute: bool,
    /// Its components; `**` stands for any number of them.
    parts: Vec<Vec<u8>>,
}

impl Pattern {
    fn parse(word: &OsStr) -> Result<Self, Error> {
        let bytes = word.as_bytes();
        let (spares, bytes) = match bytes.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let absolute = bytes.starts_with(b"/");
        let parts = bytes.split(|byte| *byte == b'/');
        let mut parts: Vec<_> = parts
            .filter(|part| !matches!(*part, b"" | b"."))
            .map(<[u8]>::to_vec)
            .collect();
        let wrong =
            |why: &str| Err(Error::spec(format!("hide '{}': {why}", word.display())));
        if parts.is_empty() {
            return wrong("the pattern matches nothing but the root itself");
        }
        if parts.iter().any(|part| part == b"..") {
            return wrong("a pattern may not have '..'");
        }
        if bytes.contains(&0) {
            return wrong("a pattern may not have a NUL byte");
        }
        // As git has it: a name alone is one at any depth.
        if !absolute && !bytes.contains(&b'/') {
            parts.insert(0, b"**".to_vec());
        }
        Ok(Self {
            spares,
            absolute,
            parts,
        })
    }

    /// The path that it is, if it matches one alone.
    fn literal(&self) -> Option<PathBuf> {
        let plain = self.absolute && !self.parts.iter().any(|part| is_glob(part));
        plain.then(|| inside(&self.parts))
    }

    /// Whether something in `target` could match.
    fn reaches(&self, target: &Path) -> bool {
        let begin: Vec<_> = self
            .parts
            .iter()
            .take_while(|part| !is_glob(part))
            .collect();
        let begin = inside(&begin);
        !self.absolute || target.starts_with(&begin) || begin.starts_with(target)
    }

    fn matches(&self, path: &[&[u8]]) -> bool {
        match_parts(&self.parts, path)
    }

    /// Whether something below the folder `path` could match.
    fn goes_below(&self, path: &[&[u8]]) -> bool {
        let mut parts = self.parts.iter();
        for name in path {
            match parts.next() {
                None => return false,
                Some(part) if part == b"**" => return true,
                Some(part) if !match_name(part, name) => return false,
                Some(_) => {}
            }
        }
        parts.next().is_some()
    }
}

fn inside(parts: &[impl AsRef<[u8]>]) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(parts.iter().map(|part| OsStr::from_bytes(part.as_ref())));
    path
}

fn is_glob(part: &[u8]) -> bool {
    part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn match_parts(mut pattern: &[Vec<u8>], mut path: &[&[u8]]) -> bool {
    // What follows the last `**`, and how much of the path that stands for nothing yet.
    let mut stars = None;
    loop {
        match (pattern, path) {
            ([first, rest @ ..], _) if first == b"**" => {
                stars = Some((rest, path));
                pattern = rest;
            }
            ([first, rest @ ..], [name, more @ ..]) if match_name(first, name) => {
                (pattern, path) = (rest, more);
            }
            ([], []) => return true,
            _ => {
                let Some((rest, [_, more @ ..])) = stars else {
                    return false;
                };
                stars = Some((rest, more));
                (pattern, path) = (rest, more);
            }
        }
    }
}

/// glob(7) within one component. It goes back to the last star alone, so that a name made
/// for it takes no more than the product of both lengths.
fn match_name(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            star = Some((rest, name));
            pattern = rest;
        } else if let Some(rest) = match_byte(pattern, name) {
            (pattern, name) = (rest, &name[1..]);
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else {
            let Some((rest, [_, more @ ..])) = star else {
                return false;
            };
            star = Some((rest, more));
            (pattern, name) = (rest, more);
        }
    }
}

/// What is left of the pattern if its begin stands for the first byte of the name.
fn match_byte<'a>(pattern: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let byte = *name.first()?;
    let (first, rest) = pattern.split_first()?;
    match (first, rest) {
        (b'?', rest) => Some(rest),
        (b'[', class) => match take_class(class, byte) {
            Some((is_in, rest)) => is_in.then_some(rest),
            // It is never closed: a bracket like any other character.
            None => (byte == b'[').then_some(class),
        },
        (b'\\', [escaped, rest @ ..]) => (*escaped == byte).then_some(rest),
        (first, rest) => (*first == byte).then_some(rest),
    }
}

/// Whether `byte` is in the class that begins here, and what follows the class.
fn take_class(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, class) = match class.first()? {
        b'!' | b'^' => (true, &class[1..]),
        _ => (false, class),
    };
    // A bracket that comes first is a member.
    let end = 1 + class.get(1..)?.iter().position(|byte| *byte == b']')?;
    let (members, rest) = (&class[..end], &class[end + 1..]);
    let mut is_in = false;
    let mut left = members;
    while let Some((first, more)) = left.split_first() {
        left = more;
        if let [b'-', last, after @ ..] = more {
            is_in |= (*first..=*last).contains(&byte);
            left = after;
        } else {
            is_in |= *first == byte;
        }
    }
    Some((is_in != negated, rest))
}

/// A tree of the host that the process sees.
struct Seen {
    source: PathBuf,
    target: PathBuf,
    /// The mounts from this one on may cover parts of it.
    next: usize,
    /// One of the system's own folders, to which only absolute patterns apply.
    system: bool,
}

/// Everything that the patterns of a Spec hide, as paths inside the root.
pub fn hidden(spec: &Spec) -> Result<Vec<PathBuf>, Error> {
    let patterns = spec.hide.iter().map(|word| Pattern::parse(word));
    let patterns: Vec<Pattern> = patterns.collect::<Result<_, _>>()?;
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let mut search = Search {
        spec,
        patterns: &patterns,
        hidden: patterns
            .iter()
            .filter(|pattern| !pattern.spares)
            .filter_map(Pattern::literal)
            .collect(),
        inodes: HashSet::new(),
        linked: Vec::new(),
    };
    for seen in trees(spec) {
        search.tree(&seen)?;
    }
    Ok(search.finish())
}

struct Search<'a> {
    spec: &'a Spec,
    patterns: &'a [Pattern],
    hidden: Vec<PathBuf>,
    /// Hidden files that have other names.
    inodes: HashSet<(u64, u64)>,
    /// Files that have several names: the inode and one of them.
    linked: Vec<((u64, u64), PathBuf)>,
}

impl Search<'_> {
    fn tree(&mut self, seen: &Seen) -> Result<(), Error> {
        let relevant = |pattern: &&Pattern| {
            (pattern.absolute || !seen.system)
                && pattern.literal().is_none()
                && pattern.reaches(&seen.target)
        };
        if !self.patterns.iter().any(|pattern| relevant(&pattern)) {
            return Ok(());
        }
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = seen.source.join(&folder);
            let entries = match system::list(&path) {
                Ok(entries) => entries,
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                // Whoever owns it can open it to himself: all of it is hidden.
                Err(Errno::ACCESS) if folder.as_os_str().is_empty() => continue,
                Err(Errno::ACCESS) => {
                    self.hide(seen, &folder);
                    continue;
                }
                Err(errno) => {
                    let path = path.display();
                    return Err(Error::spec(format!("search {path} for what to hide"))
                        .errno(errno));
                }
            };
            for (path, kind) in entries {
                let name = path.file_name().unwrap_or_default();
                let inner = folder.join(name);
                if self.is_covered(seen, &inner) {
                    continue;
                }
                let matched = self.is_hidden(seen, &inner);
                if matched {
                    self.hide(seen, &inner);
                } else if kind == FileType::Directory && self.goes_below(seen, &inner) {
                    folders.push(inner.clone());
                }
                if kind == FileType::RegularFile {
                    self.note_links(&path, seen.target.join(&inner), matched);
                }
            }
        }
        Ok(())
    }

    /// The last pattern that matches decides.
    fn is_hidden(&self, seen: &Seen, inner: &Path) -> bool {
        let whole = seen.target.join(inner);
        let (relative, whole) = (names(inner), names(&whole));
        let matching =
            self.patterns
                .iter()
                .rfind(|pattern| match (pattern.absolute, seen.system) {
                    (true, _) => pattern.matches(&whole),
                    (false, false) => pattern.matches(&relative),
                    (false, true) => false,
                });
        matching.is_some_and(|pattern| !pattern.spares)
    }

    fn goes_below(&self, seen: &Seen, inner: &Path) -> bool {
        let whole = seen.target.join(inner);
        let (relative, whole) = (names(inner), names(&whole));
        self.patterns
            .iter()
            .any(|pattern| match (pattern.absolute, seen.system) {
                (true, _) => pattern.goes_below(&whole),
                (false, false) => pattern.goes_below(&relative),
                (false, true) => false,
            })
    }

    /// Whether a later mount shows something else there.
    fn is_covered(&self, seen: &Seen, inner: &Path) -> bool {
        let path = seen.target.join(inner);
        self.spec.mounts[seen.next..].iter().any(|mount| {
            let only_adds = matches!(
                mount,
                Mount::Folder { .. } | Mount::Mode { .. } | Mount::Forbid { .. }
            );
            !only_adds && path.starts_with(mount.target())
        })
    }

    fn hide(&mut self, seen: &Seen, inner: &Path) {
        self.hidden.push(seen.target.join(inner));
    }

    /// The contents of a hidden file must not be reached by another name of it.
    fn note_links(&mut self, path: &Path, target: PathBuf, matched: bool) {
        let Ok(stat) = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) else {
            return;
        };
        if stat.st_nlink < 2 {
            return;
        }
        let inode = (stat.st_dev, stat.st_ino);
        if matched {
            self.inodes.insert(inode);
        } else {
            self.linked.push((inode, target));
        }
    }

    fn finish(mut self) -> Vec<PathBuf> {
        let inodes = &self.inodes;
        let linked = self.linked.into_iter();
        let linked = linked.filter(|(inode, _)| inodes.contains(inode));
        self.hidden.extend(linked.map(|(_, target)| target));
        // What lies in a hidden folder is not there any more.
        self.hidden.sort();
        self.hidden
            .dedup_by(|path, before| path.starts_with(before));
        self.hidden
    }
}

/// The trees of the host that a Spec shows.
fn trees(spec: &Spec) -> Vec<Seen> {
    let mut trees = Vec::new();
    let whole = match &spec.root {
        Root::Tree { path, .. } | Root::Overlay { path } => Some(path),
        _ => None,
    };
    if let Some(path) = whole {
        trees.push(Seen {
            source: path.clone(),
            target: "/".into(),
            next: 0,
            system: false,
        });
    }
    for (number, mount) in spec.mounts.iter().enumerate() {
        let (sources, target): (Vec<PathBuf>, _) = match mount {
            Mount::Bind { source, target, .. } => (vec![path_of(source)], target),
            Mount::Overlay { lower, target, .. } => (lower.clone(), target),
            _ => continue,
        };
        for source in sources {
            let own = matches!(mount, Mount::Bind { access, .. } if *access == Access::ReadOnly);
            trees.push(Seen {
                system: own && source == *target && system::is_system_folder(&source),
                source,
                target: target.clone(),
                next: number + 1,
            });
        }
    }
    trees
}

fn names(path: &Path) -> Vec<&[u8]> {
    let names = path.iter().filter(|name| *name != "/");
    names.map(OsStr::as_bytes).collect()
}

fn path_of(tree: &Tree) -> PathBuf {
    match tree {
        Tree::Path(path) => path.clone(),
        Tree::Open(open) => format!("/proc/self/fd/{}/.", open.fd).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::parse(pattern.as_ref()).expect("a good pattern");
        let parts: Vec<&[u8]> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::as_bytes)
            .collect();
        pattern.matches(&parts)
    }

    #[test]
    fn a_name_alone_is_one_at_any_depth() {
        for path in [".env", "a/.env", "a/b/.env"] {
            assert!(matches(".env", path), "{path}");
            assert!(matches("**/.env", path), "{path}");
        }
        assert!(!matches(".env", ".envrc"));
        assert!(!matches(".env", ".env/x"));
    }

    #[test]
    fn a_slash_ties_a_pattern_to_the_tree() {
        assert!(matches("keys/*.pem", "keys/a.pem"));
        assert!(!matches("keys/*.pem", "a/keys/a.pem"));
        assert!(!matches("keys/*.pem", "keys/a/b.pem"));
        assert!(matches("keys/**", "keys/a/b.pem"));
        assert!(matches("a/**/z", "a/z") && matches("a/**/z", "a/b/c/z"));
        assert!(matches("/srv/secret", "srv/secret"));
    }

    #[test]
    fn only_folders_that_can_lead_to_a_match_are_searched() {
        let below = |pattern: &str, path: &str| {
            let pattern = Pattern::parse(pattern.as_ref()).expect("a good pattern");
            pattern.goes_below(&names(path.as_ref()))
        };
        assert!(below("/usr/share/d*", "/usr") && below("/usr/share/d*", "/usr/share"));
        assert!(!below("/usr/share/d*", "/usr/lib"));
        assert!(!below("/usr/share/d*", "/usr/share/doc"));
        assert!(below(".env", "a/b") && below("a/**/b", "a/x/y"));
        assert!(!below("keys/*.pem", "keys/a") && !below("keys/*.pem", "other"));
    }

    #[test]
    fn a_component_is_matched_as_glob_does() {
        for (pattern, name, is) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            let found = match_name(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, is, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_could_match_nothing_is_refused() {
        for (word, why) in [
            (
                "",
                "hide '': the pattern matches nothing but the root itself",
            ),
            (
                "/",
                "hide '/': the pattern matches nothing but the root itself",
            ),
            ("a/../b", "hide 'a/../b': a pattern may not have '..'"),
        ] {
            let error = Pattern::parse(word.as_ref()).expect_err(word);
            assert_eq!(error.to_string(), why);
        }
    }

    #[test]
    fn a_long_pattern_of_stars_does_not_take_for_ever() {
        let pattern = "*a".repeat(100) + "b";
        assert!(!match_name(pattern.as_bytes(), "a".repeat(255).as_bytes()));
    }
}
