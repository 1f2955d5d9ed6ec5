//! The lines of /proc/PID/mountinfo: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::{Error, ProcRoot};

/// One mount, as the kernel describes it to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it is on.
    pub parent: u64,
    /// What of the filesystem is mounted: a path, or `net:[4026531840]` for a
    /// namespace.
    pub root: PathBuf,
    /// Where, below the root of the process.
    pub mount_point: PathBuf,
    /// Options of the mount: `rw,nosuid`.
    pub options: String,
    /// Type of the filesystem: `proc`, `nsfs`.
    pub filesystem: String,
    /// What it was mounted from; says little for most types.
    pub source: OsString,
    /// Options of the filesystem: `rw,hidepid=invisible`.
    pub super_options: String,
    /// Whether it is left out of every copy of the tree that it is in, but for that of
    /// a new mount namespace.
    pub unbindable: bool,
}

impl MountInfo {
    /// Whether the options of the filesystem have this word.
    #[must_use]
    pub fn has_super_option(&self, word: &str) -> bool {
        self.super_options.split(',').any(|option| option == word)
    }
}

/// The mounts of the caller's mount namespace that lie below its root, in the order
/// in which the kernel keeps them: of two at one place, the later is on top.
///
/// # Errors
/// Where /proc/self/mountinfo cannot be read.
pub fn own(proc: &ProcRoot) -> Result<Vec<MountInfo>, Error> {
    let text = proc.read(&format!("{}/mountinfo", proc.own_folder()?))?;
    Ok(parse(&text))
}

/// Those of `mounts` that a path leads to: not below another that was mounted over what
/// they are on, nor covered by one themselves.
pub fn visible(mounts: &[MountInfo]) -> impl Iterator<Item = &MountInfo> {
    mounts.iter().filter(|mount| is_visible(mounts, mount))
}

fn is_visible(mounts: &[MountInfo], mount: &MountInfo) -> bool {
    let covered = |below: &MountInfo| mounts.iter().any(|above| covers(above, below));
    let mut way = mount;
    let mut is_hidden = covered(mount);
    // Each step leads to another parent: no longer a way than there are mounts.
    for _ in mounts {
        let parent = mounts.iter().find(|one| one.id == way.parent);
        let Some(parent) = parent.filter(|parent| parent.id != way.id) else {
            break;
        };
        // What lies on a covered mount is hidden, unless it is what covers.
        is_hidden |= !covers(way, parent) && covered(parent);
        way = parent;
    }
    !is_hidden
}

fn covers(above: &MountInfo, below: &MountInfo) -> bool {
    above.parent == below.id
        && above.id != below.id
        && above.mount_point == below.mount_point
}

/// Reads the text of a mountinfo file; what is no line of one is passed over.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<MountInfo> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// `ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS`.
fn parse_line(line: &[u8]) -> Option<MountInfo> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let _device = fields.next()?;
    let root = path(fields.next()?);
    let mount_point = path(fields.next()?);
    let options = text(fields.next()?);
    // Any number of optional fields, ended by a hyphen.
    let mut unbindable = false;
    while let field = fields.next()?
        && field != b"-"
    {
        unbindable |= field == b"unbindable";
    }
    let filesystem = text(fields.next()?);
    let source = unescape(fields.next()?);
    let super_options = text(fields.next()?);
    Some(MountInfo {
        id,
        parent,
        root,
        mount_point,
        options,
        filesystem,
        source,
        super_options,
        unbindable,
    })
}

fn number(field: &[u8]) -> Option<u64> {
    str::from_utf8(field).ok()?.parse().ok()
}

fn path(field: &[u8]) -> PathBuf {
    unescape(field).into()
}

fn text(field: &[u8]) -> String {
    unescape(field).to_string_lossy().into_owned()
}

/// Undoes the kernel's `\040` for a space, and `\011`, `\012`, `\134`, `\043`.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, octal(after)) {
            (b'\\', Some(escaped)) => {
                plain.push(escaped);
                rest = &after[3..];
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(plain)
}

/// The byte that three octal digits at the start name.
fn octal(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..3)?;
    let value = digits.iter().try_fold(0_u16, |value, digit| {
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u16::from(digit - b'0'))
    })?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_a_later_mount_is_not_visible() {
        let text = "1 1 8:1 / / rw - ext4 /dev/root rw\n\
                    2 1 0:1 / /sys rw - sysfs sysfs rw\n\
                    3 2 0:2 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                    4 3 0:3 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    5 3 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let mounts = parse(text.as_bytes());
        let seen: Vec<u64> = visible(&mounts).map(|mount| mount.id).collect();
        assert_eq!(seen, [1, 2, 5]);
        let below = &mounts[..4];
        assert_eq!(visible(below).count(), 4);
    }
    use std::path::Path;

    #[test]
    fn a_line_with_optional_fields_is_read() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 shared:7 - \
                     ext3 /dev/root rw,errors=continue";
        let mount = parse_line(line).expect("a good line");
        assert_eq!((mount.id, mount.parent), (36, 35));
        assert_eq!(mount.root, Path::new("/mnt1"));
        assert_eq!(mount.mount_point, Path::new("/mnt two"));
        assert_eq!(mount.filesystem, "ext3");
        assert!(mount.has_super_option("errors=continue"));
        assert!(!mount.has_super_option("errors"));
    }

    #[test]
    fn an_unbindable_mount_is_told_from_others() {
        let unbindable = |tags: &str| {
            let line = format!("5 1 0:4 / /a rw {tags}- ext4 none rw\n");
            parse(line.as_bytes())[0].unbindable
        };
        assert!(unbindable("unbindable "));
        assert!(!unbindable("shared:2 master:1 "));
        assert!(!unbindable(""));
    }

    #[test]
    fn a_namespace_mount_is_read() {
        let text = b"5 1 0:4 net:[4026532251] /run/netns/a rw shared:2 - nsfs nsfs rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].root, Path::new("net:[4026532251]"));
        assert_eq!(mounts[0].filesystem, "nsfs");
    }

    #[test]
    fn broken_lines_are_passed_over() {
        for line in [
            "",
            "1",
            "1 2 0:4 / /x rw",
            "1 2 0:4 / /x rw - t s",
            "a 2 0:4 / / rw - t s o",
        ] {
            assert_eq!(parse(line.as_bytes()), [], "{line:?}");
        }
    }

    #[test]
    fn only_whole_octal_escapes_are_undone() {
        assert_eq!(unescape(b"a\\134b\\012"), "a\\b\n");
        assert_eq!(unescape(b"\\04\\9\\777\\"), "\\04\\9\\777\\");
    }

    #[test]
    fn the_callers_own_mounts_have_proc() {
        let proc = ProcRoot::open().expect("/proc");
        let mounts = own(&proc).expect("readable");
        assert!(mounts.iter().any(|mount| {
            mount.filesystem == "proc" && mount.mount_point == Path::new("/proc")
        }));
    }
}
