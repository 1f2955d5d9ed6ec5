//! From the process that has changed to its program, as execvp(3) does it.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use warren_sys::{CStringArray, Errno};

use super::spec::Transition;

/// Where execvp(3) of glibc looks without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Executes the program; returns only if that failed.
pub fn execute(wanted: &Transition, environment: Vec<OsString>) -> Errno {
    let candidates = candidates(&wanted.argv[0], &environment);
    let called = wanted.called.as_ref().unwrap_or(&wanted.argv[0]);
    let arguments = std::iter::once(called).chain(&wanted.argv[1..]).cloned();
    let arguments = match strings(arguments) {
        Ok(arguments) => arguments,
        Err(errno) => return errno,
    };
    let environment = match strings(environment.into_iter()) {
        Ok(environment) => CStringArray::new(environment),
        Err(errno) => return errno,
    };
    let given = CStringArray::new(arguments.clone());
    let mut denied = false;
    let mut last = Errno::NOENT;
    for path in candidates {
        last = match warren_sys::execve(&path, &given, &environment) {
            Errno::NOEXEC => execute_by_shell(path, &arguments, &environment),
            errno => errno,
        };
        match last {
            Errno::ACCESS => denied = true,
            Errno::NOENT
            | Errno::STALE
            | Errno::NOTDIR
            | Errno::NODEV
            | Errno::TIMEDOUT => {}
            errno => return errno,
        }
    }
    if denied { Errno::ACCESS } else { last }
}

/// What is no program is taken for a script of the shell.
fn execute_by_shell(
    path: CString,
    arguments: &[CString],
    environment: &CStringArray,
) -> Errno {
    const SHELL: &std::ffi::CStr = c"/bin/sh";
    let rest = arguments.iter().skip(1).cloned();
    let arguments = [SHELL.to_owned(), path].into_iter().chain(rest).collect();
    warren_sys::execve(SHELL, &CStringArray::new(arguments), environment)
}

fn strings(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>, Errno> {
    words
        .map(|word| CString::new(word.into_vec()).map_err(|_| Errno::INVAL))
        .collect()
}

/// The paths to try. An empty entry of `PATH` means the working directory.
fn candidates(name: &OsStr, environment: &[OsString]) -> Vec<CString> {
    let name = name.as_bytes();
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let path = environment
        .iter()
        .find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="));
    let folders = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    folders
        .filter_map(|folder| {
            let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
            CString::new([folder, slash, name].concat()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str, environment: &[&str]) -> Vec<String> {
        let environment: Vec<OsString> = environment
            .iter()
            .map(|text| OsString::from(*text))
            .collect();
        let paths = candidates(name.as_ref(), &environment);
        paths
            .into_iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_name_is_looked_for_where_execvp_looks() {
        assert_eq!(tried("a", &["PATH=/x:/y"]), ["/x/a", "/y/a"]);
        assert_eq!(tried("a", &["PATH=:/y"]), ["a", "/y/a"]);
        assert_eq!(tried("a", &["X=1"]), ["/bin/a", "/usr/bin/a"]);
        assert_eq!(tried("./a", &["PATH=/x"]), ["./a"]);
        assert_eq!(tried("", &["PATH=/x"]), Vec::<String>::new());
    }
}
