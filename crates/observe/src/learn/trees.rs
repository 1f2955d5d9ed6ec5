//! Which folders belong together, and which must not be given as a whole.

use std::path::{Path, PathBuf};

/// Folders below the home that a program takes as one: what is used of them differs from
/// run to run. `*` is any name.
const OF_HOME: [&str; 20] = [
    ".bun/install",
    ".cache/bazel",
    ".cache/ccache",
    ".cache/go-build",
    ".cache/pip",
    ".cache/uv",
    ".cache/yarn",
    ".cargo/git",
    ".cargo/registry",
    ".gem",
    ".gradle",
    ".local/lib/*",
    ".local/share/pnpm",
    ".m2/repository",
    ".npm",
    ".nvm/versions/node/*",
    ".pyenv/versions/*",
    ".rustup/toolchains/*",
    ".virtualenvs/*",
    "go/pkg/mod",
];

/// Folders of these names, wherever they are.
const BY_NAME: [&str; 8] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    "dist-packages",
    "node_modules",
    "site-packages",
];

/// Folders of the home that hold what several programs have to themselves, or secrets:
/// using some of it gives nothing of the rest.
const KEPT_APART: [&str; 15] = [
    ".aws",
    ".azure",
    ".cache",
    ".cargo",
    ".config",
    ".config/gcloud",
    ".docker",
    ".gnupg",
    ".kube",
    ".local",
    ".local/share",
    ".local/state",
    ".mozilla",
    ".password-store",
    ".ssh",
];

/// The folder that is taken as one and has `path` in it, if there is one.
pub fn whole(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let of_home = home.and_then(|home| {
        let rest = path.strip_prefix(home).ok()?;
        let tree = OF_HOME.iter().find_map(|tree| prefix(rest, tree))?;
        Some(home.join(tree))
    });
    of_home.or_else(|| {
        let mut ancestors: Vec<_> = path.ancestors().collect();
        // The outermost of several.
        ancestors.reverse();
        let named = ancestors.into_iter().find(|folder| {
            let name = folder.file_name().unwrap_or_default();
            BY_NAME.iter().any(|one| name == *one)
        });
        named.map(Path::to_owned)
    })
}

/// As much of `path` as the pattern stands for, if it begins so.
fn prefix(path: &Path, pattern: &str) -> Option<PathBuf> {
    let mut names = path.components();
    let mut found = PathBuf::new();
    for part in pattern.split('/') {
        let name = names.next()?.as_os_str();
        if part != "*" && name != part {
            return None;
        }
        found.push(name);
    }
    Some(found)
}

/// Whether a folder is too much to be given because of some of it: the root, what is
/// directly in it, the home and what is above it, and what is kept apart there.
pub fn is_too_wide(folder: &Path, home: Option<&Path>) -> bool {
    let in_root = folder.components().count() <= 2;
    let above_home = home.is_some_and(|home| home.starts_with(folder));
    let apart = home.is_some_and(|home| {
        let rest = folder.strip_prefix(home);
        rest.is_ok_and(|rest| KEPT_APART.iter().any(|one| rest == Path::new(one)))
    });
    // Another user's home.
    let is_home = folder.parent() == Some(Path::new("/home"));
    in_root || above_home || apart || is_home
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_one() {
        let home = Some(Path::new("/home/u"));
        let whole = |path: &str| {
            whole(Path::new(path), home).map(|tree| tree.display().to_string())
        };
        let registry = "/home/u/.cargo/registry";
        assert_eq!(
            whole("/home/u/.cargo/registry/src/a/b.rs").as_deref(),
            Some(registry)
        );
        assert_eq!(
            whole("/home/u/.rustup/toolchains/x/lib/a").as_deref(),
            Some("/home/u/.rustup/toolchains/x")
        );
        assert_eq!(whole("/home/u/.cargo/config.toml"), None);
        let nested = "/srv/p/node_modules/a/node_modules/b";
        assert_eq!(whole(nested).as_deref(), Some("/srv/p/node_modules"));
        assert_eq!(whole("/srv/p/src/a"), None);
    }

    #[test]
    fn the_home_and_all_above_it_are_too_wide() {
        let home = Some(Path::new("/data/homes/u"));
        for folder in [
            "/",
            "/srv",
            "/data",
            "/data/homes",
            "/data/homes/u",
            "/data/homes/u/.ssh",
            "/home/other",
        ] {
            assert!(is_too_wide(Path::new(folder), home), "{folder}");
        }
        for folder in ["/data/homes/u/project", "/srv/p", "/data/homes/u/.config/x"] {
            assert!(!is_too_wide(Path::new(folder), home), "{folder}");
        }
    }
}
