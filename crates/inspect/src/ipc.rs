//! System V IPC objects and POSIX message queues: ipc_namespaces(7).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen,
};
use serde::{Deserialize, Serialize};
use warren_namespaces::{Kind, ProcRoot};

use crate::difference::{Fact, Facts};
use crate::lossy;

/// What an ipc namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipc {
    /// Shared memory segments.
    pub shm: Vec<SharedMemory>,
    /// Sets of semaphores.
    pub sem: Vec<Semaphores>,
    /// Message queues of System V.
    pub msg: Vec<Messages>,
    /// Names of POSIX message queues; `None` where they could not be listed.
    pub mqueues: Option<Vec<String>>,
    /// Whether owners are told in the ids of the user namespace that owns this, not in
    /// the caller's.
    pub uids_inside: bool,
    /// Its settings, by the name of their sysctl.
    pub settings: Vec<Setting>,
}

/// A shared memory segment: shmget(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    /// Its number.
    pub id: i64,
    /// What programs agree on to find it; 0 for a private one.
    pub key: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many have attached it.
    pub attached: u64,
    /// Who owns it.
    pub uid: u32,
}

/// A set of semaphores: semget(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Semaphores {
    /// Its number.
    pub id: i64,
    /// What programs agree on to find it; 0 for a private one.
    pub key: i64,
    /// How many semaphores it has.
    pub semaphores: u64,
    /// Who owns it.
    pub uid: u32,
}

/// A message queue: msgget(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Its number.
    pub id: i64,
    /// What programs agree on to find it; 0 for a private one.
    pub key: i64,
    /// How many messages wait.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Who owns it.
    pub uid: u32,
}

/// A setting of the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its sysctl: `kernel.shmmax`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The settings that each ipc namespace has for itself.
const SETTINGS: [&str; 9] = [
    "kernel.shmmax",
    "kernel.shmall",
    "kernel.shmmni",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "fs.mqueue.queues_max",
    "fs.mqueue.msg_max",
];

impl Ipc {
    /// That of the calling process. `may_unshare` lets it make a mount namespace for
    /// itself, if that is what it takes to list the message queues.
    pub(crate) fn own(proc: &ProcRoot, may_unshare: bool) -> Result<Self, Errno> {
        let table = |name: &str| {
            let text = proc.read(&format!("sysvipc/{name}"));
            text.map(|text| Table::parse(&text))
                .map_err(|error| error.errno())
        };
        Ok(Self {
            shm: table("shm")?.rows(shared_memory),
            sem: table("sem")?.rows(semaphores),
            msg: table("msg")?.rows(messages),
            mqueues: mqueues(may_unshare).ok(),
            uids_inside: false,
            settings: SETTINGS
                .iter()
                .filter_map(|name| setting(proc, name))
                .collect(),
        })
    }
}

fn setting(proc: &ProcRoot, name: &str) -> Option<Setting> {
    let text = proc.read(&format!("sys/{}", name.replace('.', "/"))).ok()?;
    let words: Vec<&str> = str::from_utf8(&text)
        .ok()?
        .split_ascii_whitespace()
        .collect();
    Some(Setting {
        name: name.to_owned(),
        value: words.join(" "),
    })
}

/// The names in a message queue filesystem of the calling process's ipc namespace, which
/// is mounted nowhere and gone afterwards.
fn mqueues(may_unshare: bool) -> Result<Vec<String>, Errno> {
    let context = match fsopen("mqueue", FsOpenFlags::FSOPEN_CLOEXEC) {
        // The right to mount is asked for in the owner of the mount namespace.
        Err(Errno::PERM) if may_unshare => {
            warren_sys::unshare(Kind::Mnt.clone_flag())?;
            fsopen("mqueue", FsOpenFlags::FSOPEN_CLOEXEC)
        }
        result => result,
    }?;
    fsconfig_create(context.as_fd())?;
    let no_attributes = MountAttrFlags::empty();
    let root = fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        no_attributes,
    )?;
    names(&root)
}

fn names(root: &OwnedFd) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(lossy(&name));
        }
    }
    names.sort();
    Ok(names)
}

/// A table of /proc/sysvipc, whose first line names the columns; kernels differ in their
/// number.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<i128>>,
}

