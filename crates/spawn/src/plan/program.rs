//! The program of a plan, in the form that execve(2) takes.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use warren_sys::CStringArray;

use crate::DEFAULT_PATH;
use crate::error::{Error, ErrorKind};
use crate::spec::Spec;
use crate::step::Program;

/// The program in the form of execve(2).
pub fn program(spec: &Spec) -> Result<Program, Error> {
    let strings = |words: &mut dyn Iterator<Item = OsString>| {
        let words: Result<Vec<_>, _> = words.map(|word| c_string(&word)).collect();
        words.map(CStringArray::new)
    };
    let name = spec.argv[0].clone();
    let environment = |folder: Option<&PathBuf>| {
        let told = |key: &OsString| folder.is_none() || key != "PWD";
        let own = folder.map(|path| ("PWD".into(), path.clone().into_os_string()));
        let all = spec.env.iter().filter(|(key, _)| told(key)).cloned();
        strings(&mut all.chain(own).map(|(key, value)| {
            [key.as_os_str(), OsStr::new("="), value.as_os_str()]
                .into_iter()
                .collect()
        }))
    };
    let environments = if spec.tell_cwd {
        let folders = spec.cwd.iter().chain(&spec.cwd_else);
        folders
            .map(|path| environment(Some(path)))
            .collect::<Result<_, _>>()?
    } else {
        vec![environment(None)?]
    };
    Ok(Program {
        file: spec.program.clone(),
        candidates: match &spec.program {
            Some(_) => Vec::new(),
            None => candidates(&name, &spec.env)?,
        },
        arguments: {
            let first = spec.arg0.as_ref().unwrap_or(&name);
            strings(&mut [first].into_iter().chain(&spec.argv[1..]).cloned())?
        },
        environments,
        name,
    })
}

/// The paths at which execvp(3) would look for `name`.
fn candidates(name: &OsStr, env: &[(OsString, OsString)]) -> Result<Vec<CString>, Error> {
    if name.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            "execute a program without a name",
        ));
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(name)?]);
    }
    let path = env.iter().rev().find(|(key, _)| key == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    std::env::split_paths(path)
        // An empty entry means the working directory to execvp(3), which nobody who
        // runs what they do not trust can mean.
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(|dir: PathBuf| c_string(dir.join(name).as_os_str()))
        .collect()
}

pub fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes())
        .map_err(|_| Error::spec(format!("'{}' has a NUL byte", text.display())))
}

/// A text of our own making, which has no NUL.
pub fn own_text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
