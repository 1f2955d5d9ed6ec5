//! What one file can have wrong beyond its single values.

use warren_confine::seccomp::policy;

use crate::error::Error;
use crate::profile::{Files, Profile, Syscalls};
use crate::text::{self, optional};

impl Profile {
    /// Whether the profile makes sense by itself: what reading one looks at, for one that
    /// was made otherwise.
    ///
    /// # Errors
    /// The first key that is wrong, and why.
    pub fn check(&self) -> Result<(), Error> {
        self.files.check()?;
        let of = |key: &str| {
            let key = key.to_owned();
            move |what| Error::new(what).key(key)
        };
        let process = &self.process;
        if let Some(workdir) = &process.workdir {
            text::check_path(workdir).map_err(of("process.workdir"))?;
            if optional(workdir).1 {
                return Err(of("process.workdir")("a ? has no meaning here".into()));
            }
        }
        for name in &process.pass {
            text::check_name(name).map_err(of("process.pass"))?;
        }
        for (name, value) in &process.set {
            text::check_name(name)
                .and_then(|()| text::check_value(value))
                .map_err(of("process.set"))?;
        }
        if self.include.iter().any(String::is_empty) {
            return Err(of("include")("a name is empty".into()));
        }
        let mut targets = self.network.connect.iter().flatten();
        if targets.any(|target| target.port == 0) {
            return Err(of("network.connect")("nobody can connect to port 0".into()));
        }
        self.syscalls.check()
    }
}

impl Files {
    /// The lists of paths, by name.
    pub(crate) fn lists(&self) -> [(&'static str, &Vec<String>); 4] {
        [
            ("files.tmpfs", &self.tmpfs),
            ("files.read", &self.read),
            ("files.overlay", &self.overlay),
            ("files.write", &self.write),
        ]
    }

    fn check(&self) -> Result<(), Error> {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (key, list) in self.lists() {
            for entry in list {
                text::check_path(entry).map_err(|what| Error::new(what).key(key))?;
                let path = optional(entry).0;
                if let Some((other, _)) = seen.iter().find(|(_, known)| *known == path) {
                    let what = match *other == key {
                        true => format!("'{path}' is in it twice"),
                        false => format!("'{path}' is in {other} too"),
                    };
                    return Err(Error::new(what)
                        .key(key)
                        .hint("each path can be in one list, once"));
                }
                seen.push((key, path));
            }
        }
        for pattern in &self.hide {
            text::check_pattern(pattern)
                .map_err(|what| Error::new(what).key("files.hide"))?;
        }
        Ok(())
    }
}

impl Syscalls {
    fn check(&self) -> Result<(), Error> {
        let wrong =
            |key: &str, what: String| Error::new(what).key(format!("syscalls.{key}"));
        let has_lists =
            self.default.is_some() || !self.allow.is_empty() || !self.deny.is_empty();
        let ways = [has_lists, self.policy.is_some(), self.file.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err(
                Error::new("it has more than one of lists, a policy and a file")
                    .key("syscalls")
                    .hint("a policy can say what lists say: docs/seccomp.md has the language"),
            );
        }
        for (key, list) in [("allow", &self.allow), ("deny", &self.deny)] {
            for name in list {
                check_call(name).map_err(|what| wrong(key, what))?;
            }
        }
        if let Some(action) = &self.default {
            check_line(&format!("default {action}"))
                .map_err(|what| wrong("default", what))?;
        }
        if let Some(text) = &self.policy {
            policy::parse(text).map_err(|error| wrong("policy", error.to_string()))?;
        }
        Ok(())
    }
}

pub(crate) fn check_call(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(format!("'{}' is no system call", name.escape_debug()));
    }
    // A `?name` that is not known would be a line without any.
    check_line(&format!("default allow\nallow read {name}"))
}

fn check_line(text: &str) -> Result<(), String> {
    match text.lines().count() > 2 || text.contains('#') {
        true => Err("it is one action".to_owned()),
        false => policy::parse(text).map(drop).map_err(|error| error.what),
    }
}
