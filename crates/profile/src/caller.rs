//! What a profile's texts stand for with one caller.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::text;

/// Who calls: folders that paths of a profile begin with, and the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    folders: BTreeMap<&'static str, PathBuf>,
    environment: Vec<(OsString, OsString)>,
}

/// Folders that are elsewhere if a variable says so: the variable, what they are
/// relative to otherwise, and where they are there.
const DEFAULTS: [(&str, &str, &str); 11] = [
    ("XDG_CACHE_HOME", "HOME", ".cache"),
    ("XDG_CONFIG_HOME", "HOME", ".config"),
    ("XDG_DATA_HOME", "HOME", ".local/share"),
    ("CARGO_HOME", "HOME", ".cargo"),
    ("RUSTUP_HOME", "HOME", ".rustup"),
    ("GOPATH", "HOME", "go"),
    ("NPM_CONFIG_CACHE", "HOME", ".npm"),
    ("CCACHE_DIR", "XDG_CACHE_HOME", "ccache"),
    ("GOCACHE", "XDG_CACHE_HOME", "go-build"),
    ("PIP_CACHE_DIR", "XDG_CACHE_HOME", "pip"),
    ("XDG_RUNTIME_DIR", "", ""),
];

impl Caller {
    /// A caller in the folder `project`, with `home` and this environment.
    ///
    /// A variable that is no absolute path is as if not set, as the XDG specification
    /// has it; so is a home that is `/`.
    #[must_use]
    pub fn new(
        project: PathBuf,
        home: Option<PathBuf>,
        environment: Vec<(OsString, OsString)>,
    ) -> Self {
        let mut folders = BTreeMap::from([("PROJECT", project)]);
        let home = home.filter(|home| home.is_absolute() && home != Path::new("/"));
        folders.extend(home.map(|home| ("HOME", home)));
        let mut caller = Self {
            folders,
            environment,
        };
        for (name, base, below) in DEFAULTS {
            let own = caller.variable(name).map(PathBuf::from);
            let own = own.filter(|path| path.is_absolute());
            let usual = || Some(caller.folders.get(base)?.join(below));
            if let Some(folder) = own.or_else(usual) {
                caller.folders.insert(name, folder);
            }
        }
        caller
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        let mut all = self.environment.iter();
        all.find_map(|(known, value)| (known == name).then_some(value.as_os_str()))
    }

    /// The variables whose names `pattern` stands for.
    pub(crate) fn passed<'a>(
        &'a self,
        pattern: &'a str,
    ) -> impl Iterator<Item = &'a (OsString, OsString)> {
        let matches = move |name: &OsStr| match pattern.strip_suffix('*') {
            Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
            None => name == pattern,
        };
        self.environment
            .iter()
            .filter(move |(name, _)| matches(name))
    }

    /// A text with its variables replaced, for the key that it is of.
    pub(crate) fn expand(&self, text: &str, key: &str) -> Result<OsString, Error> {
        self.expand_with(text, key, |value| value.to_owned())
    }

    /// A pattern with its variables replaced: a folder whose name looks like one stands
    /// for itself.
    pub(crate) fn expand_pattern(
        &self,
        text: &str,
        key: &str,
    ) -> Result<OsString, Error> {
        let (mark, text) = match text.strip_prefix('!') {
            Some(rest) => ("!", rest),
            None => ("", text),
        };
        let plain = self.expand(text, key)?;
        // In a path without any wildcard a backslash is a character like others.
        let expanded = match plain.as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            true => self.expand_with(text, key, escaped)?,
            false => plain,
        };
        let mut pattern = OsString::from(mark);
        pattern.push(expanded);
        Ok(pattern)
    }

    fn expand_with(
        &self,
        text: &str,
        key: &str,
        written: fn(&OsStr) -> OsString,
    ) -> Result<OsString, Error> {
        let value = |name: &str| Some(written(self.folders.get(name)?.as_os_str()));
        text::expand(text, &value).map_err(|what| {
            Error::new(what)
                .key(key)
                .hint("~ and its folders need HOME to be set, and not to /")
        })
    }
}

/// A name as a pattern that matches it alone.
fn escaped(name: &OsStr) -> OsString {
    let mut pattern = Vec::with_capacity(name.len());
    for byte in name.as_bytes() {
        if b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    OsString::from_vec(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(environment: &[(&str, &str)]) -> Caller {
        let environment = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Caller::new("/p".into(), Some("/h".into()), environment)
    }

    #[test]
    fn folders_are_where_the_environment_says_or_where_they_usually_are() {
        let usual = caller(&[("CARGO_HOME", "relative")]);
        let expand = |caller: &Caller, text| caller.expand(text, "k").expect(text);
        assert_eq!(expand(&usual, "~/x$PROJECT"), "/h/x/p");
        assert_eq!(expand(&usual, "$CARGO_HOME/bin"), "/h/.cargo/bin");
        assert_eq!(expand(&usual, "$CCACHE_DIR"), "/h/.cache/ccache");
        let own = caller(&[("XDG_CACHE_HOME", "/c"), ("CARGO_HOME", "/opt/cargo")]);
        assert_eq!(expand(&own, "$CARGO_HOME/bin"), "/opt/cargo/bin");
        assert_eq!(expand(&own, "$PIP_CACHE_DIR"), "/c/pip");
        assert_eq!(expand(&own, "a$$HOME"), "a$HOME");
    }

    #[test]
    fn a_folder_that_nobody_knows_is_an_error() {
        let nobody = Caller::new("/p".into(), Some("/".into()), Vec::new());
        for text in ["~", "$HOME", "$CARGO_HOME/x", "$XDG_RUNTIME_DIR"] {
            let error = nobody.expand(text, "files.read").expect_err(text);
            assert!(error.what.contains("has no value here"), "{error}");
        }
    }

    #[test]
    fn every_variable_has_a_value_with_everything_set() {
        let caller = caller(&[("XDG_RUNTIME_DIR", "/run/user/1")]);
        for name in text::VARIABLES {
            caller.expand(&format!("${name}"), "k").expect(name);
        }
    }

    #[test]
    fn in_a_pattern_a_folder_stands_for_itself() {
        let pattern = |project: &str, text: &str| {
            let caller = Caller::new(project.into(), None, Vec::new());
            caller.expand_pattern(text, "files.hide").expect(text)
        };
        assert_eq!(pattern("/p", "!$PROJECT/**/.env"), "!/p/**/.env");
        assert_eq!(pattern(r"/[a]\b", "$PROJECT/*"), r"/\[a]\\b/*");
        assert_eq!(pattern(r"/a\b", "$PROJECT/.env"), r"/a\b/.env");
        assert_eq!(pattern("/p", "**/x$$"), "**/x$");
    }

    #[test]
    fn a_star_passes_all_variables_of_a_prefix() {
        let caller = caller(&[("LC_ALL", "C"), ("LC_TIME", "C"), ("LCX", "")]);
        let names = |pattern| caller.passed(pattern).count();
        assert_eq!((names("LC_*"), names("LC_ALL"), names("NO")), (2, 1, 0));
    }
}
