//! What bwrap tells on `--info-fd` and `--json-status-fd`.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use warren_namespaces::{Kind, NamespaceSet, io_error_text};
use warren_spawn::Error;

use super::descriptors::Descriptors;
use super::options::Options;
use super::words;
use crate::failure::Failure;

/// Where it is told.
#[derive(Debug, Default)]
pub struct Status {
    info: Option<File>,
    json: Option<File>,
    /// Whether the process that is told of is a child of the one that was made.
    of_its_child: bool,
}

impl Status {
    pub fn new(
        options: &Options,
        descriptors: &mut Descriptors,
    ) -> Result<Self, Failure> {
        let mut open = |fd: Option<i32>| {
            let file = fd.map(|fd| descriptors.keep(fd).map(File::from));
            file.transpose()
                .map_err(|errno| words::with_errno("Write to info_fd", errno))
        };
        let of_its_child = options.pidns.is_some() && options.unshare.contains(Kind::Pid);
        // A descriptor can be named for both.
        if options.info_fd.is_some() && options.info_fd == options.json_status_fd {
            let info = open(options.info_fd)?;
            let json = info.as_ref().map(File::try_clone).transpose();
            let json = json.map_err(|error| Failure::new(io_error_text(&error)))?;
            return Ok(Self {
                info,
                json,
                of_its_child,
            });
        }
        Ok(Self {
            info: open(options.info_fd)?,
            json: open(options.json_status_fd)?,
            of_its_child,
        })
    }

    /// The descriptors, which are nobody else's business.
    pub fn numbers(&self) -> Vec<i32> {
        let files = [&self.info, &self.json];
        files
            .into_iter()
            .flatten()
            .map(AsRawFd::as_raw_fd)
            .collect()
    }

    /// Whether what is told must be looked up before the process goes on, and may end. A
    /// process that is its child is there only then.
    pub fn wants_to_tell_first(&self) -> bool {
        (self.info.is_some() || self.json.is_some()) && !self.of_its_child
    }

    /// Tells that the process `pid` is there, in these new namespaces.
    pub fn announce(&mut self, pid: u32, new: NamespaceSet) -> Result<(), Error> {
        if self.info.is_none() && self.json.is_none() {
            return Ok(());
        }
        let pid = if self.of_its_child {
            child_of(pid).unwrap_or(pid)
        } else {
            pid
        };
        let ids = namespaces(pid, new);
        // Closed at once: the end is what readers wait for.
        let info = self.info.take();
        let told = info.map_or(Ok(()), |mut file| {
            file.write_all(info_text(pid, &ids).as_bytes())
        });
        let json = self.json.as_mut();
        let told = told.and_then(|()| {
            json.map_or(Ok(()), |file| {
                file.write_all(json_text(pid, &ids).as_bytes())
            })
        });
        told.map_err(|error| {
            Error::of_caller(format!("Write to info_fd: {}", io_error_text(&error)))
        })
    }

    /// Tells how the command ended.
    pub fn ended(&mut self, code: u8) {
        if let Some(mut file) = self.json.take() {
            // The reader may have gone.
            let _ = file.write_all(exit_text(code).as_bytes());
        }
    }
}

/// The child that the process `pid` is about to have.
fn child_of(pid: u32) -> Option<u32> {
    const TRIES: u32 = 2000;
    let file = format!("/proc/{pid}/task/{pid}/children");
    for _ in 0..TRIES {
        // Gone, or a kernel without CONFIG_PROC_CHILDREN.
        let text = std::fs::read_to_string(&file).ok()?;
        if let Some(child) = text.split_ascii_whitespace().next() {
            return child.parse().ok();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}

/// The names and numbers of namespaces, in the order of their names. The user namespace is
/// not among them.
fn namespaces(pid: u32, new: NamespaceSet) -> Vec<(&'static str, u64)> {
    let kinds = [
        (Kind::Cgroup, "cgroup"),
        (Kind::Ipc, "ipc"),
        (Kind::Mnt, "mnt"),
        (Kind::Net, "net"),
        (Kind::Pid, "pid"),
        (Kind::Uts, "uts"),
    ];
    let new = kinds.into_iter().filter(|(kind, _)| new.contains(*kind));
    new.filter_map(|(_, name)| {
        let file = std::fs::metadata(format!("/proc/{pid}/ns/{name}"));
        Some((name, file.ok()?.ino()))
    })
    .collect()
}

fn info_text(pid: u32, ids: &[(&str, u64)]) -> String {
    let ids = ids
        .iter()
        .map(|(name, id)| format!(",\n    \"{name}-namespace\": {id}"));
    format!(
        "{{\n    \"child-pid\": {pid}{}\n}}\n",
        ids.collect::<String>()
    )
}

fn json_text(pid: u32, ids: &[(&str, u64)]) -> String {
    let ids = ids
        .iter()
        .map(|(name, id)| format!(", \"{name}-namespace\": {id}"));
    format!("{{ \"child-pid\": {pid}{} }}\n", ids.collect::<String>())
}

fn exit_text(code: u8) -> String {
    format!("{{ \"exit-code\": {code} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &[(&str, u64)] = &[("mnt", 4026532185), ("pid", 4026532187)];

    #[test]
    fn the_information_is_one_object_with_a_member_a_line() {
        assert_eq!(
            info_text(9761, IDS),
            "{\n    \"child-pid\": 9761,\n    \"mnt-namespace\": 4026532185,\n    \
             \"pid-namespace\": 4026532187\n}\n"
        );
        assert_eq!(info_text(1, &[]), "{\n    \"child-pid\": 1\n}\n");
    }

    #[test]
    fn the_status_is_an_object_a_line() {
        assert_eq!(
            json_text(6700, IDS),
            "{ \"child-pid\": 6700, \"mnt-namespace\": 4026532185, \"pid-namespace\": \
             4026532187 }\n"
        );
        assert_eq!(exit_text(4), "{ \"exit-code\": 4 }\n");
        for text in [info_text(6, IDS), json_text(6, IDS), exit_text(137)] {
            let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
            assert!(value.is_ok_and(|value| value.is_object()), "{text}");
        }
    }
}