impl Table {
    fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines().map(str::split_ascii_whitespace);
        let columns = lines.next().unwrap_or_else(|| "".split_ascii_whitespace());
        let row = |line: std::str::SplitAsciiWhitespace<'_>| {
            line.map(|word| word.parse().ok()).collect()
        };
        Self {
            columns: columns.map(str::to_owned).collect(),
            rows: lines.filter_map(row).collect(),
        }
    }

    fn rows<T>(&self, read: impl Fn(&Row<'_>) -> Option<T>) -> Vec<T> {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| row.len() == self.columns.len());
        rows.filter_map(|numbers| {
            read(&Row {
                columns: &self.columns,
                numbers,
            })
        })
        .collect()
    }
}

struct Row<'a> {
    columns: &'a [String],
    numbers: &'a [i128],
}

impl Row<'_> {
    fn get<T: TryFrom<i128>>(&self, column: &str) -> Option<T> {
        let at = self.columns.iter().position(|name| name == column)?;
        T::try_from(*self.numbers.get(at)?).ok()
    }
}

fn shared_memory(row: &Row<'_>) -> Option<SharedMemory> {
    Some(SharedMemory {
        id: row.get("shmid")?,
        key: row.get("key")?,
        bytes: row.get("size")?,
        attached: row.get("nattch")?,
        uid: row.get("uid")?,
    })
}

fn semaphores(row: &Row<'_>) -> Option<Semaphores> {
    Some(Semaphores {
        id: row.get("semid")?,
        key: row.get("key")?,
        semaphores: row.get("nsems")?,
        uid: row.get("uid")?,
    })
}

fn messages(row: &Row<'_>) -> Option<Messages> {
    Some(Messages {
        id: row.get("msqid")?,
        key: row.get("key")?,
        messages: row.get("qnum")?,
        bytes: row.get("cbytes")?,
        uid: row.get("uid")?,
    })
}

impl Facts for Ipc {
    /// Not the owners: they may be told in different ids.
    fn facts(&self) -> Vec<Fact> {
        let name = |id: i64, key: i64| match key {
            0 => format!("private {id}"),
            _ => format!("{:#010x}", key as u32),
        };
        let mut facts = Vec::new();
        facts.extend(self.shm.iter().map(|shm| {
            let value = format!("{} bytes", shm.bytes);
            Fact::new("shared memory", name(shm.id, shm.key), value)
        }));
        facts.extend(self.sem.iter().map(|sem| {
            let value = sem.semaphores.to_string();
            Fact::new("semaphores", name(sem.id, sem.key), value)
        }));
        facts.extend(
            self.msg
                .iter()
                .map(|msg| Fact::new("message queue", name(msg.id, msg.key), "there")),
        );
        let mqueues = self.mqueues.iter().flatten();
        facts.extend(mqueues.map(|name| Fact::new("POSIX message queue", name, "there")));
        let settings = self.settings.iter();
        facts.extend(
            settings.map(|setting| Fact::new("sysctl", &setting.name, &setting.value)),
        );
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_the_names_of_its_columns() {
        let text = b"       key      shmid perms                  size  cpid  lpid nattch   \
            uid   gid\n 1627392801          3   644                  4096   100   100      \
            2  1000  1000\nbroken\n";
        let found = Table::parse(text).rows(shared_memory);
        assert_eq!(
            found,
            [SharedMemory {
                id: 3,
                key: 1_627_392_801,
                bytes: 4096,
                attached: 2,
                uid: 1000
            }]
        );
    }

    #[test]
    fn a_row_of_another_length_or_beyond_a_number_is_passed_over() {
        for text in [
            &b""[..],
            b"key semid nsems uid\n1 2 3\n",
            b"key semid nsems uid\n1 2 -3 4\n",
            b"key semid nsems uid\n1 2 3 4294967296\n",
            b"key semid nsems\n1 2 3\n",
        ] {
            assert_eq!(Table::parse(text).rows(semaphores), [], "{text:?}");
        }
    }

    #[test]
    fn the_callers_own_objects_can_be_read() {
        let proc = ProcRoot::open().expect("/proc");
        let own = Ipc::own(&proc, false).expect("readable");
        assert!(
            own.settings
                .iter()
                .any(|setting| setting.name == "kernel.shmmax")
        );
    }

    #[test]
    fn a_private_object_is_named_by_its_number_and_others_by_their_key() {
        let sem = |id, key| Semaphores {
            id,
            key,
            semaphores: 1,
            uid: 0,
        };
        let ipc = Ipc {
            sem: vec![sem(7, 0), sem(8, -1)],
            ..Ipc::default()
        };
        let names: Vec<String> = ipc.facts().into_iter().map(|fact| fact.name).collect();
        assert_eq!(names, ["private 7", "0xffffffff"]);
    }
}
