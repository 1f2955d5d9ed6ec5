//! One line of JSON for each event.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdout;
use serde::Serialize;
use warren_namespaces::{Kind, Namespace, NamespaceSet, NsId, Process, Snapshot};

use super::changes::{self, Change};
use super::look::Looks;
use crate::failure::Failure;
use crate::overview;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    /// Seconds since 1970.
    time: f64,
    event: &'static str,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Namespace {
        kind: Kind,
        inode: u64,
        owner: Option<u64>,
        parent: Option<u64>,
        owner_uid: Option<u32>,
        pid: Option<u32>,
        name: Option<String>,
        command: Option<&'a str>,
        seen: Option<f64>,
    },
    Process {
        pid: u32,
        uid: u32,
        name: String,
        namespaces: Vec<Id>,
    },
}

#[derive(Serialize)]
struct Id {
    kind: Kind,
    inode: u64,
}

/// Prints events until the looks are over or nobody reads any more.
pub fn run(mut looks: Looks, kinds: NamespaceSet) -> Result<u8, Failure> {
    let mut since = HashMap::new();
    let mut before = looks.look()?;
    let there = changes::first(&before, kinds);
    let mut goes_on = write([&before; 2], &there, kinds, &mut since)?;
    while goes_on && !looks.is_over() && rest(looks.rest())? {
        let now = looks.look()?;
        let changes = changes::between(&before, &now, kinds);
        goes_on = write([&before, &now], &changes, kinds, &mut since)?;
        before = now;
    }
    Ok(0)
}

/// Sleeps; false when the reader has gone meanwhile.
pub fn rest(time: Duration) -> Result<bool, Failure> {
    let output = stdout();
    let end = Instant::now() + time;
    loop {
        // Asked for nothing, it still tells of an end.
        let mut fds = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
        let left = end.saturating_duration_since(Instant::now());
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return Ok(true),
            Ok(_) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => {
                let errno = warren_namespaces::errno_text(errno);
                return Err(Failure::new(format!("wait for the next look: {errno}")));
            }
        }
    }
}

/// When each namespace was first seen.
type Since = HashMap<(Kind, NsId), Instant>;

/// Writes all changes between two looks at once; false when nobody reads.
fn write(
    looks: [&Snapshot; 2],
    changes: &[Change<'_>],
    kinds: NamespaceSet,
    since: &mut Since,
) -> Result<bool, Failure> {
    let mut text = String::new();
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = time.unwrap_or_default().as_millis() as f64 / 1000.0;
    for change in changes {
        let seen = seen(change, since);
        let line = serde_json::to_string(&line(looks, change, kinds, time, seen));
        let line = line.map_err(|error| Failure::new(format!("write JSON: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    print_while_read(&text)
}

/// Prints at once; false when nobody reads any more.
pub fn print_while_read(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!(
            "write standard output: {}",
            warren_namespaces::io_error_text(&error)
        ))),
    }
}

/// Keeps account of when namespaces were first seen, and for one that is gone tells
/// how long it was.
fn seen(change: &Change<'_>, since: &mut Since) -> Option<Duration> {
    match change {
        Change::There(namespace) | Change::Made(namespace) => {
            since.insert((namespace.kind, namespace.id), Instant::now());
            None
        }
        Change::Gone(namespace) => {
            let first = since.remove(&(namespace.kind, namespace.id));
            first.map(|first| first.elapsed())
        }
        Change::Entered(_) | Change::Left(_) => None,
    }
}

fn line<'a>(
    [before, now]: [&'a Snapshot; 2],
    change: &Change<'a>,
    kinds: NamespaceSet,
    time: f64,
    seen: Option<Duration>,
) -> Line<'a> {
    let (event, what) = match *change {
        Change::There(it) => ("there", namespace(now, it, seen)),
        Change::Made(it) => ("made", namespace(now, it, seen)),
        Change::Gone(it) => ("gone", namespace(before, it, seen)),
        Change::Entered(it) => ("entered", process(now, it, kinds)),
        Change::Left(it) => ("left", process(before, it, kinds)),
    };
    Line {
        version: VERSION,
        time,
        event,
        what,
    }
}

fn namespace<'a>(
    snapshot: &'a Snapshot,
    namespace: &'a Namespace,
    seen: Option<Duration>,
) -> What<'a> {
    let process = namespace.pid.and_then(|pid| snapshot.process(pid));
    What::Namespace {
        kind: namespace.kind,
        inode: namespace.id.inode,
        owner: namespace.owner.map(|id| id.inode),
        parent: namespace.parent.map(|id| id.inode),
        owner_uid: namespace.owner_uid,
        pid: namespace.pid,
        name: process.map(overview::name_of),
        command: process.and_then(|process| process.command.as_deref()),
        seen: seen.map(|seen| seen.as_millis() as f64 / 1000.0),
    }
}

fn process<'a>(snapshot: &Snapshot, process: &Process, kinds: NamespaceSet) -> What<'a> {
    let own = changes::own(snapshot, process, kinds).into_iter();
    What::Process {
        pid: process.pid,
        uid: process.uid,
        name: overview::name_of(process),
        namespaces: own
            .map(|(kind, id)| Id {
                kind,
                inode: id.inode,
            })
            .collect(),
    }
}
