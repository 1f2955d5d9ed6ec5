//! `--json`: the types whose fields docs/json.md describes.

use serde::Serialize;
use warren_inspect::{Cgroup, Clocks, Ipc, Missing, Most, Mounts, Net, Pids, User, Uts};
use warren_namespaces::Kind;

use super::view::{Place, View};
use crate::failure::Failure;

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Whole<'a> {
    version: u32,
    target: Named<'a>,
    mnt: Section<'a, Mounts>,
    net: Section<'a, Net>,
    ipc: Section<'a, Ipc>,
    user: Section<'a, User>,
    pid: Section<'a, Pids>,
    uts: Section<'a, Uts>,
    cgroup: Section<'a, Cgroup>,
    time: Section<'a, Clocks>,
    limits: Option<&'a [Most]>,
    missing: &'a [Missing],
}

/// What was named.
#[derive(Serialize)]
pub struct Named<'a> {
    name: &'a str,
    pid: Option<u32>,
    command: Option<&'a str>,
}

impl<'a> Named<'a> {
    pub fn new(view: &'a View) -> Self {
        Self {
            name: &view.name,
            pid: view.pid,
            command: view.command.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Section<'a, T> {
    namespace: Option<&'a Place>,
    inside: Option<&'a T>,
}

/// The text, with a line feed at its end.
pub fn render(view: &View) -> Result<String, Failure> {
    fn section<'a, T>(
        view: &'a View,
        kind: Kind,
        inside: Option<&'a T>,
    ) -> Section<'a, T> {
        let namespace = view.place(kind);
        Section { namespace, inside }
    }
    let inside = &view.inside;
    crate::json::text(&Whole {
        version: VERSION,
        target: Named::new(view),
        mnt: section(view, Kind::Mnt, inside.mnt.as_ref()),
        net: section(view, Kind::Net, inside.net.as_ref()),
        ipc: section(view, Kind::Ipc, inside.ipc.as_ref()),
        user: section(view, Kind::User, inside.user.as_ref()),
        pid: section(view, Kind::Pid, inside.pid.as_ref()),
        uts: section(view, Kind::Uts, inside.uts.as_ref()),
        cgroup: section(view, Kind::Cgroup, inside.cgroup.as_ref()),
        time: section(view, Kind::Time, inside.time.as_ref()),
        limits: inside.limits.as_deref(),
        missing: &inside.missing,
    })
}
