//! Lists namespaces as far as a word says: `all`, `lsns` (what lsns(8) of util-linux 2.39
//! and newer finds), `lsns-2.38` (what it found before), `members` or `PID` (of one
//! process, with the number of processes in each).
//!
//! `cargo run -p warren-namespaces --example list lsns`

use std::error::Error;
use std::io::{BufWriter, Write, stdout};

use warren_namespaces::{MountScope, ProcRoot, Scope, Snapshot};

fn main() -> Result<(), Box<dyn Error>> {
    let word = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let proc = ProcRoot::open()?;
    let snapshot = match word.as_str() {
        "all" => Snapshot::take_from(&proc)?,
        "lsns" => Snapshot::take_with(&proc, as_lsns())?,
        "lsns-2.38" => Snapshot::take_with(&proc, as_older_lsns())?,
        "members" => Snapshot::take_with(&proc, Scope::MEMBERS)?,
        pid => Snapshot::of_process_with_members(&proc, pid.parse()?)?,
    };
    let mut out = BufWriter::new(stdout().lock());
    for namespace in &snapshot.namespaces {
        let process = namespace.pid.and_then(|pid| snapshot.process(pid));
        let (kind, inode) = (namespace.kind, namespace.id.inode);
        let (processes, name) = (namespace.processes, process.map(|p| &*p.comm));
        writeln!(
            out,
            "{inode} {kind:6} {processes:5} {}",
            name.unwrap_or("-")
        )?;
    }
    let holes = snapshot.unreadable.len();
    writeln!(out, "{} read, {holes} unreadable", snapshot.processes.len())?;
    Ok(())
}

/// Leaders, descriptors, sockets and the caller's own mounts.
fn as_lsns() -> Scope {
    let mut scope = Scope::ALL;
    scope.threads = false;
    scope.for_children = false;
    scope.mounts = MountScope::Own;
    scope.relations = false;
    scope.ids = false;
    scope.labels = false;
    scope.kernel_list = false;
    scope
}

/// The same without descriptors and sockets.
fn as_older_lsns() -> Scope {
    let mut scope = as_lsns();
    scope.descriptors = false;
    scope.sockets = false;
    scope
}
