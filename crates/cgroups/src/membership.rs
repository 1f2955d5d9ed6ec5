//! The lines of /proc/PID/cgroup: where a process is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use warren_namespaces::ProcRoot;

use crate::Error;

/// The cgroup of a process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// v1: the controllers, or `name=systemd`; empty for v2.
    pub controllers: Vec<String>,
    /// From the root of the caller's cgroup namespace; starts with `/..` where the
    /// cgroup is outside of that.
    pub path: PathBuf,
}

/// The cgroups of the process `pid`, one for each hierarchy that the kernel has, be
/// it mounted or not.
///
/// # Errors
/// `ENOENT` or `ESRCH` where there is no such process.
pub fn of_process(proc: &ProcRoot, pid: u32) -> Result<Vec<Membership>, Error> {
    Ok(parse(&proc.read(&format!("{pid}/cgroup"))?))
}

/// Reads the text of a /proc/PID/cgroup; what is no line of one is passed over.
fn parse(text: &[u8]) -> Vec<Membership> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// `ID:CONTROLLER[,CONTROLLER...]:PATH`. Only the first two colons divide: the name
/// of a cgroup may have more.
fn parse_line(line: &[u8]) -> Option<Membership> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let _hierarchy = fields.next()?;
    let controllers = str::from_utf8(fields.next()?).ok()?;
    let path = fields.next()?;
    // The kernel says so behind the path when the cgroup has been removed.
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    path.starts_with(b"/").then(|| Membership {
        controllers: controllers
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        path: OsStr::from_bytes(path).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_path_may_have_colons() {
        let line = b"0::/user.slice/dbus-:1.2-org.example@0.service";
        let membership = parse_line(line).expect("a good line");
        assert_eq!(membership.controllers, Vec::<String>::new());
        assert_eq!(
            membership.path,
            Path::new("/user.slice/dbus-:1.2-org.example@0.service")
        );
    }

    #[test]
    fn v1_lines_name_their_controllers() {
        let found = parse(b"9:name=systemd:/a\n2:cpu,cpuacct:/b c (deleted)\n0::/\n");
        let controllers: Vec<String> = found
            .iter()
            .map(|membership| membership.controllers.join("+"))
            .collect();
        assert_eq!(controllers, ["name=systemd", "cpu+cpuacct", ""]);
        assert_eq!(found[1].path, Path::new("/b c"));
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for line in ["", "0", "0:", "0::", "0::x", "no colons"] {
            assert_eq!(parse(line.as_bytes()), [], "{line:?}");
        }
    }

    #[test]
    fn the_caller_is_in_a_cgroup() {
        let proc = ProcRoot::open().expect("/proc");
        let own = of_process(&proc, std::process::id()).expect("own cgroups");
        assert!(!own.is_empty());
    }
}
